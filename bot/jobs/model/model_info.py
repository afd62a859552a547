"""What is known about the model, for code that makes requests.

It is read from the file's header, so it is known while the model loads and while the engine's process restarts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bot.generation.compose import ModelInfo
from bot.jobs.engines import SupervisedEngine
from inference import CheckpointError
from inference.weights.headers.diffusion_models import ModelFacts, model_facts
from inference.weights.headers.loras import LoraFacts, LoraHeaders
from inference.weights.lora_files import lora_names

#: Seconds that completions wait for a model. Discord gives up after three.
COMPLETION_SECONDS = 1.0


class ModelInfoSource:
    def __init__(self, engine: SupervisedEngine, models: Path, diffusion_model: str | None = None) -> None:
        """`models`: the models folder. `diffusion_model`: the file named by the setting, if any."""
        self._engine = engine
        self._models = models
        self._headers = LoraHeaders(models)
        self._diffusion_model = diffusion_model

    async def loras(self) -> Sequence[str]:
        """The LoRA files as they are now."""
        return await asyncio.to_thread(lora_names, self._models)

    async def lora_facts(self, names: Collection[str]) -> Mapping[str, LoraFacts]:
        """Facts from the headers of these LoRA files."""
        return await asyncio.to_thread(self._headers.facts, names)

    async def soon(self) -> ModelInfo | None:
        """The model, or None if reading it takes longer than Discord waits for autocomplete."""
        try:
            async with asyncio.timeout(COMPLETION_SECONDS):
                return await self.model()
        except TimeoutError:
            return None

    async def model(self) -> ModelInfo:
        """The model, with the current LoRA files. Waits for the engine only if the file's header is not enough.

        Raises ModelUnavailable if it cannot be loaded either.
        """
        facts, loras = await asyncio.to_thread(self._read)
        names, loaded = tuple(sorted(loras)), self._engine.loaded_description
        if facts is None:
            loaded = loaded or await self._engine.description()
        if loaded is None:
            assert facts is not None
            return ModelInfo(facts.native, names, facts.turbo, loras)
        # The engine checked the files that were there when it loaded; newer files are judged by their headers.
        copied_in = facts is not None and facts.turbo is not None and facts.turbo.name not in loaded.loras
        turbo = facts.turbo if facts is not None and copied_in else loaded.turbo
        return ModelInfo(loaded.native, names, turbo, loras)

    def _read(self) -> tuple[ModelFacts | None, Mapping[str, LoraFacts]]:
        loras = self._headers.facts()
        try:
            return model_facts(self._models, self._diffusion_model), loras
        except (CheckpointError, OSError):
            return None, loras
