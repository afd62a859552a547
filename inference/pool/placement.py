"""The rule by which models are kept: the least recently used is removed first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Placed:
    """A model, its weights' bytes, and whether they are on the device; otherwise they are in main memory or a file."""

    name: str
    size: int
    on_device: bool


@dataclass(frozen=True)
class Placement:
    """The names of the models in either place, the one used last first. All others are only in their files."""

    on_device: tuple[str, ...]
    in_memory: tuple[str, ...]


def place(recent: Sequence[Placed], device_room: int, memory_room: int) -> Placement:
    """Where models belong once the first of them is the one to draw with.

    recent: the wanted model, which may be new, then the kept ones, the one used last first. device_room, memory_room:
    bytes for weights on the device and in main memory. The wanted model is on the device, however large it is. Of
    the others, those on the device stay while they fit; what leaves it goes to main memory while that fits.
    """
    wanted, others = recent[0], recent[1:]
    here = [model for model in others if model.on_device]
    staying = _fitting(here, device_room - wanted.size)
    elsewhere = [model for model in others if model not in staying]
    return Placement(
        (wanted.name, *(model.name for model in staying)),
        tuple(model.name for model in _fitting(elsewhere, memory_room)),
    )


def _fitting(models: Sequence[Placed], room: int) -> Sequence[Placed]:
    """As many of the first as fit together, so a smaller one is not kept instead of one used later."""
    sums = accumulate(model.size for model in models)
    return models[: sum(total <= room for total in sums)]
