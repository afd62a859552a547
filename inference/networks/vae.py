"""The Qwen-Image VAE (the architecture of Wan 2.1's, arXiv 2503.20314) for still images: latents to pixels and back.

The released network is a video model whose convolutions are causal in time. For a single frame everything before it
is zero, so only the last time slice of each 3x3x3 kernel meets data and a plain 2D network computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.networks.structure import shapes_alone
from inference.tiling.average import TileAverage
from inference.tiling.layout import Tiles
from inference.weights.weights_file import WeightsFile, load_module, reading_sizes_off

#: Sides of an image are this many times those of its latent.
SCALE = 8
#: How many latent positions the decoder's convolutions reach to each side.
REACH = 18
#: The side of tiles and their overlap, in latent positions. Near a tile's edge convolutions lack up to REACH positions,
#: and attention never sees other tiles, so tiles differ from the whole with any overlap. A quarter is enough for the
#: blending to take edges from the neighbouring tile: in the miniature model with tiles of 16, the worst case, pixels
#: differ by 1.4 levels of 255 on average without overlap, by 0.33 with a quarter, and by 0.29 with a half.
TILE, OVERLAP = 64, 16

# Mean and standard deviation of each of the 16 latent channels, over the images the model was trained on.
LATENT_MEAN = (
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
)
LATENT_STD = (
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
)

#: Keys under which some programs write these statistics into a VAE's file.
STATISTICS = frozenset({"latents_mean", "latents_std", "mean", "std", "inv_std", "scale", "scaling_factor"})


@dataclass(frozen=True)
class Level:
    """One entry of the encoder's `downsamples` or the decoder's `upsamples`."""

    inputs: int
    outputs: int
    resamples: bool


@dataclass(frozen=True)
class VaeParams:
    """The sizes of a VAE, all of them read off the shapes of a checkpoint's tensors."""

    latent_channels: int
    down: tuple[Level, ...]
    up: tuple[Level, ...]

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> VaeParams:
        """`shapes` maps key names to tensor shapes. Raises KeyError with a missing key."""
        return cls(
            latent_channels=shapes["conv2.weight"][0],
            down=_levels(shapes, "encoder.downsamples."),
            up=_levels(shapes, "decoder.upsamples."),
        )


def _levels(shapes: Mapping[str, Sequence[int]], prefix: str) -> tuple[Level, ...]:
    count = len({key.removeprefix(prefix).split(".")[0] for key in shapes if key.startswith(prefix)})
    levels = []
    for i in range(count):
        resamples = f"{prefix}{i}.resample.1.weight" in shapes
        outputs, inputs = shapes[f"{prefix}{i}.{'resample.1' if resamples else 'residual.2'}.weight"][:2]
        levels.append(Level(inputs, outputs, resamples))
    return tuple(levels)


def still_image_weight(key: str, tensor: Tensor) -> Tensor | None:
    """Convert a tensor of the video VAE's file for a single frame; None if it is not needed."""
    if ".time_conv." in key or key in STATISTICS:
        return None
    if key.endswith(".gamma"):
        return tensor.flatten()
    if key.endswith(".weight") and tensor.ndim == 2:  # a 1x1 convolution, stored as a matrix
        return tensor[..., None, None]
    return tensor[:, :, -1] if tensor.ndim == 5 else tensor


def build_vae(file: WeightsFile) -> Vae:
    """A VAE with the sizes of `file`, on the meta device. Raises CheckpointError."""
    with shapes_alone(), reading_sizes_off(file):
        return Vae(VaeParams.from_shapes(file.shapes))


def load_vae(file: WeightsFile, device: torch.device, dtype: torch.dtype) -> Vae:
    """Load the VAE in `file`. Raises CheckpointError."""
    vae = build_vae(file)
    load_module(vae, file, device, dtype, convert=still_image_weight)
    return vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Vae(nn.Module):
    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, params: VaeParams) -> None:
        super().__init__()
        channels = params.latent_channels
        self.encoder = Encoder(params)
        self.conv1 = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(channels, channels, 1)
        self.decoder = Decoder(params)
        self.register_buffer("latent_mean", _channel_constant(LATENT_MEAN), persistent=False)
        self.register_buffer("latent_std", _channel_constant(LATENT_STD), persistent=False)

    def decode(self, latent: Tensor) -> Tensor:
        """Normalised latents [B, 16, h, w] to pixels float32 [B, 3, 8h, 8w], about -1 to 1 and not clamped."""
        z = latent.float() * self.latent_std + self.latent_mean
        return self._in_range(lambda z: self.decoder(self.conv2(z)), z)

    def decode_in_tiles(self, latent: Tensor, tile: int = TILE, overlap: int = OVERLAP) -> Tensor:
        """As `decode`, for images that do not fit into memory: in tiles of `tile` latent positions, blended where they
        overlap. The result is on the CPU.

        A tile's attention sees only that tile, so the image is close to that of `decode`, but not equal.
        """
        height, width = latent.shape[-2:]
        pixels = torch.zeros(len(latent), 3, SCALE * height, SCALE * width)
        tiles = Tiles(height, width, tile, tile, overlap)
        average = TileAverage(tiles, pixels, SCALE)
        for rows, columns in tiles:
            average.add(rows, columns, self.decode(latent[..., rows, columns]).cpu())
        return pixels

    def decoding_bytes(self, latent: Tensor) -> int:
        """About how much memory `decode` needs at its peak: a few of the widest feature maps at full size."""
        widest = max(level.inputs for level in self.decoder.levels[-3:])
        pixels = latent.shape[0] * latent.shape[-2] * latent.shape[-1] * SCALE**2
        return 5 * pixels * widest * self.conv2.weight.element_size()

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels [B, 3, 8h, 8w] from -1 to 1 to the mean of their normalised latents, float32 [B, 16, h, w]."""
        mean, _log_variance = self._in_range(lambda x: self.conv1(self.encoder(x)), pixels).chunk(2, dim=1)
        return (mean - self.latent_mean) / self.latent_std

    def _in_range(self, network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Run a part of the VAE on x; returns float32. If float16 overflows, it runs again in float32."""
        dtype = self.conv2.weight.dtype
        result = network(x.to(dtype, memory_format=torch.channels_last)).float()
        if dtype != torch.float16 or result.isfinite().all() or not x.isfinite().all():
            return result
        weights = {name: weight.data for name, weight in self.named_parameters()}
        try:
            for weight in self.parameters():
                weight.data = weight.data.float()
            return network(x.to(torch.float32, memory_format=torch.channels_last))
        finally:
            for name, weight in self.named_parameters():
                weight.data = weights[name]

    def encode_in_tiles(self, pixels: Tensor, tile: int = TILE, overlap: int = OVERLAP) -> Tensor:
        """As `encode`, for images that do not fit into memory: in tiles of `tile` latent positions, blended where they
        overlap. The result is on the CPU.

        `pixels` may be on the CPU; only a tile at a time is moved to the weights' device.
        """
        height, width = pixels.shape[-2] // SCALE, pixels.shape[-1] // SCALE
        latent = torch.zeros(len(pixels), self.latent_mean.shape[1], height, width)
        tiles = Tiles(height, width, tile, tile, overlap)
        average = TileAverage(tiles, latent)
        for rows, columns in tiles:
            part = pixels[..., _scaled(rows), _scaled(columns)].to(self.conv1.weight.device)
            average.add(rows, columns, self.encode(part).cpu())
        return latent


def _channel_constant(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, device="cpu").view(1, -1, 1, 1)  # not on the meta device, where the VAE is built


def _scaled(positions: slice) -> slice:
    return slice(SCALE * positions.start, SCALE * positions.stop)


class Encoder(nn.Module):
    def __init__(self, params: VaeParams) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, params.down[0].inputs, 3, padding=1)
        self.downsamples = nn.Sequential(
            *(
                Downsample(level.inputs) if level.resamples else ResidualBlock(level.inputs, level.outputs)
                for level in params.down
            )
        )
        width = params.down[-1].outputs
        self.middle = nn.Sequential(ResidualBlock(width, width), SpatialAttention(width), ResidualBlock(width, width))
        self.head = nn.Sequential(
            ChannelNorm(width), nn.SiLU(), nn.Conv2d(width, 2 * params.latent_channels, 3, padding=1)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.middle(self.downsamples(self.conv1(pixels))))


class Decoder(nn.Module):
    def __init__(self, params: VaeParams) -> None:
        super().__init__()
        self.levels = params.up
        width = params.up[0].inputs
        self.conv1 = nn.Conv2d(params.latent_channels, width, 3, padding=1)
        self.middle = nn.Sequential(ResidualBlock(width, width), SpatialAttention(width), ResidualBlock(width, width))
        self.upsamples = nn.Sequential(
            *(
                Upsample(level.inputs, level.outputs) if level.resamples else ResidualBlock(level.inputs, level.outputs)
                for level in params.up
            )
        )
        width = params.up[-1].outputs
        self.head = nn.Sequential(ChannelNorm(width), nn.SiLU(), nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        return self.head(self.upsamples(self.middle(self.conv1(z))))


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ChannelNorm(inputs),
            nn.SiLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            ChannelNorm(outputs),
            nn.SiLU(),
            nn.Identity(),  # dropout in training; the released keys count it
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.residual(x)


class SpatialAttention(nn.Module):
    """One head of attention among all positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.to_qkv = nn.Conv2d(width, 3 * width, 1)
        self.proj = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        positions = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).unsqueeze(1)
        query, key, value = positions.chunk(3, dim=-1)
        attended = F.scaled_dot_product_attention(query, key, value)
        return x + self.proj(attended.squeeze(1).transpose(1, 2).unflatten(2, x.shape[2:]))


class Downsample(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        return self.resample(x)


class Upsample(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.resample(x)


class ChannelNorm(nn.Module):
    """Each position divided by the root mean square of its channels, times `gamma`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.movedim(1, -1), self.gamma.shape, self.gamma, eps=1e-12).movedim(-1, 1)
