"""A LoRA changes the blocks that it was made for, or none."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from inference.request import CheckpointError
from inference.weights.lora import Lora
from inference.weights.lora_depth import FROM_28_TO_40, OtherDepth, block_numbers


def layers(*blocks: int) -> list[str]:
    return [f"lora_unet_blocks_{block}_self_attn_q_proj" for block in blocks]


def test_a_lora_for_anima_is_moved_to_the_old_blocks_of_the_model_of_40() -> None:
    numbers = block_numbers(layers(*range(28)), 40, {})
    assert (numbers[0], numbers[2], numbers[14], numbers[27]) == (0, 3, 20, 39)
    assert sorted(numbers.values()) == sorted(FROM_28_TO_40)


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_model.blocks.27.mlp.layer1",
        "transformer.transformer_blocks.27.attn1.to_q",
        "net.blocks.27.mlp.layer2",
    ],
)
def test_the_highest_block_tells_the_depth_in_every_dialect(name: str) -> None:
    assert block_numbers([name], 40, {})[27] == 39


def test_a_lora_for_the_model_of_40_stays_as_it_is_also_where_it_leaves_the_new_blocks_out() -> None:
    assert block_numbers(layers(*range(40)), 40, {}) == {}
    assert block_numbers(layers(*FROM_28_TO_40), 40, {}) == {}


def test_a_lora_for_some_blocks_is_moved_only_where_its_header_names_its_model() -> None:
    with pytest.raises(OtherDepth, match="changes only some blocks"):
        block_numbers(layers(3, 9), 40, {})
    assert block_numbers(layers(3, 9), 40, {"ss_sd_model_name": "anima-base-v1.0.safetensors"})[3] == FROM_28_TO_40[3]
    assert block_numbers(layers(3, 9), 40, {"ss_sd_model_name": "Anima-2.9B.safetensors"}) == {}


@pytest.mark.parametrize(("blocks", "depth"), [(28, 29), (28, 52), (40, 52), (40, 28), (52, 28), (52, 40)])
def test_a_lora_whose_blocks_do_not_correspond_is_refused(blocks: int, depth: int) -> None:
    with pytest.raises(OtherDepth, match=f"made for a model of {blocks} blocks, and this model has {depth}"):
        block_numbers(layers(*range(blocks)), depth, {})


def test_on_anima_itself_every_selection_of_blocks_stays_as_it_is() -> None:
    assert block_numbers(layers(0, 5), 28, {}) == {}
    assert block_numbers(layers(*range(28)), 28, {}) == {}


def test_the_adapters_blocks_and_those_of_the_text_encoder_tell_nothing() -> None:
    others = ["lora_unet_llm_adapter_blocks_5_self_attn_q_proj", "text_conditioner.blocks.5.mlp.0"]
    assert block_numbers([*others, "lora_te_layers_27_self_attn_q_proj"], 40, {}) == {}


class NumberedBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.ModuleDict({"q_proj": nn.Linear(2, 2, bias=False)})


class Deep(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(NumberedBlock() for _ in range(depth))


def a_lora(folder: Path, depth: int) -> Path:
    path = folder / "lora.safetensors"
    save_file({f"{layer}.diff": torch.full((2, 2), number) for number, layer in enumerate(layers(*range(depth)))}, path)
    return path


def test_a_file_for_anima_changes_only_the_old_blocks_of_the_model_of_40(tmp_path: Path) -> None:
    factors = Lora.read(a_lora(tmp_path, 28), Deep(40)).factors
    assert {name: int(change["diff"][0, 0]) for name, change in factors.items()} == {
        f"blocks.{block}.self_attn.q_proj.weight": number for number, block in enumerate(FROM_28_TO_40)
    }


def test_wrappers_in_the_names_do_not_hide_the_depth(tmp_path: Path) -> None:
    plain = load_file(a_lora(tmp_path, 28))
    wrapped = {key.replace("_self_attn", "__orig_mod_self_attn"): tensor for key, tensor in plain.items()}
    save_file(wrapped, tmp_path / "wrapped.safetensors")
    factors = Lora.read(tmp_path / "wrapped.safetensors", Deep(40)).factors
    assert factors.keys() == Lora.read(tmp_path / "lora.safetensors", Deep(40)).factors.keys()


def test_a_file_for_another_depth_is_refused_with_an_explanation(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="made for a model of 28 blocks, and this model has 29"):
        Lora.read(a_lora(tmp_path, 28), Deep(29))
