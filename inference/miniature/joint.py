"""Stage four: trains transformer, adapter and Qwen3 together to draw what captions say.

They start from scratch, or from the weights that `restore` wrote.

Rectified flow (arXiv 2209.03003): at noise level sigma the image is `(1 - sigma) * x0 + sigma * noise`, and the
network learns the velocity `noise - x0`.
"""

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from inference.miniature.captions import caption
from inference.miniature.characters import STYLES, Box, detail_boxes, face_box
from inference.miniature.data import Record, load_images
from inference.miniature.training import Run, Schedule, mixed_precision
from inference.networks.params import AdapterParams, TransformerParams
from inference.networks.qwen import Qwen, QwenParams
from inference.networks.text_encoder import PromptTokenizer, PromptTokens
from inference.networks.transformer import CONTEXT_LENGTH, Context, Transformer

WIDTH, DEPTH, HEAD_DIM = 192, 6, 32
TEXT_WIDTH, TEXT_DEPTH = 128, 2
MODULATION_RANK = 32

NOISES = 2
FACE_WEIGHT, DETAIL_WEIGHT = 2.5, 5.0
MUON_RATE, ADAM_RATE = 0.02, 2e-3
#: Training never reaches step numbers from here on: their batches and noises validate the averaged weights.
UNSEEN = 1 << 30


class Miniature(nn.Module):
    """The two networks that one diffusion training step needs."""

    def __init__(self, qwen_vocabulary: int, t5_vocabulary: int) -> None:
        super().__init__()
        self.qwen = Qwen(
            QwenParams(
                vocabulary=qwen_vocabulary,
                width=TEXT_WIDTH,
                depth=TEXT_DEPTH,
                heads=4,
                key_heads=2,
                head_dim=HEAD_DIM,
                mlp_width=2 * TEXT_WIDTH,
            )
        )
        self.transformer = Transformer(
            TransformerParams(
                width=WIDTH,
                depth=DEPTH,
                head_dim=HEAD_DIM,
                mlp_width=4 * WIDTH,
                context_width=TEXT_WIDTH,
                modulation_rank=MODULATION_RANK,
                latent_channels=16,
                adapter=AdapterParams(t5_vocabulary, TEXT_WIDTH, TEXT_DEPTH, HEAD_DIM, 4 * TEXT_WIDTH, TEXT_WIDTH),
            )
        )
        self.initialise()

    def initialise(self) -> None:
        """Makes every block the identity and the prediction zero at first (adaLN-Zero, arXiv 2212.09748)."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.5)
        for name, weight in self.transformer.named_parameters():
            if ("adaln_modulation" in name and name.endswith(".2.weight")) or name == "final_layer.linear.weight":
                nn.init.zeros_(weight)
        nn.init.normal_(self.transformer.t_embedder[1].linear_2.weight, std=0.02)

    def context(self, prompts: Sequence[PromptTokens], repeats: int = 1) -> Context:
        """The text context of a batch, like that of `Transformer.context`; the batch is repeated `repeats` times."""
        device = self.transformer.final_layer.linear.weight.device
        qwen_ids, qwen_mask = _pad([prompt.qwen_ids for prompt in prompts], device)
        t5_ids, t5_mask = _pad([prompt.t5_ids for prompt in prompts], device)
        weights, _ = _pad([prompt.t5_weights for prompt in prompts], device)
        hidden = self.qwen(qwen_ids)  # causal: padding comes after
        rows = self.transformer.llm_adapter(hidden, t5_ids, qwen_mask, t5_mask) * (weights * t5_mask)[..., None]
        rows = torch.cat([rows, rows.new_zeros(len(prompts), 1, rows.shape[-1])], dim=1).repeat(repeats, 1, 1)
        lengths = t5_mask.sum(dim=1, keepdim=True)
        bias = torch.where(t5_mask, 0.0, -1e4)
        bias = torch.cat([bias, (CONTEXT_LENGTH - lengths).log()], dim=1).repeat(repeats, 1)[:, None, None]
        keys_values = tuple(block.cross_attn.keys_values(rows) for block in self.transformer.blocks)
        return Context(keys_values, bias.to(keys_values[0][0].dtype))


def _pad(rows: Sequence[Sequence[float]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of different lengths as one tensor [B, n] padded with zeros, and a mask that is true for real entries."""
    longest = max(map(len, rows))
    padded = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return padded, torch.arange(longest, device=device) < lengths[:, None]


class Latents:
    """Batches of the training images' latents; all images of a batch have one size."""

    def __init__(self, workdir: Path, device: torch.device) -> None:
        path = workdir / "latents.pt"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run the vae stage or the restore stage first.")
        self.moments: list[tuple[Tensor, Tensor]] = torch.load(path)
        images = load_images(workdir, "train")
        self.records: list[list[Record]] = [bucket.records for bucket in images]
        self.weights = [loss_weights(bucket.size) for bucket in images]
        counts = np.array([len(records) for records in self.records])
        self.shares = counts / counts.sum()
        self.device = device

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, list[Record]]:
        """Latents float32 [count, 16, h, w], loss weights [count, 1, h, w] and records, drawn at random."""
        bucket = rng.choice(len(self.moments), p=self.shares)
        chosen = rng.integers(len(self.records[bucket]), size=count)
        mean, deviation = (part[chosen].to(self.device).float() for part in self.moments[bucket])
        records = [self.records[bucket][index] for index in chosen]
        noise = torch.from_numpy(rng.standard_normal(mean.shape, np.float32)).to(self.device)
        weights = torch.stack([self.weights[bucket][record.character.style] for record in records])
        return mean + deviation * noise, weights.to(self.device), records


def loss_weights(size: tuple[int, int]) -> dict[str, Tensor]:
    """For each style, loss weights [1, height / 8, width / 8] for images of `size`: larger on the face, normalised to
    a mean of 1, and then DETAIL_WEIGHT on other small parts.
    """
    width, height = size[0] // 8, size[1] // 8

    def place(box: Box, last: Callable[[float], int]) -> tuple[slice, slice]:
        left, top, right, bottom = box
        return slice(round(top * height), last(bottom * height)), slice(round(left * width), last(right * width))

    maps = {}
    for style in STYLES:
        weights = torch.ones(height, width)
        weights[place(face_box(style, size), round)] = FACE_WEIGHT
        weights /= weights.mean()
        for box in detail_boxes(style, size):
            weights[place(box, math.ceil)] = DETAIL_WEIGHT
        maps[style] = weights[None]
    return maps


def velocity_loss(
    model: Miniature, x0: Tensor, weights: Tensor, prompts: Sequence[PromptTokens], generator: torch.Generator
) -> Tensor:
    """The mean weighted squared error of the velocity, with each image at NOISES noise levels."""
    x0, weights = x0.repeat(NOISES, 1, 1, 1), weights.repeat(NOISES, 1, 1, 1)
    sigma = sample_sigmas(len(x0), generator)
    noise = torch.randn(x0.shape, generator=generator, device=x0.device)
    x = torch.lerp(x0, noise, sigma[:, None, None, None])
    velocity = model.transformer(x, sigma, model.context(prompts, repeats=NOISES))
    return ((velocity - (noise - x0)).square() * weights).mean()


def sample_sigmas(count: int, generator: torch.Generator) -> Tensor:
    """Noise levels [count]: half of them uniform, half logit-normal with Anima's shift of 3."""
    device = generator.device
    uniform = (torch.randperm(count, generator=generator, device=device) + 0.5) / count
    normal = torch.randn(count, generator=generator, device=device).sigmoid()
    shifted = 3 * normal / (1 + 2 * normal)
    return torch.where(torch.rand(count, generator=generator, device=device) < 0.5, uniform, shifted)


def make_optimizers(model: Miniature) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings, norms, biases and the outermost layers."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        inner = parameter.ndim == 2 and ("blocks." in name or "layers." in name)
        (matrices if inner else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=MUON_RATE, momentum=0.95, weight_decay=0.02),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def train(workdir: Path, steps: int, peak: float, batch: int, device: torch.device) -> None:
    """Train the networks. batch: captions per step, each with NOISES noise levels."""
    latents = Latents(workdir, device)
    tokenizer = PromptTokenizer(workdir / "tokenizers" / "qwen", workdir / "tokenizers" / "t5")
    torch.manual_seed(0)
    model = Miniature(*vocabularies(workdir)).to(device)
    if (start := workdir / "start.pt").exists():
        model.load_state_dict(torch.load(start))
    run = Run(workdir / "train.pt", model, make_optimizers(model), Schedule(steps, peak=peak))

    def loss(step: int, network: Miniature = model) -> Tensor:
        rng = np.random.default_rng([2, step])
        x0, weights, records = latents.batch(rng, batch)
        words = random.Random(step)
        prompts = [tokenizer(caption(record, words)) for record in records]
        generator = torch.Generator(device).manual_seed(step)
        # Plain attention: for sequences this short the fused kernels' backward pass takes several times longer.
        with mixed_precision(device), sdpa_kernel(SDPBackend.MATH):
            return velocity_loss(network, x0, weights, prompts, generator)

    def validate(average: nn.Module) -> dict[str, Any]:
        assert isinstance(average, Miniature)
        with torch.no_grad():
            losses = [float(loss(UNSEEN + number, average)) for number in range(4)]
        return {"averaged loss": round(sum(losses) / len(losses), 5)}

    run.fit(loss, validate)


def vocabularies(workdir: Path) -> tuple[int, int]:
    """The vocabulary sizes of the two tokenizers, Qwen's first and T5's second."""
    folder = workdir / "tokenizers"
    qwen, t5 = (Tokenizer.from_file(str(folder / name / "tokenizer.json")) for name in ("qwen", "t5"))
    return qwen.get_vocab_size(), t5.get_vocab_size()
