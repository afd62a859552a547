"""The exported files do in the engine what was trained."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from inference import Engine, GenerationRequest
from inference.miniature import export as stage
from inference.miniature.autoencoder import ANIMA, PARAMS, change_statistics
from inference.miniature.commands import MODELS
from inference.miniature.distill import add_lora
from inference.miniature.joint import Miniature, vocabularies
from inference.miniature.training import Run, Schedule
from inference.networks.vae import LATENT_MEAN, LATENT_STD, Vae

SIZES = [(96, 96), (80, 112), (112, 80)]
PROMPT = "masterpiece, 1girl, (red hair:1.3), @micah, blue background"


def perturb(module: torch.nn.Module) -> None:
    """Gives every weight that learns some value that bfloat16 can hold, so that none is zero by initialisation."""
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data = (parameter.data + 0.02 * torch.randn_like(parameter)).bfloat16().float()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Miniature, Vae, Miniature, Path]:
    """Untrained networks and the folder they were exported to."""
    workdir, models = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("models")
    shutil.copytree(MODELS / "tokenizers", workdir / "tokenizers")
    torch.manual_seed(0)
    miniature, vae = Miniature(*vocabularies(workdir)), Vae(PARAMS)
    perturb(miniature)
    perturb(vae)
    turbo = add_lora(miniature)
    perturb(turbo)
    Run(workdir / "train.pt", miniature, [], Schedule(1)).save()
    Run(workdir / "turbo.pt", turbo, [], Schedule(1)).save()
    Run(workdir / "vae_polished.pt", vae, [], Schedule(1)).save()
    stage.export(workdir, models, SIZES)
    return miniature.eval(), vae.eval(), turbo.eval(), models


@pytest.fixture(scope="module")
def exported(model: tuple[Miniature, Vae, Miniature, Path]) -> Engine:
    *_, models = model
    return Engine.load(models, device="cpu")


def velocity(model: Miniature, engine: Engine) -> torch.Tensor:
    x = torch.randn(1, 16, 14, 10, generator=torch.Generator().manual_seed(1))
    prompts = [engine.text_encoder.tokenizer(PROMPT)]
    with torch.no_grad():
        return model.transformer(x, torch.tensor([0.7]), model.context(prompts))


def engine_velocity(engine: Engine) -> torch.Tensor:
    x = torch.randn(1, 16, 14, 10, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        text = engine.text_encoder.context(PROMPT, engine.transformer.llm_adapter)
        return engine.transformer(x, torch.tensor([0.7]), engine.transformer.context([text]))


def test_the_engine_computes_with_the_exported_files_what_was_trained(
    model: tuple[Miniature, Vae, Miniature, Path], exported: Engine
) -> None:
    miniature, vae, *_ = model
    exported.use_loras(())
    torch.testing.assert_close(engine_velocity(exported), velocity(miniature, exported), rtol=1e-4, atol=1e-4)
    latent = torch.randn(1, 16, 4, 6)
    with torch.no_grad():
        torch.testing.assert_close(exported.vae.decode(latent), vae.decode(latent), rtol=1e-4, atol=1e-4)


def test_a_batch_of_different_lengths_gives_each_prompt_its_own_context(
    model: tuple[Miniature, Vae, Miniature, Path], exported: Engine
) -> None:
    miniature, *_ = model
    tokenizer = exported.text_encoder.tokenizer
    prompts = [tokenizer(text) for text in ("", PROMPT, "smile")]
    x, sigma = torch.randn(1, 16, 4, 4), torch.tensor([0.5])
    with torch.no_grad():
        together = miniature.transformer(x.repeat(3, 1, 1, 1), sigma, miniature.context(prompts))
        alone = [miniature.transformer(x, sigma, miniature.context([prompt])) for prompt in prompts]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_the_turbo_lora_does_in_the_engine_what_it_learned(
    model: tuple[Miniature, Vae, Miniature, Path], exported: Engine
) -> None:
    _, _, turbo, _ = model
    exported.use_loras([("turbo", 1.0)])
    torch.testing.assert_close(engine_velocity(exported), velocity(turbo, exported), rtol=1e-3, atol=1e-3)


def test_the_file_says_what_it_is_and_the_engine_follows(exported: Engine) -> None:
    native = exported.native
    assert native.sizes == tuple(SIZES)
    assert (native.steps, native.cfg_scale, native.sampler, native.scheduler) == (24, 4.0, "er_sde", "simple")


def test_kernels_are_those_of_a_video_model(model: tuple[Miniature, Vae, Miniature, Path]) -> None:
    *_, models = model
    with safe_open(models / stage.VAE, "pt") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    assert shapes["encoder.conv1.weight"] == [16, 3, 3, 3, 3]
    assert shapes["conv2.weight"] == [16, 16, 1, 1, 1]
    assert shapes["decoder.upsamples.2.resample.1.weight"] == [32, 64, 3, 3]
    assert shapes["decoder.upsamples.2.time_conv.weight"] == [128, 64, 3, 1, 1]
    assert shapes["decoder.middle.1.norm.gamma"] == [64, 1, 1]
    assert {key for key in shapes if key.endswith("time_conv.bias")} == {
        *("encoder.downsamples.3.time_conv.bias", "encoder.downsamples.5.time_conv.bias"),
        *("decoder.upsamples.2.time_conv.bias", "decoder.upsamples.5.time_conv.bias"),
    }


def test_a_request_below_the_native_steps_still_draws(exported: Engine) -> None:
    (picture,) = exported.generate([GenerationRequest(PROMPT, width=80, height=112, steps=2, loras=(("turbo", 1.0),))])
    assert picture.image.size == (80, 112)


def test_folding_gives_latents_anima_s_statistics_and_changes_no_picture() -> None:
    torch.manual_seed(0)
    plain = Vae(PARAMS)
    pixels = torch.rand(4, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        moments = plain.conv1(plain.encoder(pixels))[:, :16]
        mean, std = moments.mean((0, 2, 3)), moments.std((0, 2, 3))
        before = plain.decoder(plain.conv2(moments))
        change_statistics(plain, (mean, std), ANIMA)
        folded = plain.conv1(plain.encoder(pixels))[:, :16]
        after = plain.decoder(plain.conv2(folded))
    torch.testing.assert_close(folded.mean((0, 2, 3)), torch.tensor(LATENT_MEAN), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(folded.std((0, 2, 3)), torch.tensor(LATENT_STD), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)
