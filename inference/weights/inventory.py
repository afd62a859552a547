"""Lists the files of a models folder and what is wrong with them, for `anima doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inference.metadata.hashes import file_sha256
from inference.networks.params import TransformerParams
from inference.networks.structure import shapes_alone
from inference.networks.text_encoder import build_qwen
from inference.networks.transformer import Transformer
from inference.request import CheckpointError
from inference.weights.checkpoint import ModelFiles
from inference.weights.folders import TEXT_ENCODER_FOLDERS, TRANSFORMER_FOLDERS, VAE_FOLDERS, without_suffix
from inference.weights.headers.contents import TEXT_ENCODER_MARK, TRANSFORMER_MARK, VAE_MARK
from inference.weights.headers.diffusion_models import paths_of
from inference.weights.lora import Lora
from inference.weights.lora_files import lora_paths
from inference.weights.weights_file import (
    WeightsFile,
    reading_sizes_off,
)

KINDS = (
    ("diffusion model", TRANSFORMER_FOLDERS, TRANSFORMER_MARK),
    ("text encoder", TEXT_ENCODER_FOLDERS, TEXT_ENCODER_MARK),
    ("VAE", VAE_FOLDERS, VAE_MARK),
)


#: The SHA-256 of released files, by their names without suffix.
OFFICIAL_SHA256 = {
    "anima-base-v1.0": "bd43b7cffe1ed1153d9c41e7beb2f18cb1273eafbaa3af3edd6a173dc90a006e",
    "anima-aesthetic-v1.1": "3c1868387a3a1ff504bbb87c33678321965ead381fcf87afbd0264daa600c082",
    "qwen_3_06b_base": "cd2a512003e2f9f3cd3c32a9c3573f820bb28c940f73c57b1ddaa983d9223eba",
    "qwen_image_vae": "a70580f0213e67967ee9c95f05bb400e8fb08307e017a924bf3441223e023d1f",
}


def is_official(path: Path) -> bool | None:
    """Whether a file with a released file's name is that file: hashes the whole file. None for other names."""
    official = OFFICIAL_SHA256.get(without_suffix(path.name).lower())
    return None if official is None else file_sha256(path) == official


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
    """The files of a `models` folder that are Anima's or unreadable. Those of other models are left out."""
    for kind, folders, mark in KINDS:
        for path in paths_of(models, folders):
            fault = None
            try:
                if not WeightsFile(path, mark).is_marked:
                    continue
            except CheckpointError as error:
                fault = str(error)
            yield FoundFile(kind, path, path.stat().st_size, fault)


def loras(files: ModelFiles) -> Iterator[FoundLora]:
    """Compare every LoRA file with the model's layers. Reads the LoRA files, but not the model."""
    with shapes_alone(), reading_sizes_off(files.transformer):
        transformer = Transformer(TransformerParams.from_shapes(files.transformer.shapes))
    qwen = build_qwen(files.text_encoder)
    for name, path in sorted(lora_paths(files.models).items()):
        try:
            lora = Lora.read(path, transformer, qwen)
        except CheckpointError as error:
            yield FoundLora(name, (), str(error))
        else:
            yield FoundLora(name, lora.unmatched, None)
