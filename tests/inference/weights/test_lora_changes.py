"""Every kind of change is what its paper says, and no odd layer keeps the others from being used."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from inference import Engine, GenerationRequest
from inference.request import CheckpointError
from inference.weights.lora import Lora
from inference.weights.lora_changes import changed
from tests.golden import MODELS

LAYER = "blocks.0.self_attn.q_proj"
SIDE = 64


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def up_and_down(generator: torch.Generator) -> dict[str, Tensor]:
    return {
        "lora_up.weight": torch.randn(SIDE, 2, generator=generator),
        "lora_down.weight": torch.randn(2, SIDE, generator=generator),
    }


def read(engine: Engine, folder: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Lora:
    path = folder / "lora.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, metadata)
    return Lora.read(path, engine.transformer, engine.text_encoder.qwen)


def merged(engine: Engine, lora: Lora, name: str, strength: float = 1.0) -> Tensor:
    base = engine.files.transformer.tensor(name)
    return changed(base, lora.factors[name], strength) if name in lora.factors else base


def named(layer: str, factors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"diffusion_model.{layer}.{name}": tensor for name, tensor in factors.items()}


def test_full_differences_of_weights_norms_and_biases_are_added(engine: Engine, tmp_path: Path) -> None:
    mlp, norm = "llm_adapter.blocks.0.mlp.0", "blocks.0.self_attn.q_norm"
    weight, bias = engine.files.transformer.tensor(f"{mlp}.weight"), engine.files.transformer.tensor(f"{mlp}.bias")
    tensors = named(mlp, {"diff": torch.ones_like(weight), "diff_b": torch.ones_like(bias)})
    tensors |= {f"lora_unet_{norm.replace('.', '_')}.w_norm": torch.ones(32)}
    lora = read(engine, tmp_path, tensors)
    assert lora.left_out == ()
    torch.testing.assert_close(merged(engine, lora, f"{mlp}.weight", 0.5), weight + 0.5)
    torch.testing.assert_close(merged(engine, lora, f"{mlp}.bias", 0.5), bias + 0.5)
    base = engine.files.transformer.tensor(f"{norm}.weight")
    torch.testing.assert_close(merged(engine, lora, f"{norm}.weight", 0.5), base + 0.5)


def test_a_new_weight_takes_the_place_of_the_old(engine: Engine, tmp_path: Path) -> None:
    new = torch.full((SIDE, SIDE), 3.0)
    lora = read(engine, tmp_path, named(LAYER, {"set_weight": new}))
    assert torch.equal(merged(engine, lora, f"{LAYER}.weight", 0.5), new)


def test_factors_of_a_convolution_of_one_pixel_are_those_of_a_linear_layer(
    engine: Engine, tmp_path: Path, up_and_down: dict[str, Tensor]
) -> None:
    lora = read(engine, tmp_path, named(LAYER, {name: tensor[..., None, None] for name, tensor in up_and_down.items()}))
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    torch.testing.assert_close(
        merged(engine, lora, f"{LAYER}.weight"), base + up_and_down["lora_up.weight"] @ up_and_down["lora_down.weight"]
    )


@pytest.mark.parametrize("transposed", [False, True])
def test_the_adapters_embedding_can_be_changed(
    engine: Engine, tmp_path: Path, generator: torch.Generator, transposed: bool
) -> None:
    name = "llm_adapter.embed"
    base = engine.files.transformer.tensor(f"{name}.weight")
    tokens, width = base.shape
    first, second = torch.randn(tokens, 2, generator=generator), torch.randn(2, width, generator=generator)
    factors = {"lora_up.weight": first, "lora_down.weight": second}
    if transposed:
        factors = {"lora_embedding_A": first.T, "lora_embedding_B": second.T}
    lora = read(engine, tmp_path, named(name, factors))
    torch.testing.assert_close(merged(engine, lora, f"{name}.weight"), base + first @ second)


def test_glora_multiplies_the_weight_itself(engine: Engine, tmp_path: Path, generator: torch.Generator) -> None:
    a1, b1 = torch.randn(256, 3, generator=generator), torch.randn(64, 3, generator=generator)
    a2, b2 = torch.randn(3, 256, generator=generator), torch.randn(3, 256, generator=generator)
    name = "blocks.0.mlp.layer2"
    base = engine.files.transformer.tensor(f"{name}.weight")
    factors = {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2, "alpha": torch.tensor(1.5)}
    lora = read(engine, tmp_path, named(name, factors))
    torch.testing.assert_close(merged(engine, lora, f"{name}.weight"), base + 0.5 * (base @ a1 @ a2 + b1 @ b2))
    older = {"a1.weight": a2, "a2.weight": a1, "b1.weight": b2, "b2.weight": b1, "alpha": torch.tensor(1.5)}
    lora = read(engine, tmp_path, named(name, older))
    torch.testing.assert_close(merged(engine, lora, f"{name}.weight"), base + 0.5 * (base @ a1 @ a2 + b1 @ b2))


def test_oft_turns_groups_of_rows(engine: Engine, tmp_path: Path, generator: torch.Generator) -> None:
    blocks = 0.1 * torch.randn(16, 4, 4, generator=generator)
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    lora = read(engine, tmp_path, named(LAYER, {"oft_blocks": blocks}))
    skew = blocks - blocks.mT
    rotation = (torch.eye(4) + skew) @ torch.linalg.inv(torch.eye(4) - skew)
    wanted = (torch.block_diag(*rotation.mT)) @ base
    torch.testing.assert_close(merged(engine, lora, f"{LAYER}.weight"), wanted)
    torch.testing.assert_close(wanted.norm(), base.norm())


@pytest.mark.parametrize("strength", [0.5, 2.0, -1.0])
def test_the_strength_of_oft_counts_twice_as_in_comfyui(
    engine: Engine, tmp_path: Path, generator: torch.Generator, strength: float
) -> None:
    """ComfyUI blends the rotation with the identity and then scales what that changes (its pull request 15584)."""
    blocks = 0.1 * torch.randn(16, 4, 4, generator=generator)
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    lora = read(engine, tmp_path, named(LAYER, {"oft_blocks": blocks}))
    skew = blocks - blocks.mT
    rotation = torch.block_diag(*((torch.eye(4) + skew) @ torch.linalg.inv(torch.eye(4) - skew)).mT)
    wanted = base + strength**2 * (rotation @ base - base)
    torch.testing.assert_close(merged(engine, lora, f"{LAYER}.weight", strength), wanted)


@pytest.mark.parametrize("strength", [0.5, 2.0, -1.0])
def test_the_strength_of_boft_blends_each_stage_and_then_scales_the_change_as_in_comfyui(
    engine: Engine, tmp_path: Path, generator: torch.Generator, strength: float
) -> None:
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    blocks = 0.2 * torch.randn(2, SIDE // 2, 2, 2, generator=generator)
    turned = base
    for stage in range(2):
        skew = blocks[stage] - blocks[stage].mT
        rotation = (torch.eye(2) + skew) @ torch.linalg.inv(torch.eye(2) - skew)
        blended = strength * rotation + (1 - strength) * torch.eye(2)
        apart, result = 2**stage, turned.clone()
        pairs = [row for row in range(SIDE) if row // apart % 2 == 0]
        for number, row in enumerate(pairs):
            both = torch.stack([turned[row], turned[row + apart]])
            result[row], result[row + apart] = blended[number] @ both
        turned = result
    lora = read(engine, tmp_path, named(LAYER, {"oft_blocks": blocks}))
    wanted = base + strength * (turned - base)
    torch.testing.assert_close(merged(engine, lora, f"{LAYER}.weight", strength), wanted)


def test_the_alpha_of_oft_bounds_the_rotation(engine: Engine, tmp_path: Path) -> None:
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    skew = torch.tensor([[0.0, 4.0], [0.0, 0.0]])
    bound = torch.tensor(0.5)
    lora = read(engine, tmp_path, named(LAYER, {"oft_blocks": skew.expand(32, 2, 2).clone(), "alpha": bound}))
    shorter = read(
        engine, tmp_path, named(LAYER, {"oft_blocks": (skew / (4 * 64**0.5) * 0.5).expand(32, 2, 2).clone()})
    )
    torch.testing.assert_close(
        merged(engine, lora, f"{LAYER}.weight"), merged(engine, shorter, f"{LAYER}.weight"), rtol=1e-4, atol=1e-5
    )
    assert not torch.allclose(merged(engine, lora, f"{LAYER}.weight"), base)


def test_boft_of_one_stage_turns_pairs_of_rows_and_more_stages_turn_rows_further_apart(
    engine: Engine, tmp_path: Path, generator: torch.Generator
) -> None:
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    blocks = torch.randn(2, 32, 2, 2, generator=generator)
    turned = base
    for stage in range(2):
        skew = blocks[stage] - blocks[stage].mT
        rotation = (torch.eye(2) + skew) @ torch.linalg.inv(torch.eye(2) - skew)
        apart, result = 2**stage, turned.clone()
        pairs = [row for row in range(SIDE) if row // apart % 2 == 0]
        for number, row in enumerate(pairs):
            result[row] = rotation[number, 0, 0] * turned[row] + rotation[number, 0, 1] * turned[row + apart]
            result[row + apart] = rotation[number, 1, 0] * turned[row] + rotation[number, 1, 1] * turned[row + apart]
        turned = result
    lengths = torch.rand(SIDE, 1, generator=generator)
    lora = read(engine, tmp_path, named(LAYER, {"oft_blocks": blocks, "rescale": lengths}))
    torch.testing.assert_close(merged(engine, lora, f"{LAYER}.weight"), lengths * turned)


def test_the_alpha_of_the_header_counts_where_the_file_has_none(
    engine: Engine, tmp_path: Path, up_and_down: dict[str, Tensor]
) -> None:
    tensors = {
        f"transformer.transformer_blocks.0.attn1.to_q.lora_{side}.weight": up_and_down[f"lora_{name}.weight"]
        for side, name in (("A", "down"), ("B", "up"))
    }
    header = {"lora_adapter_metadata": json.dumps({"transformer.r": 2, "transformer.lora_alpha": 8})}
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    change = up_and_down["lora_up.weight"] @ up_and_down["lora_down.weight"]
    lora = read(engine, tmp_path, tensors, header)
    torch.testing.assert_close(merged(engine, lora, f"{LAYER}.weight"), base + 4 * change)
    own = tensors | {"transformer.transformer_blocks.0.attn1.to_q.alpha": torch.tensor(2.0)}
    lora = read(engine, tmp_path, own, header)
    torch.testing.assert_close(merged(engine, lora, f"{LAYER}.weight"), base + change)


@pytest.mark.parametrize(
    "odd",
    [
        {"alpha": torch.tensor(1.0)},
        {"lora_up.weight": torch.ones(SIDE, 0), "lora_down.weight": torch.ones(0, SIDE), "alpha": torch.tensor(1.0)},
    ],
    ids=["alpha alone", "rank 0"],
)
def test_a_layer_without_effect_is_not_an_error(
    engine: Engine, tmp_path: Path, up_and_down: dict[str, Tensor], odd: dict[str, Tensor]
) -> None:
    lora = read(engine, tmp_path, named(LAYER, up_and_down) | named("blocks.0.self_attn.k_proj", odd))
    assert list(lora.factors) == [f"{LAYER}.weight"]
    assert lora.notes == ()


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"diffusion_model.blocks.0.self_attn.k_proj.lora_up.weight": torch.ones(SIDE, 2)}, "incomplete"),
        ({"diffusion_model.blocks.0.self_attn.k_proj.diff": torch.ones(3, 3)}, "does not have that tensor's shape"),
        ({"diffusion_model.blocks.0.self_attn.k_proj.diff": torch.full((SIDE, SIDE), torch.nan)}, "not numbers"),
        ({"diffusion_model.blocks.0.self_attn.k_proj.diff_b": torch.ones(SIDE)}, "k_proj.bias"),
        ({"lora_te_text_model_encoder_layers_0_mlp_fc1.alpha": torch.ones(1)}, "text encoder, Qwen3, has no such"),
        ({"lora_unet_double_blocks_0_qkv.alpha": torch.ones(1)}, "has no such layers"),
        ({"diffusion_model.blocks.0.self_attn.k_proj.magic": torch.ones(1)}, "no supported kind of LoRA"),
    ],
)
def test_an_odd_layer_is_left_out_and_reported(
    engine: Engine, tmp_path: Path, up_and_down: dict[str, Tensor], odd: dict[str, Tensor], reason: str
) -> None:
    lora = read(engine, tmp_path, named(LAYER, up_and_down) | odd)
    assert list(lora.factors) == [f"{LAYER}.weight"]
    assert lora.unmatched == tuple(odd)
    [note] = lora.notes
    assert next(iter(odd)) in note and reason in note
    assert note.values["lora"] == lora.path.stem and note.values["keys"] == next(iter(odd))


def test_omitted_layers_are_reported_to_the_user(
    engine: Engine, tmp_path: Path, up_and_down: dict[str, Tensor]
) -> None:
    models = shutil.copytree(MODELS, tmp_path / "models")
    odd = {"lora_unet_double_blocks_0_qkv.alpha": torch.ones(1)}
    save_file(named(LAYER, up_and_down) | odd, models / "loras" / "odd.safetensors")
    engine = Engine.load(models, device="cpu")
    request = GenerationRequest("1girl", width=64, height=64, steps=1, loras=(("odd", 0.1),))
    [picture] = engine.generate([request])
    assert picture.notes == (
        "The LoRA odd is used without lora_unet_double_blocks_0_qkv.alpha: this model has no such layers.",
    )


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"lllite_dit_blocks_0_self_attn_q_proj.down.0.weight": torch.ones(2)}, "ControlNet-LLLite"),
        ({"lora_te_text_model_encoder_layers_0_mlp_fc1.alpha": torch.ones(1)}, "only a text encoder that is not this"),
        ({"lora_unet_blocks_27_self_attn_q_proj.diff": torch.ones(1)}, "made for a model of 28 blocks"),
        ({"some.weight": torch.ones(1)}, "not a LoRA of a supported kind"),
        ({}, "contains no tensors"),
    ],
)
def test_a_file_of_which_nothing_can_be_used_says_why(
    engine: Engine, tmp_path: Path, tensors: dict[str, Tensor], sentence: str
) -> None:
    with pytest.raises(CheckpointError, match=sentence) as error:
        read(engine, tmp_path, tensors)
    assert "made for another model" not in str(error.value)
