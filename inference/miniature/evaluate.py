"""Stage eight: does it draw what it is asked for? Measured through `Engine`, as anyone would use it.

Prompts ask for combinations that no training picture has, and each score stands beside its control: the same pictures
judged by another picture's prompt. The table goes into the model card.
"""

import random
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
JUDGED = ("style", "hair colour", "background", "skin", "hair length", "clothes", "glasses", "mouth", "eyes")
"""What the overall score is the mean of; the other questions are reported beside it."""

TARGETS = dict.fromkeys(("style", "hair colour", "background"), 98) | dict.fromkeys(
    ("skin", "hair length", "clothes"), 96
)
TARGETS |= {"glasses": 90, "mouth": 80, "eyes": 80}

BATCH = 16


@dataclass(frozen=True)
class Case:
    """A character to be asked for, and the seed and size with which it is."""

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
    """Characters held out of training, styles and sizes in turn."""
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


def draw(engine: Engine, requests: Sequence[GenerationRequest]) -> list[Pixels]:
    """The requests' pictures, uint8 [height, width, 3]."""
    pictures: list[Pixels] = []
    for start in tqdm(range(0, len(requests), BATCH), leave=False, desc="drawing"):
        drawn = engine.generate(requests[start : start + BATCH])
        pictures += [np.asarray(picture.image) for picture in drawn]
    return pictures


@dataclass(frozen=True)
class Scores:
    """How often each question was answered as asked, 0 to 1, and the mean over what is judged."""

    by_question: dict[str, float]

    @property
    def overall(self) -> float:
        return sum(self.by_question[question] for question in JUDGED) / len(JUDGED)


def score(classifier: Classifier, pictures: Sequence[Pixels], characters: Sequence[Character]) -> Scores:
    return Scores(accuracies(classifier.probabilities(pictures), characters))


def presence(classifier: Classifier, pictures: Sequence[Pixels], question: str, answers: Iterable[str]) -> float:
    """How much the classifier believes that one of `answers` is seen, 0 to 1, averaged over the pictures."""
    positions = [QUESTIONS[question][0].index(answer) for answer in answers]
    return float(classifier.probabilities(pictures)[question][:, positions].sum(1).mean())


@dataclass(frozen=True)
class Evaluation:
    engine: Engine
    classifier: Classifier
    cases: list[Case]

    def requests(self, **changes: object) -> list[GenerationRequest]:
        return [replace(case.request(self.engine), **changes) for case in self.cases]  # type: ignore[arg-type]

    @property
    def characters(self) -> list[Character]:
        return [case.character for case in self.cases]

    def report(self, held_out: dict[str, float]) -> str:
        """The whole table in Markdown; `held_out` is the classifier's own accuracy on real pictures."""
        pictures = draw(self.engine, self.requests())
        return "\n\n".join(
            [
                self._following(pictures, held_out),
                self._samplers(pictures),
                self._weights(),
                self._negatives(),
                self._speed(),
            ]
        )

    def _following(self, pictures: list[Pixels], held_out: dict[str, float]) -> str:
        asked = score(self.classifier, pictures, self.characters)
        control = score(self.classifier, pictures, self.characters[1:] + self.characters[:1])
        plain = score(
            self.classifier, draw(self.engine, self.requests(cfg_scale=1.0, steps=TURBO_STEPS)), self.characters
        )
        lora = ((Path(TURBO).stem, 1.0),)
        columns = {"as asked": asked, "control": control}
        if lora[0][0] in self.engine.lora_names():
            fast = self.requests(cfg_scale=1.0, steps=TURBO_STEPS, loras=lora)
            columns[f"turbo, {TURBO_STEPS} steps"] = score(self.classifier, draw(self.engine, fast), self.characters)
        columns["without turbo"] = plain
        lines = [
            f"{len(pictures)} prompts, per cent right:",
            "",
            "| | target | " + " | ".join(columns) + " | classifier on real pictures |",
            "|---" * (len(columns) + 3) + "|",
        ]
        for question in (*JUDGED, *(question for question in QUESTIONS if question not in JUDGED)):
            values = [column.by_question.get(question) for column in columns.values()]
            cells = [TARGETS.get(question, ""), *map(_per_cent, values), _per_cent(held_out.get(question))]
            lines.append(f"| {question} | " + " | ".join(map(str, cells)) + " |")
        overall = [_per_cent(column.overall) for column in columns.values()]
        lines.append(f"| **overall**, mean of the first {len(JUDGED)} | | " + " | ".join(overall) + " | |")
        return "\n".join(lines)

    def _samplers(self, pictures: list[Pixels]) -> str:
        lines = ["| sampler, scheduler | overall | mean difference from er_sde, simple |", "|---|---|---|"]
        base = score(self.classifier, pictures, self.characters).overall
        lines.append(f"| er_sde, simple | {_per_cent(base)} | |")
        for sampler, scheduler in (("euler_a", "simple"), ("dpmpp_2m_sde_gpu", "simple"), ("er_sde", "beta57")):
            others = draw(self.engine, self.requests(sampler=sampler, scheduler=scheduler))
            overall = score(self.classifier, others, self.characters).overall
            pairs = zip(pictures, others, strict=True)
            difference = np.mean([np.abs(a.astype(int) - b.astype(int)).mean() for a, b in pairs])
            lines.append(f"| {sampler}, {scheduler} | {_per_cent(overall)} | {difference:.1f} of 255 |")
        return "\n".join(lines)

    def _weights(self) -> str:
        """Each tag against one that contradicts it, so that there is something to tip."""
        lines = ["| tag | presence at 0.3 | at 1 | at 1.5 |", "|---|---|---|---|"]
        for tag, rival, question, answer, styles in WEIGHTED:
            cells = [
                _per_cent(self._presence(f"({tag}:{weight}), {rival}", NEGATIVE, question, [answer], styles))
                for weight in (0.3, 1.0, 1.5)
            ]
            lines.append(f"| {tag}, beside “{rival}” | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def _negatives(self) -> str:
        lines = ["| negative prompt | presence without | with |", "|---|---|---|"]
        for question, answers, tags, styles in NEGATED:
            without, with_tags = (
                _per_cent(self._presence("", negative, question, answers, styles))
                for negative in (NEGATIVE, f"{NEGATIVE}, {', '.join(tags)}")
            )
            lines.append(f"| {', '.join(tags)} | {without} | {with_tags} |")
        return "\n".join(lines)

    def _presence(
        self, tags: str, negative: str, question: str, answers: Sequence[str], styles: Sequence[str]
    ) -> float:
        count = max(16, len(self.cases) // 4)
        prompts = [", ".join(filter(None, [QUALITY, f"@{styles[i % len(styles)]}", tags])) for i in range(count)]
        requests = [
            self.engine.native.request(text, negative_prompt=negative, seed=5000 + seed)
            for seed, text in enumerate(prompts)
        ]
        return presence(self.classifier, draw(self.engine, requests), question, answers)

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
WEIGHTED = (
    ("red hair", "blue hair", "hair colour", "red", tuple(STYLES)),
    ("green background", "pink background", "background", "green", tuple(STYLES)),
    ("long hair", "short hair", "hair length", "long hair", tuple(STYLES)),
    ("glasses", "1girl", "glasses", "glasses", _WITH_GLASSES),
    ("open mouth", "frown", "mouth", "open mouth", tuple(STYLES)),
)
"""Tag, the tag beside it, the question and answer that tell whether it won, and the styles that can draw it."""

NEGATED = (
    ("hair colour", ("red", "blue", "green"), ("red hair", "blue hair", "green hair"), tuple(STYLES)),
    ("background", ("red", "blue", "green"), ("red background", "blue background", "green background"), tuple(STYLES)),
    ("glasses", ("glasses", "sunglasses"), ("glasses", "sunglasses"), _WITH_GLASSES),
    ("hair length", ("long hair",), ("long hair",), tuple(STYLES)),
)
"""Question and answers, the tags that are negated, and the styles that are drawn."""


def write_into(card: Path, table: str) -> None:
    """Replaces what stands between the model card's two marks."""
    text = card.read_text()
    marked = re.compile(r"(<!-- evaluation -->\n).*?(\n<!-- end of evaluation -->)", re.DOTALL)
    card.write_text(marked.sub(lambda match: match[1] + "\n" + table + "\n" + match[2], text))


def _per_cent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"
