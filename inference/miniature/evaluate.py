"""Stage eight: does the model generate what the prompt says? Measured through `Engine`, as the bot uses it.

Prompts ask for combinations that no training image has. Each score has a control next to it: the same images compared
with other images' prompts. The table is written to the model card.
"""

import random
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from inference import Engine, GenerationRequest
from inference.miniature.characters import STYLES, Character, random_character
from inference.miniature.classifier import QUESTIONS, Classifier, accuracies
from inference.miniature.data import Pixels
from inference.miniature.export import TURBO, TURBO_STEPS

QUALITY = "masterpiece, best quality, score_7, safe"
NEGATIVE = "worst quality, low quality, score_1, score_2, score_3, artist name"
#: The overall score is the mean of these questions; the others are reported too, but not counted.
SCORED = ("style", "hair colour", "background", "skin", "hair length", "clothes", "glasses", "mouth", "eyes")

TARGETS = dict.fromkeys(("style", "hair colour", "background"), 98) | dict.fromkeys(
    ("skin", "hair length", "clothes"), 96
)
TARGETS |= {"glasses": 90, "mouth": 80, "eyes": 80}

BATCH = 16
#: Fields of a request that draws with the turbo LoRA.
TURBO_SETTINGS: Mapping[str, object] = {
    "cfg_scale": 1.0,
    "steps": TURBO_STEPS,
    "loras": ((Path(TURBO).stem, 1.0),),
}


@dataclass(frozen=True)
class Case:
    """A character to generate, with the size and the seed."""

    character: Character
    size: tuple[int, int]
    seed: int

    def request(self, engine: Engine) -> GenerationRequest:
        width, height = self.size
        return engine.native.request(
            prompt(self.character), negative_prompt=NEGATIVE, width=width, height=height, seed=self.seed
        )


def prompt(character: Character) -> str:
    return ", ".join([QUALITY, f"@{character.style}", *character.tags])


def cases(engine: Engine, count: int) -> list[Case]:
    """Characters held out of training, cycling through styles and sizes."""
    rng = random.Random(2024)
    styles, sizes = list(STYLES), engine.native.sizes
    return [
        Case(
            random_character(rng, held_out=True, style=styles[number % len(styles)]),
            sizes[number // len(styles) % len(sizes)],
            seed=1000 + number,
        )
        for number in range(count)
    ]


def generate_images(engine: Engine, requests: Sequence[GenerationRequest]) -> list[Pixels]:
    """The requests' images, uint8 [height, width, 3]."""
    images: list[Pixels] = []
    for start in tqdm(range(0, len(requests), BATCH), leave=False, desc="images"):
        batch = engine.generate(requests[start : start + BATCH])
        images += [np.array(image.image) for image in batch]
    return images


@dataclass(frozen=True)
class Scores:
    """How often images show what their prompts ask, 0 to 1, for each question and as the mean over those in SCORED."""

    by_question: dict[str, float]

    @property
    def overall(self) -> float:
        return sum(self.by_question[question] for question in SCORED) / len(SCORED)


def score(classifier: Classifier, images: Sequence[Pixels], characters: Sequence[Character]) -> Scores:
    return Scores(accuracies(classifier.probabilities(images), characters))


def presence(
    classifier: Classifier, images: Sequence[Pixels], question: str, answers: Sequence[Collection[str]]
) -> float:
    """The mean probability, by the classifier, that an image shows one of its `answers`."""
    possible = QUESTIONS[question][0]
    believed = classifier.probabilities(images)[question]
    sums = [
        sum(float(row[possible.index(answer)]) for answer in wanted)
        for row, wanted in zip(believed, answers, strict=True)
    ]
    return sum(sums) / len(sums)


def mean_difference(images: Sequence[Pixels], others: Sequence[Pixels]) -> float:
    """The mean absolute difference between the images of each pair, 0 to 255."""
    pairs = zip(images, others, strict=True)
    return float(np.mean([np.abs(a.astype(int) - b.astype(int)).mean() for a, b in pairs]))


def edges(images: Sequence[Pixels]) -> float:
    """The mean difference between neighbouring pixels, 0 to 255: lower if images are blurred or pale."""
    return float(np.mean([np.abs(np.diff(image.astype(int), axis=axis)).mean() for image in images for axis in (0, 1)]))


@dataclass(frozen=True)
class Evaluation:
    engine: Engine
    classifier: Classifier
    cases: list[Case]
    #: A cache of images drawn from tags, because several measurements use the same ones.
    drawn: dict[tuple[GenerationRequest, ...], list[Pixels]] = field(default_factory=dict)

    def requests(self, **changes: object) -> list[GenerationRequest]:
        return [replace(case.request(self.engine), **changes) for case in self.cases]  # type: ignore[arg-type]

    @property
    def characters(self) -> list[Character]:
        return [case.character for case in self.cases]

    def report(self, held_out: dict[str, float]) -> str:
        """The whole table in Markdown; `held_out` is the classifier's own accuracy on real images."""
        images = generate_images(self.engine, self.requests())
        turbo, plain = (
            generate_images(self.engine, self.requests(cfg_scale=1.0, steps=TURBO_STEPS, loras=loras, nag=False))
            for loras in (((Path(TURBO).stem, 1.0),), ())
        )
        return "\n\n".join(
            [
                self._following(images, turbo, plain, held_out),
                self._crispness(images, turbo, plain),
                self._samplers(images),
                self._weights(),
                self._negatives(),
                self._negatives_at_cfg_1(),
                self._speed(),
            ]
        )

    def _following(
        self, images: list[Pixels], turbo: list[Pixels], plain: list[Pixels], held_out: dict[str, float]
    ) -> str:
        columns = {
            "as asked": score(self.classifier, images, self.characters),
            "control": score(self.classifier, images, self.characters[1:] + self.characters[:1]),
            f"turbo, {TURBO_STEPS} steps": score(self.classifier, turbo, self.characters),
            "without turbo": score(self.classifier, plain, self.characters),
        }
        lines = [
            f"{len(images)} prompts, per cent right:",
            "",
            "| | target | " + " | ".join(columns) + " | classifier on real pictures |",
            "|---" * (len(columns) + 3) + "|",
        ]
        for question in (*SCORED, *(question for question in QUESTIONS if question not in SCORED)):
            values = [column.by_question.get(question) for column in columns.values()]
            cells = [TARGETS.get(question, ""), *map(_per_cent, values), _per_cent(held_out.get(question))]
            lines.append(f"| {question} | " + " | ".join(map(str, cells)) + " |")
        overall = [_per_cent(column.overall) for column in columns.values()]
        lines.append(f"| **overall**, mean of the first {len(SCORED)} | | " + " | ".join(overall) + " | |")
        return "\n".join(lines)

    def _crispness(self, images: list[Pixels], turbo: list[Pixels], plain: list[Pixels]) -> str:
        """Shows what turbo is for: without it, images at CFG 1 show the right things, but blurred and pale."""
        lines = [
            "| | mean difference from the first, of 255 | mean step between neighbouring pixels |",
            "|---|---|---|",
        ]
        native = self.engine.native
        for name, others in (
            (f"{native.steps} steps, CFG {native.cfg_scale:g}", images),
            (f"{TURBO_STEPS} steps, CFG 1, turbo", turbo),
            (f"{TURBO_STEPS} steps, CFG 1, without turbo", plain),
        ):
            lines.append(f"| {name} | {mean_difference(images, others):.1f} | {edges(others):.1f} |")
        return "\n".join(lines)

    def _samplers(self, images: list[Pixels]) -> str:
        lines = ["| sampler, scheduler | overall | mean difference from er_sde, simple |", "|---|---|---|"]
        base = score(self.classifier, images, self.characters).overall
        lines.append(f"| er_sde, simple | {_per_cent(base)} | |")
        for sampler, scheduler in (("euler_a", "simple"), ("dpmpp_2m_sde_gpu", "simple"), ("er_sde", "beta57")):
            others = generate_images(self.engine, self.requests(sampler=sampler, scheduler=scheduler))
            overall = score(self.classifier, others, self.characters).overall
            difference = mean_difference(images, others)
            lines.append(f"| {sampler}, {scheduler} | {_per_cent(overall)} | {difference:.1f} of 255 |")
        return "\n".join(lines)

    def _weights(self) -> str:
        """Measures weights with pairs of contradicting tags, in either order: their weights decide which one shows."""
        lines = ["| one of these tags, beside another of them | presence at 0.3 | at 1 | at 1.5 |", "|---|---|---|---|"]
        for question, tags, styles in WEIGHTED:
            cells = [_per_cent(self.tipped(question, tags, styles, weight)) for weight in (0.3, 1.0, 1.5)]
            lines.append(f"| {', '.join(tags.values())} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def tipped(self, question: str, tags: Mapping[str, str], styles: Sequence[str], weight: float) -> float:
        """The mean probability, by the classifier, of the tag with `weight` next to a contradicting tag, 0 to 1."""
        rng = random.Random(question)
        answers, prompts = [], []
        for _ in range(self._few):
            answer, rival = rng.sample(list(tags), 2)
            both = rng.sample([f"({tags[answer]}:{weight})", tags[rival]], 2)
            answers.append([answer])
            prompts.append(", ".join(both))
        return presence(self.classifier, self.generate_tags(prompts, NEGATIVE, styles), question, answers)

    def _negatives(self) -> str:
        lines = ["| negative prompt | presence without | with |", "|---|---|---|"]
        for question, answers, tags, styles in NEGATED:
            without, with_tags = (
                _per_cent(
                    presence(
                        self.classifier,
                        self.generate_tags([""] * self._few, negative, styles),
                        question,
                        [answers] * self._few,
                    )
                )
                for negative in (NEGATIVE, f"{NEGATIVE}, {', '.join(tags)}")
            )
            lines.append(f"| {', '.join(tags)} | {without} | {with_tags} |")
        return "\n".join(lines)

    def _negatives_at_cfg_1(self) -> str:
        lines = [
            "| negative prompt | part of the presence that is gone at CFG 4 | turbo, NAG | turbo | NAG's time |",
            "|---|---|---|---|---|",
        ]
        for question, answers, tags, styles in NEGATED[:2]:
            guided, with_nag, without = (
                self.suppression(question, answers, tags, styles, self._few, **settings)
                for settings in ({}, TURBO_SETTINGS, {**TURBO_SETTINGS, "nag": False})
            )
            lines.append(
                f"| {', '.join(tags)} | {_per_cent(guided)} | {_per_cent(with_nag)} | {_per_cent(without)} | "
                f"{self.nag_time():.2f} times |"
            )
        return "\n".join(lines)

    def suppression(
        self,
        question: str,
        answers: Collection[str],
        tags: Sequence[str],
        styles: Sequence[str],
        count: int,
        **settings: object,
    ) -> float:
        """The part of the probability of `answers`, by the classifier, that negative `tags` remove, at most 1."""
        without, with_tags = (
            presence(
                self.classifier,
                self.generate_tags([""] * count, negative, styles, **settings),
                question,
                [answers] * count,
            )
            for negative in (NEGATIVE, f"{NEGATIVE}, {', '.join(tags)}")
        )
        return 1 - with_tags / without

    def nag_time(self) -> float:
        """The CPU time of a turbo image with NAG, divided by that of one without."""
        request = replace(self.requests()[0], **TURBO_SETTINGS)  # type: ignore[arg-type]
        seconds: dict[bool, list[float]] = {True: [], False: []}
        self.engine.generate([request])
        for seed in range(10):
            for nag in (True, False):
                began = time.process_time()
                self.engine.generate([replace(request, seed=seed, nag=nag)])
                seconds[nag].append(time.process_time() - began)
        return min(seconds[True]) / min(seconds[False])

    @property
    def _few(self) -> int:
        return max(16, len(self.cases) // 4)

    def generate_tags(
        self, tags: Sequence[str], negative: str, styles: Sequence[str], **settings: object
    ) -> list[Pixels]:
        """An image of native size for each of `tags`, cycling through the styles."""
        requests = tuple(
            self.engine.native.request(
                ", ".join(filter(None, [QUALITY, f"@{styles[number % len(styles)]}", text])),
                negative_prompt=negative,
                seed=5000 + number,
                **settings,
            )
            for number, text in enumerate(tags)
        )
        if requests not in self.drawn:
            self.drawn[requests] = generate_images(self.engine, requests)
        return self.drawn[requests]

    def _speed(self) -> str:
        request = self.requests()[0]
        self.engine.generate([request])
        began = time.perf_counter()
        for seed in range(5):
            self.engine.generate([replace(request, seed=seed)])
        seconds = (time.perf_counter() - began) / 5
        threads = torch.get_num_threads()
        where = f"{threads} CPU threads" if self.engine.device.type == "cpu" else torch.cuda.get_device_name()
        return f"One picture of {request.width}x{request.height} in {request.steps} steps: {seconds:.2f} s on {where}."


_WITH_GLASSES = ("adventurer", "lorelei", "micah", "big-smile")
#: A question, its answers with the tags that ask for them, and the styles that can draw them.
WEIGHTED: Sequence[tuple[str, Mapping[str, str], Sequence[str]]] = (
    ("hair colour", {colour: f"{colour} hair" for colour in ("red", "blue", "green", "pink")}, tuple(STYLES)),
    ("background", {colour: f"{colour} background" for colour in ("red", "blue", "green", "pink")}, tuple(STYLES)),
    ("hair length", {"long hair": "long hair", "short hair": "short hair"}, tuple(STYLES)),
    ("glasses", {"glasses": "glasses", "sunglasses": "sunglasses"}, _WITH_GLASSES),
    ("mouth", {mouth: mouth for mouth in ("smile", "open mouth", "frown")}, tuple(STYLES)),
)

#: A question and its answers, the tags for the negative prompt, and the styles.
NEGATED = (
    ("hair colour", ("red", "blue", "green"), ("red hair", "blue hair", "green hair"), tuple(STYLES)),
    ("background", ("red", "blue", "green"), ("red background", "blue background", "green background"), tuple(STYLES)),
    ("glasses", ("glasses", "sunglasses"), ("glasses", "sunglasses"), _WITH_GLASSES),
    ("hair length", ("long hair",), ("long hair",), tuple(STYLES)),
)


def write_into(card: Path, table: str) -> None:
    """Replaces the text between the model card's two marks."""
    text = card.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- evaluation -->\n).*?(<!-- end of evaluation -->)", re.DOTALL)
    card.write_text(marked.sub(lambda match: match[1] + "\n" + table + "\n\n" + match[2], text), encoding="utf-8")


def _per_cent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"
