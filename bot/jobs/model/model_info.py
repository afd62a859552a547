"""Provides information about the diffusion models to code that makes requests.

It is read from the files' headers, so it is available while the model loads and while the engine's process restarts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bot.generation.compose import ModelInfo
from bot.generation.values import MAX_MODEL_NAME_LENGTH
from bot.jobs.workers import Workers
from inference import CheckpointError, EngineDescription
from inference.request import TurboLora
from inference.weights.headers.diffusion_models import ModelFacts
from inference.weights.headers.loras import LoraFacts, LoraHeaders
from inference.weights.headers.model_list import ModelList, list_models
from inference.weights.lora_files import lora_names

#: Seconds that autocomplete waits for the model. Discord gives up after three.
COMPLETION_SECONDS = 1.0


class ModelInfoSource:
    def __init__(self, workers: Workers, models: Path, diffusion_model: str | None = None) -> None:
        """`models`: the models folder. `diffusion_model`: the file named by the setting, if any."""
        self._workers = workers
        self._models = models
        self._headers = LoraHeaders(models)
        self._diffusion_model = diffusion_model

    async def loras(self) -> Sequence[str]:
        """The names of the LoRA files that exist now."""
        names = await asyncio.to_thread(lora_names, self._models)
        everywhere = self._workers.loras
        return names if everywhere is None else [name for name in names if name in everywhere]

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

    @property
    def loaded_models(self) -> tuple[str, ...]:
        """The names of the models that some engine can draw with at once."""
        return self._workers.loaded_models

    async def model(self) -> ModelInfo:
        """The operator's default model, with all others and the current LoRA files.

        Waits for an engine only if the headers cannot be read. Raises ModelUnavailable if no engine can load it.
        """
        listed, loras = await asyncio.to_thread(self._read)
        if (everywhere := self._workers.loras) is not None:
            loras = {name: facts for name, facts in loras.items() if name in everywhere}
        names, loaded = tuple(sorted(loras)), self._workers.loaded_description
        if listed is None:
            loaded = loaded or await self._workers.description()
            return ModelInfo(loaded.native, names, loaded.turbo, loras)
        default = listed.models[listed.default]
        if loaded is not None and loaded.name == default.name:
            default = replace(default, native=loaded.native, turbo=_turbo(default, loaded))
        if not _can_be_kept(default.name):
            return ModelInfo(default.native, names, default.turbo, loras)
        models = {name: facts for name, facts in listed.models.items() if _can_be_kept(name)}
        return ModelInfo(default.native, names, default.turbo, loras, default.name, {**models, default.name: default})

    def _read(self) -> tuple[ModelList | None, Mapping[str, LoraFacts]]:
        loras = self._headers.facts()
        try:
            return list_models(self._models, self._diffusion_model), loras
        except (CheckpointError, OSError):
            return None, loras


def _turbo(facts: ModelFacts, loaded: EngineDescription) -> TurboLora | None:
    """The engine has checked the turbo LoRA that existed when it loaded; a newer one is judged by its header."""
    is_newer = facts.turbo is not None and facts.turbo.name not in loaded.loras
    return facts.turbo if is_newer else loaded.turbo


def _can_be_kept(name: str) -> bool:
    """Whether a job can be stored with this model's name: it must be valid text and not too long."""
    try:
        name.encode()
    except UnicodeEncodeError:  # a file name of another encoding
        return False
    return len(name) <= MAX_MODEL_NAME_LENGTH
