"""How much of an image a description restores: `python -m tests.end_to_end.benchmark_describe --count 64`.

The miniature draws people that no training image shows; a tagger of the WD14 family's format describes the images, and
the miniature draws the descriptions with other seeds. The miniature's classifier says what is there afterwards. The
control compares each with another image's truth.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from bot.ops.settings import MINIATURE
from bot.prompting.described import TagThresholds, described_prompt, likely_tags
from inference import Engine
from inference.miniature.characters import Character
from inference.miniature.classifier import Classifier, accuracies
from inference.miniature.data import Pixels
from inference.miniature.evaluate import TURBO_SETTINGS, cases, generate_images
from inference.tagging.tagger import Tagger
from tests.miniature_tagger import CLASSIFIER, write_tagger

QUESTIONS = ("hair colour", "hair length", "background", "style", "skin", "clothes", "glasses", "mouth")
#: Added to every seed for drawing the description.
OTHER_SEED = 50_000


def describe(tagger: Tagger, image: Pixels) -> str:
    guesses = tagger.guesses(Image.fromarray(image))
    return described_prompt(likely_tags(guesses, TagThresholds(), with_safety=False))


def print_shares(name: str, classifier: Classifier, images: Sequence[Pixels], people: Sequence[Character]) -> None:
    right = accuracies(classifier.probabilities(images), people)
    print(f"{name}: " + ", ".join(f"{question} {100 * right[question]:.1f} %" for question in QUESTIONS), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=64)
    count = parser.parse_args().count
    engine = Engine.load(MINIATURE, "cpu", "float32")
    classifier = Classifier.load(CLASSIFIER)
    asked = cases(engine, count)
    people = [case.character for case in asked]
    requests = [replace(case.request(engine), **TURBO_SETTINGS) for case in asked]  # type: ignore[arg-type]
    images = generate_images(engine, requests)
    with tempfile.TemporaryDirectory() as folder:
        tagger = Tagger.load(write_tagger(Path(folder)))
        prompts = [describe(tagger, image) for image in images]
    for prompt in prompts[:3]:
        print(prompt)
    again = generate_images(
        engine,
        [
            replace(request, prompt=engine.native.prefix + prompt, seed=request.seed + OTHER_SEED)
            for request, prompt in zip(requests, prompts, strict=True)
        ],
    )
    square = [at for at, case in enumerate(asked) if case.size[0] == case.size[1]]
    for name, which in (("all", list(range(count))), ("square", square)):
        of_these = [people[at] for at in which]
        print_shares(f"{name} {len(which)}, originals", classifier, [images[at] for at in which], of_these)
        print_shares(
            f"{name} {len(which)}, drawn from the description", classifier, [again[at] for at in which], of_these
        )
        print_shares(
            f"{name} {len(which)}, control", classifier, [again[at] for at in which], of_these[1:] + of_these[:1]
        )


if __name__ == "__main__":
    main()
