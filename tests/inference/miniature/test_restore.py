"""Training continues from the bundled files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from inference import Engine
from inference.miniature.autoencoder import PARAMS, to_tensor, train_vae
from inference.miniature.commands import MODELS
from inference.miniature.joint import train
from inference.miniature.restore import restore
from inference.networks.vae import Vae
from tests.inference.miniature.plain_images import write_pictures

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shipped() -> Engine:
    return Engine.load(MODELS, device="cpu")


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # mixed precision norms in two steps
def test_training_continues_from_the_bundled_files(tmp_path: Path, shipped: Engine) -> None:
    write_pictures(tmp_path, "train")
    restore(tmp_path, MODELS, CPU)
    train(tmp_path, steps=1, peak=0.0, batch=8, device=CPU)  # a step that changes nothing
    trained = torch.load(tmp_path / "train.pt")["model"]
    for name, network in (("transformer", shipped.transformer), ("qwen", shipped.text_encoder.qwen)):
        for key, weight in network.state_dict().items():
            assert torch.equal(trained[f"{name}.{key}"], weight), key


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_restored_latents_are_those_that_the_shipped_vae_decodes(tmp_path: Path, shipped: Engine) -> None:
    write_pictures(tmp_path, "train")
    restore(tmp_path, MODELS, CPU)
    ((mean, deviation),) = torch.load(tmp_path / "latents.pt")
    pixels = to_tensor(np.load(tmp_path / "pictures" / "train-0000.npy"), CPU)
    vae = shipped.vae
    with torch.no_grad():
        encoded = vae.encode(pixels)
    assert mean.shape == deviation.shape == encoded.shape
    assert (mean.float() - encoded).square().mean() < 1e-3 * encoded.square().mean()
    assert (deviation > 0).all()


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
def test_the_vae_continues_from_the_bundled_one(tmp_path: Path, shipped: Engine) -> None:
    write_pictures(tmp_path, "train")
    write_pictures(tmp_path, "held_out")
    restore(tmp_path, MODELS, CPU)
    train_vae(tmp_path, steps=1, peak=0.0, device=CPU)  # a step that changes nothing
    vae, trained = shipped.vae, Vae(PARAMS)
    trained.load_state_dict(torch.load(tmp_path / "vae.pt")["model"])
    pixels = to_tensor(np.load(tmp_path / "pictures" / "train-0000.npy"), CPU)
    with torch.no_grad():
        latents = trained.conv1(trained.encoder(pixels))[:, : PARAMS.latent_channels]
        torch.testing.assert_close(latents, vae.encode(pixels), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(
            trained.decoder(trained.conv2(latents)), vae.decode(vae.encode(pixels)), rtol=1e-3, atol=1e-3
        )
