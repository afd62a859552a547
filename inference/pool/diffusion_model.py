"""A loaded diffusion model: its network, the LoRA files merged into it, and its file's hash."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import torch

from inference.gpu.fused_projections import fuse_projections, unfuse_projections
from inference.metadata import model_hash
from inference.networks.float8 import keep_in_float8, multiplies_float8
from inference.networks.params import TransformerParams
from inference.networks.structure import shapes_alone
from inference.networks.transformer import Transformer
from inference.weights.checkpoint import IGNORED_TRANSFORMER_KEYS
from inference.weights.lora import MergedLoras, Network
from inference.weights.weights_file import WeightsFile, load_module, reading_sizes_off


class DiffusionModel:
    def __init__(self, file: WeightsFile, device: torch.device, dtype: torch.dtype, float8: bool = False) -> None:
        """dtype, float8: as in `Precision`. Raises CheckpointError."""
        self.params = params_of(file)
        with shapes_alone():
            self.transformer = Transformer(self.params)
        if float8:
            keep_in_float8(self.transformer.blocks, multiplies_float8(device))
        load_module(self.transformer, file, device, dtype, ignored=IGNORED_TRANSFORMER_KEYS)
        if device.type == "cuda":
            fuse_projections(self.transformer)
        self.loras = MergedLoras([Network("", self.transformer, file)])
        reader = ThreadPoolExecutor(1, "model-hash")
        self._hash = reader.submit(_hash, file.path)
        reader.shutdown(wait=False)

    @property
    def size(self) -> int:
        """Bytes of its weights."""
        tensors = (*self.transformer.parameters(), *self.transformer.buffers())
        return sum(tensor.nbytes for tensor in tensors)

    @property
    def hash(self) -> str | None:
        """As `model_hash`, computed in the background since loading; None if the file could not be read."""
        return self._hash.result()

    def move_to(self, device: torch.device) -> None:
        """Move its weights and the LoRA changes merged into them."""
        self.transformer.to(device)

    def release(self) -> None:
        """Free its memory at once: compiled code has reference cycles, which would keep it for a while."""
        unfuse_projections(self.transformer)
        for parameter in self.transformer.parameters():
            parameter.data = torch.empty(0, dtype=parameter.dtype)


def params_of(file: WeightsFile) -> TransformerParams:
    """The sizes of the diffusion model in a file. Raises CheckpointError."""
    with reading_sizes_off(file):
        return TransformerParams.from_shapes(file.shapes)


@lru_cache(4)
def outline(params: TransformerParams) -> Transformer:
    """A network of these sizes without weights."""
    with shapes_alone():
        return Transformer(params)


def _hash(path: Path) -> str | None:
    try:
        return model_hash(path)
    except OSError:
        return None
