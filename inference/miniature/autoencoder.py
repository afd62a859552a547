"""Stage three: trains the VAE to reconstruct the images, small features first.

Its latents get the mean and standard deviation of Anima's constants (folded exactly into the convolutions next to the
latent), so code that loads it need not know that it is a different VAE.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from inference.miniature.data import Pixels, Record, TrainingImages, load_images
from inference.miniature.training import Run, Schedule, averaged_weights, mixed_precision
from inference.networks.vae import LATENT_MEAN, LATENT_STD, Level, Vae, VaeParams

BATCH = 8
LEARNING_RATE = 1e-3
KL_WEIGHT = 4e-4
CROP = 64
WHOLE_IMAGES_FROM = 0.75

PARAMS = VaeParams(
    latent_channels=16,
    down=(
        Level(16, 16, False),
        Level(16, 16, True),
        Level(16, 32, False),
        Level(32, 32, True),
        Level(32, 64, False),
        Level(64, 64, True),
        Level(64, 64, False),
    ),
    up=(
        Level(64, 64, False),
        Level(64, 64, False),
        Level(64, 32, True),
        Level(32, 64, False),
        Level(64, 64, False),
        Level(64, 32, True),
        Level(32, 32, False),
        Level(32, 32, False),
        Level(32, 16, True),
        Level(16, 16, False),
        Level(16, 16, False),
    ),
)

#: Mean and standard deviation of each channel of the latents, [16] both.
Statistics = tuple[Tensor, Tensor]

ANIMA: Statistics = torch.tensor(LATENT_MEAN), torch.tensor(LATENT_STD)
STANDARD: Statistics = torch.zeros(PARAMS.latent_channels), torch.ones(PARAMS.latent_channels)


def train_vae(workdir: Path, steps: int, peak: float, device: torch.device) -> None:
    """Trains from scratch, or from the VAE that `restore` wrote."""
    buckets = load_images(workdir, "train")
    held_out = load_images(workdir, "held_out")
    shares = bucket_shares(buckets)
    torch.manual_seed(0)
    vae = Vae(PARAMS)
    if (found := workdir / "vae_folded.pt").exists():
        vae.load_state_dict(torch.load(found))
        change_statistics(vae, ANIMA, STANDARD)
    else:
        with torch.no_grad():
            _bias(vae.conv1)[PARAMS.latent_channels :] = -5.0  # start with hardly any latent noise
    vae.to(device)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    run = Run(workdir / "vae.pt", vae, [optimizer], Schedule(steps, falling=0.6, peak=peak))

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([1, step])
        pixels = buckets[rng.choice(len(buckets), p=shares)].pixels
        batch = [pixels[rng.integers(len(pixels))] for _ in range(BATCH)]
        if step < WHOLE_IMAGES_FROM * steps:
            batch = [random_crop(image, rng) for image in batch]
        generator = torch.Generator(device).manual_seed(step)
        with mixed_precision(device):
            return reconstruction_loss(vae, to_tensor(np.stack(batch), device), KL_WEIGHT, generator)

    def validate(average: nn.Module) -> dict[str, Any]:
        assert isinstance(average, Vae)
        return {f"psnr {bucket.size}": psnr(average, bucket, device) for bucket in held_out}

    run.fit(loss, validate)


def random_crop(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A square with CROP pixels a side: nearly always with the face, and with half as many flat pixels as the whole."""
    top, left = (int(rng.integers(side - CROP + 1)) for side in image.shape[:2])
    return image[top : top + CROP, left : left + CROP]


def reconstruction_loss(vae: Vae, pixels: Tensor, kl_weight: float, generator: torch.Generator) -> Tensor:
    """L1, squared and gradient error, plus the KL divergence of the latents from a standard normal distribution."""
    mean, log_variance = (part.float() for part in vae.conv1(vae.encoder(pixels)).chunk(2, dim=1))
    log_variance = log_variance.clamp(-20, 10)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    z = mean + (log_variance / 2).exp() * noise
    error = vae.decoder(vae.conv2(z)).float() - pixels
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2
    return error.abs().mean() + error.square().mean() + 0.5 * edges + kl_weight * divergence


def bucket_shares(buckets: list[TrainingImages]) -> np.ndarray[Any, np.dtype[np.float64]]:
    counts = np.array([len(bucket.records) for bucket in buckets])
    return counts / counts.sum()


def to_tensor(pixels: Pixels, device: torch.device) -> Tensor:
    """uint8 [n, height, width, 3] to float32 [n, 3, height, width] from -1 to 1."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div(127.5).sub(1)


@torch.no_grad()
def psnr(vae: Vae, images: TrainingImages, device: torch.device, count: int = 32) -> float:
    """Mean peak signal-to-noise ratio in dB of the first images' reconstructions."""
    pixels = to_tensor(images.pixels[:count], device)
    error = (vae.decode(vae.encode(pixels)).clamp(-1, 1) - pixels) / 2
    return round(float(-10 * error.square().mean(dim=(1, 2, 3)).log10().mean()), 2)


def encode_images(workdir: Path, device: torch.device) -> None:
    """Saves the latents of all training images, and folds their statistics into the trained VAE (`vae_folded.pt`)."""
    vae = Vae(PARAMS)
    vae.load_state_dict(averaged_weights(workdir / "vae.pt"))
    moments = encoded_images(vae, workdir, device)
    channels = PARAMS.latent_channels
    everything = torch.cat([part[:, :channels].movedim(1, -1).flatten(0, -2) for part in moments])
    mean, std = everything.mean(0), everything.std(0)
    keep_latents(moments, mean, std, workdir)
    change_statistics(vae.cpu(), (mean, std), ANIMA)
    torch.save(vae.state_dict(), workdir / "vae_folded.pt")


@torch.no_grad()
def encoded_images(vae: Vae, workdir: Path, device: torch.device, batch: int = 100) -> list[Tensor]:
    """For each size of the training images, their latents' mean and log variance [n, 32, height / 8, width / 8]."""
    vae = vae.to(device).eval()
    moments = []
    for bucket in load_images(workdir, "train"):
        parts = []
        for start in tqdm(range(0, len(bucket.records), batch), desc=f"latents {bucket.size}"):
            with mixed_precision(device):
                parts.append(vae.conv1(vae.encoder(to_tensor(bucket.pixels[start : start + batch], device))).float())
        moments.append(torch.cat(parts).cpu())
    return moments


def keep_latents(moments: list[Tensor], mean: Tensor, std: Tensor, workdir: Path) -> None:
    """Writes `latents.pt`: for each size, the mean and standard deviation of every image's latent, both float16
    [n, 16, height / 8, width / 8] and normalised with `mean` and `std` [16].
    """
    channels = PARAMS.latent_channels
    latents = [
        (
            ((part[:, :channels] - mean[:, None, None]) / std[:, None, None]).half(),
            ((part[:, channels:].clamp(-20, 10) / 2).exp() / std[:, None, None]).half(),
        )
        for part in moments
    ]
    torch.save(latents, workdir / "latents.pt")


def polish_decoder(workdir: Path, steps: int, device: torch.device) -> None:
    """Continues training the decoder alone, from the latents that `latents.pt` has: `vae_polished.pt`.

    Squared errors weigh more than in `train_vae`, and half of each batch are images with details that were lost most,
    so that the VAE learns them: earrings, and the colour of a strip of shirt.
    """
    buckets = load_images(workdir, "train")
    held_out = load_images(workdir, "held_out")
    moments: list[tuple[Tensor, Tensor]] = torch.load(workdir / "latents.pt")
    detailed = [np.flatnonzero([_has_detail(record) for record in bucket.records]) for bucket in buckets]
    shares = bucket_shares(buckets)
    vae = Vae(PARAMS).to(device)
    vae.load_state_dict(torch.load(workdir / "vae_folded.pt"))
    vae.requires_grad_(False)
    vae.decoder.requires_grad_(True)
    vae.conv2.requires_grad_(True)
    learning = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=LEARNING_RATE / 2, betas=(0.9, 0.99), weight_decay=1e-4)
    run = Run(workdir / "vae_polished.pt", vae, [optimizer], Schedule(steps, falling=0.6))

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([5, step])
        bucket = rng.choice(len(buckets), p=shares)
        chosen = np.concatenate(
            [rng.integers(len(buckets[bucket].records), size=BATCH // 4), rng.choice(detailed[bucket], BATCH // 4)]
        )
        mean, deviation = (part[chosen].to(device).float() for part in moments[bucket])
        noise = torch.from_numpy(rng.standard_normal(mean.shape, np.float32)).to(device)
        pixels = to_tensor(buckets[bucket].pixels[chosen], device)
        with mixed_precision(device):
            error = vae.decode(mean + deviation * noise).float() - pixels
        edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        return error.abs().mean() + 4 * error.square().mean() + 0.5 * edges

    def validate(average: nn.Module) -> dict[str, Any]:
        assert isinstance(average, Vae)
        return {f"psnr {bucket.size}": psnr(average, bucket, device) for bucket in held_out}

    run.fit(loss, validate)


def _has_detail(record: Record) -> bool:
    return record.character.earrings or record.character.style == "micah"


@torch.no_grad()
def change_statistics(vae: Vae, before: Statistics, after: Statistics) -> None:
    """Adapts the convolutions next to the latent so that latents change from one mean and deviation to another."""
    (mean, std), (wanted_mean, wanted_std) = before, after
    channels = len(mean)
    ratio = wanted_std / std
    vae.conv1.weight[:channels] *= ratio[:, None, None, None]
    bias = _bias(vae.conv1)
    bias[:channels] = (bias[:channels] - mean) * ratio + wanted_mean
    bias[channels:] += 2 * ratio.log()
    weight = vae.conv2.weight[:, :, 0, 0].clone()
    _bias(vae.conv2).add_(weight @ (mean - wanted_mean / ratio))
    vae.conv2.weight.copy_((weight / ratio)[:, :, None, None])


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
