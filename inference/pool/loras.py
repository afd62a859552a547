"""Reads the LoRA files that requests name, for the structure of the model that they change."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from torch import nn

from inference.metadata import lora_hash
from inference.networks.params import TransformerParams
from inference.pool.diffusion_model import outline
from inference.request import CheckpointError, InvalidRequest
from inference.weights.headers.diffusion_models import unusable_by_name, why_not_opened
from inference.weights.lora import Lora
from inference.weights.lora_files import LORA_FOLDER, lora_name, lora_names, lora_paths

logger = logging.getLogger(__name__)

CACHED_LORAS = 8


class LoraFolder:
    """Reads the LoRA files of a models folder, and caches those used last until they change."""

    def __init__(self, models: Path, text_encoder: nn.Module) -> None:
        self._models = models
        self._text_encoder = text_encoder
        self._read_cached = lru_cache(CACHED_LORAS)(self._read)

    def names(self) -> list[str]:
        """The names of the current files."""
        return lora_names(self._models)

    def check(self, loras: Sequence[tuple[str, float]]) -> None:
        """Raise InvalidRequest if a file is missing."""
        known = self.names() if loras else []
        for name, _ in loras:
            if lora_name(name, known) is None:
                unusable = unusable_by_name(self._models, [LORA_FOLDER], name)
                why = "" if unusable is None else f"{unusable.name} {why_not_opened(unusable)} "
                raise InvalidRequest(
                    f"loras: there is no LoRA {name!r} in {self._models / LORA_FOLDER}. "
                    f"{why}There are: {', '.join(known) or 'none'}."
                )

    def read(self, name: str, model: TransformerParams) -> Lora:
        """The file, its layers named as in a model of these sizes.

            Models of equal sizes share an object, so that switching between them need not merge the text encoder again.
        Raises CheckpointError.
        """
        path = self._path(name)
        return self._read_cached(path, path.stat().st_mtime_ns, model)

    def name(self, name: str) -> str:
        """A LoRA's name as spelled in the folder's list."""
        return lora_name(name, self.names()) or name

    def hash(self, name: str) -> str:
        """As `lora_hash`."""
        return lora_hash(self._path(name))

    def _path(self, name: str) -> Path:
        paths = lora_paths(self._models)
        if (known := lora_name(name, paths)) is None:
            raise CheckpointError(f"The LoRA {name!r} is no longer in {self._models / LORA_FOLDER}.")
        return paths[known]

    def _read(self, path: Path, _mtime: int, model: TransformerParams) -> Lora:
        lora = Lora.read(path, outline(model), self._text_encoder)
        if lora.unmatched:
            logger.warning("%s: these keys have no effect: %s", path.name, ", ".join(lora.unmatched))
        return lora
