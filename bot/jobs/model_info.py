"""What is known of the loaded model, for everything that asks it for something."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bot.generation.compose import ModelInfo
from bot.jobs.engines import SupervisedEngine
from inference.weights.headers.loras import LoraFacts, LoraHeaders
from inference.weights.lora_files import lora_names

#: Seconds that completions wait for a model. Discord gives up after three.
COMPLETION_SECONDS = 1.0


class ModelInfoSource:
    def __init__(self, engine: SupervisedEngine, models: Path) -> None:
        """`models`: the folder with the model's files."""
        self._engine = engine
        self._models = models
        self._headers = LoraHeaders(models)

    async def loras(self) -> Sequence[str]:
        """The LoRA files as they are now, also while the model is loading."""
        return await asyncio.to_thread(lora_names, self._models)

    async def lora_facts(self, names: Collection[str]) -> Mapping[str, LoraFacts]:
        """What the files of these LoRAs say of themselves."""
        return await asyncio.to_thread(self._headers.facts, names)

    async def soon(self) -> ModelInfo | None:
        """The loaded model, or None where it takes longer to load than Discord waits for completions."""
        try:
            async with asyncio.timeout(COMPLETION_SECONDS):
                return await self.model()
        except TimeoutError:
            return None

    async def model(self) -> ModelInfo:
        """The loaded model, with the LoRA files as they are now; waits while it is loading."""
        description = await self._engine.description()
        facts = await asyncio.to_thread(self._headers.facts)
        return ModelInfo(description.native, tuple(sorted(facts)), description.turbo, facts)
