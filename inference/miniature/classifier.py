"""Stage six: trains the classifier, a small convolutional network that tells what an image shows.

It is trained on DiceBear's images alone, never on generated ones. Half of them are slightly blurred, and all get some
noise, so that it learns what an image shows and not how sharp it is.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inference.miniature.autoencoder import bucket_shares, to_tensor
from inference.miniature.characters import (
    BACKGROUNDS,
    CLOTHES_COLOURS,
    HAIR_COLOURS,
    HAIR_LENGTHS,
    SKINS,
    STYLES,
    Character,
)
from inference.miniature.data import Pixels, TrainingImages, load_images
from inference.miniature.training import Run, Schedule, averaged_weights, mixed_precision

BATCH = 64
LEARNING_RATE = 2e-3
NONE = "none"

Label = Callable[[Character], str | None]


def _has(tag: str) -> tuple[tuple[str, ...], Label]:
    return (NONE, tag), lambda character: tag if tag in character.tags else NONE


def _mouth(character: Character) -> str | None:
    return character.mouth


def _eyes(character: Character) -> str | None:
    """None if sunglasses hide the eyes, or if the style has only one kind of them."""
    visible = character.eyewear != "sunglasses" and len(STYLES[character.style].eyes) > 1
    return (character.eyes or NONE) if visible else None


def _eyewear(character: Character) -> str | None:
    return (character.eyewear or NONE) if STYLES[character.style].eyewear else None


#: Each question about an image, with its possible answers and a function for the true one (None if unknown).
QUESTIONS: dict[str, tuple[tuple[str, ...], Label]] = {
    "style": (tuple(STYLES), lambda character: character.style),
    "hair colour": (tuple(HAIR_COLOURS), lambda character: character.hair_colour),
    "background": (tuple(BACKGROUNDS), lambda character: character.background),
    "skin": (tuple(SKINS), lambda character: character.skin),
    "hair length": (HAIR_LENGTHS, lambda character: character.hair_length),
    "clothes": (tuple(CLOTHES_COLOURS), lambda character: character.clothes_colour),
    "glasses": ((NONE, "glasses", "sunglasses"), _eyewear),
    "mouth": (("smile", "grin", "open mouth", "frown", "tongue out", "expressionless"), _mouth),
    "eyes": ((NONE, "closed eyes", "one eye closed"), _eyes),
    "beard": ((NONE, "beard", "mustache"), lambda character: character.beard or NONE),
    "hat": ((NONE, "hat"), lambda character: "hat" if character.headwear == "hat" else NONE),
    "hair flower": _has("hair flower"),
    "cat ears": _has("cat ears"),
    "earrings": _has("earrings"),
    "blush": _has("blush"),
}


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths, strides = (3, 24, 48, 64, 96, 96, 128), (2, 2, 1, 2, 1, 2)
        layers: list[nn.Module] = []
        for (inputs, outputs), stride in zip(pairwise(widths), strides, strict=True):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.answers = nn.Linear(widths[-1] * 16, sum(len(answers) for answers, _ in QUESTIONS.values()))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """Pixels [B, 3, height, width] from -1 to 1, of any size, to logits [B, answers] for each question."""
        features = F.adaptive_avg_pool2d(self.features(pixels), 4).flatten(1)
        logits = self.answers(features).split([len(answers) for answers, _ in QUESTIONS.values()], dim=1)
        return dict(zip(QUESTIONS, logits, strict=True))

    @torch.no_grad()
    def probabilities(self, images: Sequence[Pixels]) -> dict[str, Tensor]:
        """Probabilities of the answers for images uint8 [height, width, 3] of any size: [n, answers] per question."""
        device = self.answers.weight.device
        each = [self(to_tensor(image[None], device)) for image in images]
        return {question: torch.cat([logits[question] for logits in each]).softmax(1).cpu() for question in QUESTIONS}

    @classmethod
    def load(cls, path: Path) -> "Classifier":
        classifier = cls()
        classifier.load_state_dict({key: value.float() for key, value in load_file(path).items()}, strict=False)
        return classifier.eval()


def labels(characters: Sequence[Character]) -> dict[str, Tensor]:
    """The true answers' indices, int64 [n] for each question; -100 if unknown."""
    found = {}
    for question, (answers, label) in QUESTIONS.items():
        truths = [label(character) for character in characters]
        found[question] = torch.tensor([-100 if truth is None else answers.index(truth) for truth in truths])
    return found


def accuracies(probabilities: dict[str, Tensor], characters: Sequence[Character]) -> dict[str, float]:
    """For each question with known true answers, how often (0 to 1) the most probable answer is the true one."""
    result = {}
    for question, truth in labels(characters).items():
        asked = truth >= 0
        if asked.any():
            result[question] = float((probabilities[question].argmax(1) == truth)[asked].float().mean())
    return result


def train_classifier(workdir: Path, steps: int, device: torch.device) -> None:
    buckets = [_undegraded(bucket) for bucket in load_images(workdir, "train")]
    shares = bucket_shares(buckets)
    truths = [labels([record.character for record in bucket.records]) for bucket in buckets]
    torch.manual_seed(0)
    classifier = Classifier().to(device)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    run = Run(workdir / "classifier.pt", classifier, [optimizer], Schedule(steps, falling=0.8), averaging=0.99)

    def loss(step: int) -> Tensor:
        rng = np.random.default_rng([3, step])
        bucket = rng.choice(len(buckets), p=shares)
        chosen = rng.integers(len(buckets[bucket].records), size=BATCH)
        pixels = _roughen(to_tensor(buckets[bucket].pixels[chosen], device), torch.Generator(device).manual_seed(step))
        with mixed_precision(device):
            logits = classifier(pixels)
        losses = [
            F.cross_entropy(logits[question].float(), truth[chosen].to(device), ignore_index=-100, reduction="sum")
            for question, truth in truths[bucket].items()
        ]
        return torch.stack(losses).sum() / BATCH

    run.fit(loss, lambda _average: {})


def save_classifier(workdir: Path, path: Path) -> None:
    """Writes the averaged weights in half precision; `Classifier.load` reads them."""
    weights = averaged_weights(workdir / "classifier.pt")
    save_file({key: value.half().contiguous() for key, value in weights.items() if value.is_floating_point()}, path)


def held_out_accuracies(workdir: Path, classifier: Classifier) -> dict[str, float]:
    """How often the classifier is right on DiceBear's images of combinations that no training image has."""
    buckets = load_images(workdir, "held_out")
    characters = [record.character for bucket in buckets for record in bucket.records[:600]]
    images = [image for bucket in buckets for image in bucket.pixels[:600]]
    return accuracies(classifier.probabilities(images), characters)


def _undegraded(images: TrainingImages) -> TrainingImages:
    kept = [index for index, record in enumerate(images.records) if record.degradation is None]
    return TrainingImages(images.pixels[kept], [images.records[index] for index in kept])


def _roughen(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Blurs half of the images a little, and adds a little noise to all."""
    blurred = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    device = pixels.device
    mix = torch.rand(len(pixels), 1, 1, 1, generator=generator, device=device).sub(0.5).clamp_min(0) * 2
    noise = torch.randn(pixels.shape, generator=generator, device=device)
    return torch.lerp(pixels, blurred, mix) + 0.04 * noise
