"""A LoRA for Qwen3 changes Qwen3, for the requests that name it and for no others."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference import Engine, GenerationRequest
from tests.golden import MODELS, relative_error

TEXT_ENCODER = Path("text_encoders/qwen_3_tiny.safetensors")
REQUEST = GenerationRequest("1girl, smile", "bad", width=64, height=64, steps=2, seed=1)
LAYERS = {"layers.0.self_attn.q_proj": (64, 40), "layers.1.mlp.up_proj": (96, 40)}
STYLES = ("lora_te_{}", "lora_te1_{}", "text_encoders.qwen3_06b.transformer.model.{}", "text_encoder.{}")


def a_lora(style: str, scale: float = 1.0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for layer, (rows, columns) in LAYERS.items():
        name = style.format(layer.replace(".", "_") if style.startswith("lora_") else layer)
        down = torch.randn(2, columns, generator=generator)
        tensors[f"{name}.lora_up.weight"] = scale * torch.randn(rows, 2, generator=generator)
        tensors[f"{name}.lora_down.weight"] = down
    return tensors


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = shutil.copytree(MODELS, tmp_path_factory.mktemp("text_encoder_lora") / "models")
    for number, style in enumerate(STYLES):
        save_file(a_lora(style), models / "loras" / f"style{number}.safetensors")
    return models


@pytest.fixture(scope="module")
def by_hand(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine whose Qwen3 has the change in its file."""
    merged = shutil.copytree(models, tmp_path_factory.mktemp("by_hand") / "models")
    tensors = load_file(merged / TEXT_ENCODER)
    lora = a_lora("{}")
    for layer in LAYERS:
        tensors[f"model.{layer}.weight"] += lora[f"{layer}.lora_up.weight"] @ lora[f"{layer}.lora_down.weight"]
    save_file(tensors, merged / TEXT_ENCODER)
    return Engine.load(merged, device="cpu")


@pytest.mark.parametrize("number", range(len(STYLES)))
def test_it_draws_what_weights_merged_by_hand_draw(models: Path, by_hand: Engine, number: int) -> None:
    engine = Engine.load(models, device="cpu")
    [wanted] = by_hand.generate([REQUEST])
    [plain] = engine.generate([REQUEST])
    [drawn] = engine.generate([replace(REQUEST, loras=((f"style{number}", 1.0),))])
    change = (wanted.latent - plain.latent).norm()
    assert change > 1e-2 * plain.latent.norm()
    assert (drawn.latent - wanted.latent).norm() < 2e-2 * change
    assert drawn.notes == ()


def test_the_same_prompt_with_and_without_it_is_right_both_times_in_one_engine(models: Path, by_hand: Engine) -> None:
    engine = Engine.load(models, device="cpu")
    with_it = replace(REQUEST, loras=(("style0", 1.0),))
    [wanted] = by_hand.generate([REQUEST])
    plain, drawn, plain_again, drawn_again = (
        engine.generate([request])[0].latent for request in (REQUEST, with_it, REQUEST, with_it)
    )
    assert relative_error(drawn, wanted.latent) < 1e-4
    assert torch.equal(plain, plain_again)
    assert torch.equal(drawn, drawn_again)
    together = engine.generate([REQUEST, with_it, REQUEST])
    assert relative_error(together[0].latent, plain) < 1e-5
    assert relative_error(together[1].latent, drawn) < 1e-5


def test_half_the_strength_is_half_the_change_of_the_weights(models: Path) -> None:
    engine = Engine.load(models, device="cpu")
    name = "layers.0.self_attn.q_proj.weight"
    base = engine.text_encoder.qwen.get_parameter(name).clone()
    engine.use_loras([("style0", 1.0)])
    whole = engine.text_encoder.qwen.get_parameter(name) - base
    engine.use_loras([("style0", -0.5)])
    torch.testing.assert_close(engine.text_encoder.qwen.get_parameter(name) - base, -0.5 * whole)
    engine.use_loras([])
    assert torch.equal(engine.text_encoder.qwen.get_parameter(name), base)
