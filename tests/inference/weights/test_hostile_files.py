"""Files of weights that lie about themselves end in a sentence, not in a traceback or in all of the memory."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from inference.networks.params import TransformerParams
from inference.request import CheckpointError
from inference.weights.checkpoint import ModelFiles
from inference.weights.headers.header import MAX_HEADER
from inference.weights.lora import Lora
from inference.weights.weights_file import WeightsFile, reading_sizes_off
from tests.golden import MODELS

LAYER = "layer"


class OneLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4, bias=False)


def a_lora(folder: Path, **factors: torch.Tensor) -> Path:
    whole = {"lora_down.weight": torch.ones(2, 6), "lora_up.weight": torch.ones(4, 2)} | {
        name.replace("__", "."): tensor for name, tensor in factors.items()
    }
    save_file({f"{LAYER}.{name}": tensor for name, tensor in whole.items()}, folder / "lora.safetensors")
    return folder / "lora.safetensors"


@pytest.mark.parametrize(
    "factors",
    [
        {"alpha": torch.ones(2)},
        {"dora_scale": torch.ones(1, 4)},
        {"dora_scale": torch.ones(())},
    ],
    ids=["two alphas", "lengths of rows laid out as columns", "one length"],
)
def test_a_lora_that_could_be_read_but_not_merged_is_refused_when_it_is_read(
    factors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=f"its change of {LAYER}"):
        Lora.read(a_lora(tmp_path, **factors), OneLayer())


@pytest.mark.parametrize("lengths", [(4, 1), (1, 6)], ids=["of rows", "of columns"])
def test_lengths_that_fit_are_taken(lengths: tuple[int, int], tmp_path: Path) -> None:
    assert Lora.read(a_lora(tmp_path, dora_scale=torch.ones(lengths)), OneLayer()).factors


def a_model(folder: Path, header: dict[str, object]) -> Path:
    for part in ("text_encoders", "vae", "tokenizers"):
        (folder / part).symlink_to(MODELS / part)
    (folder / "diffusion_models").mkdir()
    text = json.dumps(header).encode()
    (folder / "diffusion_models" / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return folder


def test_a_model_whose_tensors_lack_a_dimension_is_refused_as_another_model(tmp_path: Path) -> None:
    flat = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = {"llm_adapter.blocks.0.cross_attn.k_proj.weight": flat, "x_embedder.proj.1.weight": flat}
    with pytest.raises(CheckpointError, match=r"model\.safetensors: its tensors do not have the shapes"):
        ModelFiles.find(a_model(tmp_path, header))


def test_a_block_with_a_huge_number_is_one_block_more() -> None:
    file = ModelFiles.find(MODELS).transformer
    known = TransformerParams.from_shapes(file.shapes)
    lying = TransformerParams.from_shapes({**file.shapes, "blocks.999999999.x.weight": (0,)})
    assert lying.depth == known.depth + 1


def test_a_header_longer_than_any_has_to_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER + 1))
        file.truncate(MAX_HEADER + 9)
    with pytest.raises(CheckpointError, match="its header has"):
        WeightsFile(path, "mark")
    with pytest.raises(CheckpointError, match="its header has"):
        Lora.read(path, OneLayer())


def test_an_error_that_is_already_explained_stays_as_it_is() -> None:
    file = ModelFiles.find(MODELS).transformer
    with pytest.raises(CheckpointError, match=r"^as it was$"), reading_sizes_off(file):
        raise CheckpointError("as it was")
