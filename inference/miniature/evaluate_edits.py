"""Stage nine: does redrawing a part change what it should and keep the rest? And does an extended image keep its style?

The mask is where two renderings of one avatar differ. They have a different hair colour or background, but are the same
otherwise, so masks are exact to the pixel. The classifier judges the redrawn images. Like `data`, this needs Node.js.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from inference import Engine, GenerationRequest
from inference.editing.canvas import extend
from inference.miniature.characters import BACKGROUNDS, HAIR_COLOURS, STYLES, Character, drawing, random_character
from inference.miniature.classifier import QUESTIONS, Classifier
from inference.miniature.data import Pixels, install_renderer, render
from inference.miniature.evaluate import NEGATIVE, generate_images, prompt

#: How many pixels a mask extends beyond the difference.
WIDER = 4
#: Pixels count as different if a channel differs by more than this, of 255.
DIFFERENT = 12
DENOISE = 1.0
#: How much wider an extended image is, in parts of its width, half of it at each side.
EXTENSION = 0.25

#: The character's field that changes, the question about it, its values, and questions whose answers must not change.
EDITS = (
    ("hair_colour", "hair colour", tuple(HAIR_COLOURS), ("background", "clothes", "style")),
    ("background", "background", tuple(BACKGROUNDS), ("hair colour", "glasses", "mouth")),
)
#: In per cent of the images.
TARGET = 95


@dataclass(frozen=True)
class AvatarEdit:
    """One avatar before and after, and where the two differ."""

    before: Character
    after: Character
    source: Image.Image
    mask: Image.Image
    seed: int

    def request(self, engine: Engine) -> GenerationRequest:
        width, height = self.source.size
        request = engine.native.request(prompt(self.after), negative_prompt=NEGATIVE, width=width, height=height)
        return replace(request, image=self.source, mask=self.mask, denoise=DENOISE, seed=self.seed)


def make_edits(field: str, values: Sequence[str], count: int, size: tuple[int, int], workdir: Path) -> list[AvatarEdit]:
    """Avatars held out of training, cycling through the styles, each with a visible change of `field`."""
    rng = random.Random(f"edits {field}")
    styles = list(STYLES)
    renderer = install_renderer(workdir)
    edits: list[AvatarEdit] = []
    while len(edits) < count:
        befores: list[Character] = []
        while len(befores) < count - len(edits):
            character = random_character(rng, held_out=True, style=styles[(len(edits) + len(befores)) % len(styles)])
            if getattr(character, field) is not None:
                befores.append(character)
        afters = [
            replace(who, **{field: rng.choice([value for value in values if value != getattr(who, field)])})  # type: ignore[arg-type]
            for who in befores
        ]
        drawn, redrawn = (
            render([drawing(who, size, random.Random(number)) for number, who in enumerate(characters)], size, renderer)
            for characters in (befores, afters)
        )
        for before, after, source, target in zip(befores, afters, drawn, redrawn, strict=True):
            mask = difference_mask(source, target)
            if mask.getbbox() is not None:
                edits.append(AvatarEdit(before, after, Image.fromarray(source), mask, seed=3000 + len(edits)))
    return edits


def difference_mask(one: Pixels, other: Pixels) -> Image.Image:
    """A mask that is white where two images differ, and `WIDER` pixels around that."""
    differs = np.abs(one.astype(int) - other.astype(int)).max(axis=2) > DIFFERENT
    mask = Image.fromarray(differs.astype(np.uint8) * 255)
    return mask.filter(ImageFilter.MaxFilter(2 * WIDER + 1))


def report(engine: Engine, classifier: Classifier, count: int, workdir: Path) -> str:
    """The table in Markdown: per cent of images that show what they should."""
    lines = [
        f"{count} avatars each, per cent of the images; at least {TARGET} wanted.",
        "",
        "| | what is asked | redrawn | before, for comparison | pixels outside that changed |",
        "|---|---|---|---|---|",
    ]
    for field, question, values, kept in EDITS:
        edits = make_edits(field, values, count, engine.native.sizes[0], workdir)
        images = generate_images(engine, [edit.request(engine) for edit in edits])
        outside = sum(changed_outside(edit, image) for edit, image in zip(edits, images, strict=True))
        sources = [np.asarray(edit.source) for edit in edits]
        for asked in (question, *kept):
            redrawn, before = (answered(classifier, shown, asked, edits) for shown in (images, sources))
            lines.append(f"| {question} redrawn | {asked} | {redrawn:.1f} | {before:.1f} | {outside} |")
    style, outside = extended(engine, classifier, count, workdir)
    lines.append(f"| extended | style | {style:.1f} | | {outside} |")
    return "\n".join(lines)


def changed_outside(edit: AvatarEdit, image: Pixels) -> int:
    outside = np.asarray(edit.mask) == 0
    return int((image[outside] != np.asarray(edit.source)[outside]).any(axis=1).sum())


def answered(classifier: Classifier, images: Sequence[Pixels], question: str, edits: Sequence[AvatarEdit]) -> float:
    """Per cent of the images that show what the edited character has; images without a known answer do not count."""
    answers, label = QUESTIONS[question]
    believed = classifier.probabilities(images)[question].argmax(axis=1)
    right = [
        answers[int(found)] == wanted
        for found, edit in zip(believed, edits, strict=True)
        if (wanted := label(edit.after)) is not None
    ]
    return 100 * sum(right) / len(right)


def extended(engine: Engine, classifier: Classifier, count: int, workdir: Path) -> tuple[float, int]:
    """Per cent of images that keep their style if extended at both sides, and how many pixels outside masks changed."""
    edits = make_edits("background", tuple(BACKGROUNDS), count, engine.native.sizes[0], workdir)
    width, height = engine.native.sizes[0]
    margin = round(EXTENSION * width / 2 / 16) * 16
    requests = []
    for edit in edits:
        canvas = extend(edit.source, margin, 0, margin, 0)
        request = engine.native.request(
            prompt(edit.before), negative_prompt=NEGATIVE, width=width + 2 * margin, height=height, seed=edit.seed
        )
        requests.append(replace(request, image=canvas.image, mask=canvas.mask, denoise=DENOISE))
    images = generate_images(engine, requests)
    black = [np.asarray(request.mask) == 0 for request in requests]
    sources = [np.asarray(request.image) for request in requests]
    changed = sum(
        int((image[kept] != source[kept]).any(axis=1).sum())
        for image, source, kept in zip(images, sources, black, strict=True)
    )
    answers, label = QUESTIONS["style"]
    found = classifier.probabilities(images)["style"].argmax(axis=1)
    right = [answers[int(style)] == label(edit.before) for style, edit in zip(found, edits, strict=True)]
    return 100 * sum(right) / len(right), changed
