"""Trains the tests' tagger: `python -m tests.train_miniature_tagger WORKDIR`, some minutes on two cores.

It starts from the miniature's classifier, which never saw an image with margins, and learns to answer the same from the
miniature's training images (drawn by DiceBear, which npm installs under the work folder) in white squares, as a tagger
gets them. `tests/miniature_tagger.py` makes the ONNX file of the weights.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from safetensors.torch import save_file

from inference.miniature.autoencoder import to_tensor
from inference.miniature.characters import Character, drawing, random_character
from inference.miniature.classifier import Classifier, labels
from inference.miniature.data import Pixels, install_renderer, render
from tests.miniature_tagger import CLASSIFIER, SIDE, WEIGHTS

SIZES = ((128, 128), (112, 144), (144, 112))
BATCH = 48
LEARNING_RATE = 4e-4
#: Shapes (width by height) besides the images' own.
SHAPES = (1.0, 7 / 9, 9 / 7)


def draw(workdir: Path, count: int) -> tuple[list[Pixels], list[Character]]:
    """As many images of each of the miniature's sizes, and whom they show."""
    rng = random.Random(7)
    renderer = install_renderer(workdir)
    images: list[Pixels] = []
    people: list[Character] = []
    for size in SIZES:
        drawn = [random_character(rng, held_out=False) for _ in range(count)]
        images += list(render([drawing(character, size, rng) for character in drawn], size, renderer))
        people += drawn
    return images, people


def in_square(image: Pixels, shape: float) -> Pixels:
    """The middle of the image in this shape, as a tagger gets it, uint8 [SIDE, SIDE, 3]."""
    height, width, _ = image.shape
    wide, high = min(width, round(height * shape)), min(height, round(width / shape))
    left, top = (width - wide) // 2, (height - high) // 2
    seen = Image.fromarray(image[top : top + high, left : left + wide])
    longer = max(seen.size)
    square = Image.new("RGB", (longer, longer), "white")
    square.paste(seen, ((longer - wide) // 2, (longer - high) // 2))
    return np.array(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def roughened(image: Pixels, rng: np.random.Generator) -> Pixels:
    """As soft and as noisy as what the miniature draws."""
    soft = np.array(Image.fromarray(image).filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8))), np.float32)
    return (soft + rng.normal(0, 5, image.shape)).clip(0, 255).astype(np.uint8)


def train(images: list[Pixels], people: list[Character], steps: int) -> Classifier:
    tagger = Classifier.load(CLASSIFIER)  # its norms keep their statistics
    truths = labels(people)
    rng = np.random.default_rng(7)
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        chosen = rng.integers(len(images), size=BATCH)
        shapes = [rng.choice([images[at].shape[1] / images[at].shape[0], *SHAPES]) for at in chosen]
        seen = [roughened(in_square(images[at], shape), rng) for at, shape in zip(chosen, shapes, strict=True)]
        logits = tagger(to_tensor(np.stack(seen), torch.device("cpu")))
        losses = [
            F.cross_entropy(logits[question], truth[chosen], ignore_index=-100, reduction="sum") / BATCH
            for question, truth in truths.items()
        ]
        loss = torch.stack(losses).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            print(f"step {step} of {steps}: {loss.item():.3f}", flush=True)
    return tagger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--images", type=int, default=800, help="of each size")
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    torch.manual_seed(7)
    images, people = draw(options.workdir, options.images)
    weights = train(images, people, options.steps).state_dict()
    save_file(
        {name: value.half().contiguous() for name, value in weights.items() if value.is_floating_point()}, WEIGHTS
    )


if __name__ == "__main__":
    main()
