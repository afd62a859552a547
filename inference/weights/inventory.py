"""What lies in a models folder and what is missing there, from the files' headers, for `anima doctor`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import Qwen3Model

from inference.networks.text_encoder import qwen_config
from inference.networks.transformer import Transformer, TransformerParams
from inference.request import CheckpointError
from inference.weights.checkpoint import (
    TEXT_ENCODER_FOLDERS,
    TEXT_ENCODER_MARK,
    TRANSFORMER_FOLDERS,
    TRANSFORMER_MARK,
    VAE_FOLDERS,
    VAE_MARK,
    ModelFiles,
    WeightsFile,
    reading_sizes_off,
)
from inference.weights.lora import Lora
from inference.weights.lora_files import lora_names

KINDS = (
    ("diffusion model", TRANSFORMER_FOLDERS, TRANSFORMER_MARK),
    ("text encoder", TEXT_ENCODER_FOLDERS, TEXT_ENCODER_MARK),
    ("VAE", VAE_FOLDERS, VAE_MARK),
)


@dataclass(frozen=True)
class FoundFile:
    """A file of weights. `fault`: why it cannot be read, in a sentence."""

    kind: str
    path: Path
    size: int
    fault: str | None


@dataclass(frozen=True)
class FoundLora:
    """A LoRA file. `unmatched`: its keys that change nothing. `fault`: why it cannot be used, in a sentence."""

    name: str
    unmatched: tuple[str, ...]
    fault: str | None


def weights_files(models: Path) -> Iterator[FoundFile]:
    """The files of a `models` folder that are Anima's, or unreadable; those of other models are passed over."""
    for kind, folders, mark in KINDS:
        for path in (path for folder in folders for path in sorted((models / folder).rglob("*.safetensors"))):
            fault = None
            try:
                if not WeightsFile(path, mark).is_marked:
                    continue
            except CheckpointError as error:
                fault = str(error)
            yield FoundFile(kind, path, path.stat().st_size, fault)


def weights_bytes(files: ModelFiles, dtype: str) -> int:
    """The memory that a model's weights take in a dtype, "float32" or "bfloat16"."""
    shapes = (shape for file in (files.transformer, files.text_encoder, files.vae) for shape in file.shapes.values())
    itemsize: int = getattr(torch, dtype).itemsize
    return sum(math.prod(shape) for shape in shapes) * itemsize


def loras(files: ModelFiles) -> Iterator[FoundLora]:
    """Hold every LoRA file against the model's layers. Reads the LoRA files, but not the model."""
    with torch.device("meta"), reading_sizes_off(files.transformer):
        transformer = Transformer(TransformerParams.from_shapes(files.transformer.shapes))
    with torch.device("meta"), reading_sizes_off(files.text_encoder):
        qwen = Qwen3Model(qwen_config(files.text_encoder.shapes))
    for name in lora_names(files.models):
        try:
            lora = Lora.read(files.loras / f"{name}.safetensors", transformer, qwen)
        except CheckpointError as error:
            yield FoundLora(name, (), str(error))
        else:
            yield FoundLora(name, lora.unmatched, None)
