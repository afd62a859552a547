"""Replaces the stages from tokenizers to decoder: prepares a work folder from the bundled files.

The bundled VAE encodes the images, and the next training starts from the bundled networks, with fresh optimizers. For
images of another size, the VAE can be trained further before the networks.
"""

import shutil
from pathlib import Path

import torch

from inference import Engine
from inference.miniature.autoencoder import ANIMA, encoded_images, keep_latents


def restore(workdir: Path, models: Path, device: torch.device) -> None:
    """Writes `tokenizers`, `vae_folded.pt`, `latents.pt` and `start.pt`, the weights of a `Miniature`."""
    shutil.copytree(models / "tokenizers", workdir / "tokenizers", dirs_exist_ok=True)
    engine = Engine.load(models, device="cpu", dtype="float32")
    networks = {"transformer": engine.transformer, "qwen": engine.text_encoder.qwen}
    weights = {
        f"{name}.{key}": value.clone()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    torch.save(weights, workdir / "start.pt")
    torch.save(engine.vae.state_dict(), workdir / "vae_folded.pt")
    keep_latents(encoded_images(engine.vae, workdir, device), *ANIMA, workdir)
