"""Measures what fast mode, turbo and number formats save, and how they change the images of the usual prompts."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from inference import Engine
from inference.miniature.classifier import Classifier
from inference.miniature.data import Pixels
from inference.miniature.evaluate import TURBO_SETTINGS, Scores, cases, generate_images, mean_difference, score

#: For each mode, the engine's number format and the changes to the requests.
MODES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "usual": ("float32", {}),
    "fast": ("float32", {"fast": True}),
    "turbo": ("float32", TURBO_SETTINGS),
    "bfloat16": ("bfloat16", {}),
    "float16": ("float16", {}),
    "float8": ("float8", {}),
}


@dataclass(frozen=True)
class DrawnMode:
    """A mode's results for all prompts. blocks: how many were computed, counted once for each row of a batch."""

    images: Sequence[Pixels]
    scores: Scores
    blocks: int
    processor_seconds: float


@torch.inference_mode()
def draw_mode(models: Path, network: Classifier, mode: str, count: int) -> DrawnMode:
    dtype, settings = MODES[mode]
    engine = Engine.load(models, device="cpu", dtype=dtype)
    wanted = cases(engine, count)
    requests = [replace(case.request(engine), **settings) for case in wanted]  # type: ignore[arg-type]
    with counted_blocks(engine) as rows:
        began = time.process_time()
        images = generate_images(engine, requests)
        seconds = time.process_time() - began
    return DrawnMode(images, score(network, images, [case.character for case in wanted]), sum(rows), seconds)


@contextmanager
def counted_blocks(engine: Engine) -> Iterator[list[int]]:
    """A list to which each computed block adds the number of its batch's rows."""
    rows: list[int] = []

    def count(_block: object, inputs: tuple[Tensor, ...]) -> None:
        rows.append(len(inputs[0]))

    hooks = [block.register_forward_pre_hook(count) for block in engine.transformer.blocks]
    try:
        yield rows
    finally:
        for hook in hooks:
            hook.remove()


def report(models: Path, network: Classifier, modes: Sequence[str], count: int) -> Iterator[str]:
    """Yields the lines of a table, each as soon as it is known: each mode compared with the usual images."""
    usual = draw_mode(models, network, "usual", count)
    yield f"{count} prompts, the usual images score {100 * usual.scores.overall:.2f} %"
    yield ""
    yield "| | blocks | processor time | pixels, 0 to 255 | all heads | the head that changes most |"
    yield "|---|---|---|---|---|---|"
    for mode in modes:
        drawn = draw_mode(models, network, mode, count)
        changes = {
            head: 100 * (value - usual.scores.by_question[head]) for head, value in drawn.scores.by_question.items()
        }
        head = max(changes, key=lambda name: abs(changes[name]))
        difference = mean_difference(drawn.images, usual.images)
        yield (
            f"| {mode} | 1/{usual.blocks / drawn.blocks:.2f} "
            f"| 1/{usual.processor_seconds / drawn.processor_seconds:.2f} | {difference:.2f} "
            f"| {100 * (drawn.scores.overall - usual.scores.overall):+.2f} | {head}: {changes[head]:+.2f} |"
        )
