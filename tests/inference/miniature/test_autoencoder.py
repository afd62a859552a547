"""The stage that trains the VAE's decoder."""

import json
from pathlib import Path

import pytest
import torch

from inference.miniature.autoencoder import encode_images, polish_decoder, train_vae
from inference.miniature.training import averaged_weights
from tests.inference.miniature.plain_images import write_pictures

CPU = torch.device("cpu")


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # mixed precision norms in two steps
def test_the_decoder_learns_on_and_the_latents_stay_as_they_were(tmp_path: Path) -> None:
    write_pictures(tmp_path, "train")
    write_pictures(tmp_path, "held_out")
    train_vae(tmp_path, 1, 1.0, CPU)
    encode_images(tmp_path, CPU)
    polish_decoder(tmp_path, 12, CPU)
    before = torch.load(tmp_path / "vae_folded.pt")
    after = torch.load(tmp_path / "vae_polished.pt")["model"]
    changed = {key for key, weight in before.items() if not torch.equal(weight, after[key])}
    assert changed and all(key.startswith(("decoder.", "conv2.")) for key in changed)
    assert averaged_weights(tmp_path / "vae_polished.pt").keys() == before.keys()
    assert json.loads((tmp_path / "vae_polished.log").read_text(encoding="utf-8").splitlines()[-1])["psnr (64, 64)"] > 0
