"""float16, for cards without bfloat16: near float32, and no number is too large for it on the way."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference import Engine
from inference.devices import choose_precision, gpu_warnings
from inference.networks.transformer import Transformer
from tests.golden import CASES, EXPECTED, MODELS, relative_error
from tests.inference.networks.test_float8 import velocity_error
from tests.inference.test_golden import draw, without_frame

#: Measured: 0.09 to 0.12 % and 0.15 %.
VELOCITY_BOUND = 0.003
IMAGE_BOUND = 0.005
#: With it, what an MLP adds to the residual stream is beyond 65504, the largest number of float16.
FACTOR = 1000


@pytest.fixture(scope="module")
def sixteen() -> Engine:
    return Engine.load(MODELS, device="cpu", dtype="float16")


@pytest.mark.parametrize("number", range(len(CASES["velocity"])))
def test_velocities_are_nearer_to_the_references_than_those_of_bfloat16(sixteen: Engine, number: int) -> None:
    assert velocity_error(sixteen, number) < VELOCITY_BOUND


@pytest.mark.parametrize("number", [n for n, case in enumerate(CASES["images"]) if case["sampler"] == "euler"])
def test_images_stay_near_the_references(sixteen: Engine, number: int) -> None:
    latent = draw(sixteen, CASES["images"][number]).latent
    assert relative_error(latent, EXPECTED[f"images/{number}/latent"][0, :, 0]) < IMAGE_BOUND


def test_qwen_whose_residual_stream_would_not_fit_is_computed_in_float32(sixteen: Engine) -> None:
    assert sixteen.text_encoder.qwen.norm.weight.dtype == torch.float32
    assert sixteen.text_encoder.context("1girl", sixteen.transformer.llm_adapter).dtype == torch.float16


@torch.inference_mode()
def test_a_branch_may_be_larger_than_any_number_of_float16(tmp_path: Path) -> None:
    models = shutil.copytree(MODELS, tmp_path / "models")
    path = next((models / "diffusion_models").iterdir())
    tensors = load_file(path)
    for key in tensors:
        if key.endswith(("blocks.0.mlp.layer1.weight", "blocks.0.mlp.layer2.weight")):
            tensors[key] = (tensors[key].float() * FACTOR).to(tensors[key].dtype)
    save_file(tensors, path)
    exact, rounded = (Engine.load(models, device="cpu", dtype=dtype) for dtype in ("float32", "float16"))
    largest: list[float] = []

    def watch(_module: object, _inputs: object, branch: torch.Tensor) -> None:
        largest.append(float(branch.abs().max()))

    velocities = []
    for engine in (exact, rounded):
        text = EXPECTED[CASES["velocity"][0]["context"]][0].to(engine.dtype)
        with engine.transformer.blocks[0].mlp.register_forward_hook(watch):
            velocities.append(velocity(engine.transformer, text))
    assert largest[0] > torch.finfo(torch.float16).max > largest[1]
    assert relative_error(velocities[1], velocities[0]) < VELOCITY_BOUND


def velocity(transformer: Transformer, text: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = transformer(
        without_frame("velocity/0/x"), torch.tensor([0.7]), transformer.context([text] * CASES["velocity"][0]["batch"])
    )
    return result


@torch.inference_mode()
def test_pixels_that_do_not_fit_are_computed_again_in_float32(sixteen: Engine) -> None:
    latent = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1))
    exact = Engine.load(MODELS, device="cpu", dtype="float32").vae
    weights = {name: weight.clone() for name, weight in sixteen.vae.named_parameters()}
    assert relative_error(sixteen.vae.decode(latent), exact.decode(latent)) < 0.01
    for vae in (exact, sixteen.vae):
        vae.decoder.conv1.weight.data *= 1e4
        vae.decoder.conv1.bias.data *= 1e4
    try:
        pixels = sixteen.vae.decode(2e4 * latent)
        assert pixels.isfinite().all()
        assert relative_error(pixels, exact.decode(2e4 * latent)) < 0.01
        assert {weight.dtype for weight in sixteen.vae.parameters()} == {torch.float16}
    finally:
        for name, weight in sixteen.vae.named_parameters():
            weight.data = weights[name]


@pytest.mark.parametrize(
    ("capability", "auto", "float8"),
    [
        ((6, 1), "float32", torch.float32),
        ((7, 5), "float16", torch.float16),
        ((8, 0), "bfloat16", torch.bfloat16),
        ((12, 0), "bfloat16", torch.bfloat16),
    ],
)
def test_auto_is_the_fastest_format_that_a_card_has(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], auto: str, float8: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert choose_precision("auto", torch.device("cuda"), 2048).name == auto
    assert choose_precision("float8", torch.device("cuda"), 2048).compute == float8
    assert choose_precision("bfloat16", torch.device("cuda"), 2048).name == "bfloat16"
    assert any("slow" in sentence for sentence in gpu_warnings(capability, ["sm_60", "compute_75"], "bfloat16")) == (
        capability < (8, 0)
    )
