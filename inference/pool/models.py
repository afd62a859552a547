"""The diffusion models of an engine: finds the file that a request means, loads it, and keeps it while it fits."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from inference.devices import free_memory
from inference.metadata import model_hash
from inference.networks.compile import compile_blocks, leave_uncompiled, why_not_compiled
from inference.networks.float8 import weights_size
from inference.pool.diffusion_model import DiffusionModel
from inference.pool.memory import reserve
from inference.pool.pool import ModelPool
from inference.pool.sources import ModelSource, ModelSources
from inference.startup.environment import why_not_kept
from inference.weights.checkpoint import ModelFiles
from inference.weights.headers.contents import TRANSFORMER_MARK
from inference.weights.weights_file import WeightsFile

logger = logging.getLogger(__name__)


class DiffusionModels:
    """`current` is the model used last, `source` its file."""

    def __init__(self, files: ModelFiles, device: torch.device, dtype: torch.dtype, float8: bool = False) -> None:
        """dtype, float8: as in `Precision`. Load the default model. Raises CheckpointError, OutOfMemory."""
        self._files = files
        self._device = device
        self._dtype = dtype
        self._float8 = float8
        self._sources = ModelSources(files)
        #: Whether blocks are compiled when they are first called.
        self.compiles = device.type == "cuda"
        if why := why_not_compiled(device.type):
            self.compiles = False
            logger.warning("%s", why)
        elif self.compiles and (why := why_not_kept()):
            logger.warning("%s", why)
        self._pool = ModelPool[DiffusionModel](device, lambda where: free_memory(where) - reserve(where))
        #: The versions of the loaded files.
        self._versions: dict[str, tuple[int, int]] = {}
        self.source = self._sources.default
        self.current = self.use(self.source)

    @property
    def default(self) -> ModelSource:
        return self._sources.default

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the models on the device, the one used last first."""
        return self._pool.loaded

    def find(self, name: str) -> ModelSource:
        """The model of this name; the default for "". Raises InvalidRequest."""
        return self._sources.find(name)

    def use(
        self, source: ModelSource, needed: int = 0, on_loading: Callable[[], None] = lambda: None
    ) -> DiffusionModel:
        """Bring a model to the device.

        needed: bytes to leave free there for generating. on_loading: called before anything slow.
        Raises CheckpointError, OutOfMemory.
        """
        if self._versions.get(source.name, source.version) != source.version:
            self._pool.drop(source.name)
        self.current = self._pool.use(source.name, self.size(source), needed, lambda: self._load(source), on_loading)
        self._versions[source.name] = source.version
        self.source = source
        return self.current

    def size(self, source: ModelSource) -> int:
        """Bytes of a model's weights."""
        return weights_size(source.params, self._dtype, self._float8)

    def release_idle(self) -> bool:
        """Move all models except the one used last off the device. Returns whether there were any."""
        return self._pool.release_idle(self.source.name)

    def stop_compiling(self) -> None:
        """Leave the model used last, and those loaded from now on, uncompiled."""
        self.compiles = False
        leave_uncompiled(self.current.transformer)

    def hash(self, source: ModelSource) -> str | None:
        """As `model_hash`; None where the file has gone."""
        if source.name == self.source.name:
            return self.current.hash
        try:
            return model_hash(source.path)
        except OSError:
            return None

    def _load(self, source: ModelSource) -> DiffusionModel:
        is_default = source is self._sources.default
        file = self._files.transformer if is_default else WeightsFile(source.path, TRANSFORMER_MARK)
        model = DiffusionModel(file, self._device, self._dtype, self._float8)
        if self.compiles:
            compile_blocks(model.transformer)
        return model
