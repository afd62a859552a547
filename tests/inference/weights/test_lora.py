"""Merging changes what it should, unmerging leaves no trace, and a file that does not fit says so."""

import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference import Engine, GenerationRequest
from inference.request import CheckpointError, InvalidRequest
from inference.weights.lora import Lora, MergedLoras, Network
from tests.golden import MODELS

LAYER = "blocks.0.self_attn.q_proj"
KOHYA = "lora_unet_blocks_0_self_attn_q_proj"


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def weights(engine: Engine) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in engine.transformer.state_dict().items()}


def merged_weight(engine: Engine, path: Path, strength: float) -> Tensor:
    merged = MergedLoras([Network("", engine.transformer, engine.files.transformer)])
    merged.set([(Lora.read(path, engine.transformer), strength)])
    weight = engine.transformer.get_parameter(f"{LAYER}.weight").clone()
    merged.set([])
    return weight


def test_whatever_was_merged_the_base_comes_back_bit_by_bit(engine: Engine) -> None:
    engine.use_loras([])
    base = weights(engine)
    for loras in (
        [("low_rank_kohya", 0.8)],
        [("low_rank_comfyui", -3.7), ("lokr", 0.1)],
        [("lokr", 1e-3)],
    ):
        engine.use_loras(loras)
        assert any(not torch.equal(base[name], tensor) for name, tensor in weights(engine).items())
    engine.use_loras([])
    after = weights(engine)
    assert all(torch.equal(base[name], after[name]) for name in base)


def test_several_loras_add_up_in_any_order(engine: Engine) -> None:
    engine.use_loras([("low_rank_comfyui", 0.5), ("lokr", -0.4)])
    one = weights(engine)
    engine.use_loras([("lokr", -0.4), ("low_rank_comfyui", 0.5)])
    other = weights(engine)
    engine.use_loras([])
    for name in one:
        torch.testing.assert_close(one[name], other[name])


def test_a_strength_of_zero_is_no_lora(engine: Engine) -> None:
    engine.use_loras([])
    base = weights(engine)
    engine.use_loras([("lokr", 0.0)])
    assert all(torch.equal(base[name], tensor) for name, tensor in weights(engine).items())


def test_a_link_to_a_file_elsewhere_is_followed_and_a_path_to_the_same_file_is_no_name(tmp_path: Path) -> None:
    models = shutil.copytree(MODELS, tmp_path / "models")
    outside = (models / "loras" / "lokr.safetensors").rename(tmp_path / "original.safetensors")
    (models / "loras" / "linked.safetensors").symlink_to(outside)
    engine = Engine.load(models, device="cpu")
    request = GenerationRequest("1girl", width=64, height=64, steps=1, seed=7)
    [plain, linked] = engine.generate([request, replace(request, loras=(("linked", 1.0),))])
    assert not torch.equal(linked.latent, plain.latent)
    for path in ("../../original", "../../original.safetensors", str(outside.with_suffix(""))):
        with pytest.raises(InvalidRequest, match="there is no LoRA"):
            engine.generate([replace(request, loras=((path, 1.0),))])


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    models = shutil.copytree(MODELS, tmp_path / "models")
    path = models / "loras" / "lokr.safetensors"
    engine = Engine.load(models, device="cpu")
    engine.use_loras([("lokr", 1.0)])
    before = weights(engine)
    save_file({key: tensor * (2 if tensor.numel() > 1 else 1) for key, tensor in load_file(path).items()}, path)
    os.utime(path, ns=(1, 1))
    engine.use_loras([("lokr", 1.0)])
    assert any(not torch.equal(before[name], tensor) for name, tensor in weights(engine).items())


def test_a_loha_is_the_product_of_two_low_rank_changes(
    engine: Engine, tmp_path: Path, generator: torch.Generator
) -> None:
    a, b, c, d = (torch.randn(shape, generator=generator) for shape in ((64, 3), (3, 64), (64, 3), (3, 64)))
    path = tmp_path / "loha.safetensors"
    factors = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d, "alpha": torch.tensor(1.5)}
    save_file({f"{KOHYA}.{name}": tensor for name, tensor in factors.items()}, path)
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    torch.testing.assert_close(merged_weight(engine, path, 0.7), base + 0.7 * 0.5 * (a @ b) * (c @ d))


def test_a_factored_lokr_is_scaled_by_the_rank_of_its_factors(
    engine: Engine, tmp_path: Path, generator: torch.Generator
) -> None:
    w1, a, b = (torch.randn(shape, generator=generator) for shape in ((8, 8), (8, 2), (2, 8)))
    path = tmp_path / "lokr.safetensors"
    factors = {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": torch.tensor(1.0)}
    save_file({f"{KOHYA}.{name}": tensor for name, tensor in factors.items()}, path)
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    torch.testing.assert_close(merged_weight(engine, path, 1.0), base + 0.5 * torch.kron(w1, a @ b))


@pytest.mark.parametrize("by_rows", [True, False])
def test_a_dora_sets_the_lengths_of_rows_or_columns(
    engine: Engine, tmp_path: Path, generator: torch.Generator, by_rows: bool
) -> None:
    up, down = torch.randn(64, 4, generator=generator), torch.randn(4, 64, generator=generator)
    lengths = torch.rand(64, 1, generator=generator) if by_rows else torch.rand(1, 64, generator=generator)
    path = tmp_path / "dora.safetensors"
    factors = {"lora_up.weight": up, "lora_down.weight": down, "dora_scale": lengths}
    save_file({f"{KOHYA}.{name}": tensor for name, tensor in factors.items()}, path)
    base = engine.files.transformer.tensor(f"{LAYER}.weight")
    whole = base + up @ down
    measured = base.norm(dim=1, keepdim=True) if by_rows else whole.norm(dim=0, keepdim=True)
    torch.testing.assert_close(merged_weight(engine, path, 1.0), whole * lengths / measured)
    torch.testing.assert_close(
        merged_weight(engine, path, 0.4), base + 0.4 * (whole * lengths / measured - base), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "prefix",
    ["", "diffusion_model.", "model.diffusion_model.", "transformer.", "net.", "base_model.model.transformer."],
)
def test_native_names_are_known_under_every_prefix(engine: Engine, tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "prefixed.safetensors"
    save_file(
        {f"{prefix}{LAYER}.lora_A.weight": torch.ones(2, 64), f"{prefix}{LAYER}.lora_B.weight": torch.ones(64, 2)}, path
    )
    lora = Lora.read(path, engine.transformer)
    assert list(lora.factors) == [f"{LAYER}.weight"]
    assert lora.unmatched == ()


def test_keys_that_fit_nothing_are_reported_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    models = shutil.copytree(MODELS, tmp_path / "models")
    tensors = load_file(models / "loras" / "lokr.safetensors")
    save_file({**tensors, "lora_te_layers_0.alpha": torch.ones(1)}, models / "loras" / "more.safetensors")
    engine = Engine.load(models, device="cpu")
    with caplog.at_level(logging.WARNING):
        engine.generate([GenerationRequest("hat", width=64, height=64, steps=1, loras=(("more", 1.0),))])
    assert "lora_te_layers_0.alpha" in caplog.text


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"lora_unet_double_blocks_0_qkv.lora_up.weight": torch.ones(4, 4)}, "fits no layer of this model"),
        ({f"{KOHYA}.lora_up.weight": torch.ones(64, 4)}, "which is incomplete"),
        (
            {f"{KOHYA}.lora_up.weight": torch.ones(32, 4), f"{KOHYA}.lora_down.weight": torch.ones(4, 32)},
            "does not have that tensor's shape",
        ),
        (
            {f"{KOHYA}.lora_up.weight": torch.ones(64, 4), f"{KOHYA}.lora_down.weight": torch.ones(5, 64)},
            "does not have that tensor's shape",
        ),
        (
            {f"{KOHYA}.lora_up.weight": torch.ones(64, 4) / 0, f"{KOHYA}.lora_down.weight": torch.ones(4, 64)},
            "not numbers",
        ),
    ],
)
def test_a_file_that_does_not_fit_says_what_is_wrong(
    engine: Engine, tmp_path: Path, tensors: dict[str, Tensor], sentence: str
) -> None:
    path = tmp_path / "wrong.safetensors"
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=sentence):
        Lora.read(path, engine.transformer)


def test_a_damaged_file_says_so(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes((MODELS / "loras" / "lokr.safetensors").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="Delete it and download it again"):
        Lora.read(path, engine.transformer)
