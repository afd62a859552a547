"""Decides which models stay in memory: the least recently used are removed first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Placed:
    """A model, the bytes of its weights, and whether they are on the device, else in main memory or only on disk."""

    name: str
    size: int
    on_device: bool


@dataclass(frozen=True)
class Placement:
    """The names of the models in each place, the one used last first. All others are only on disk."""

    on_device: tuple[str, ...]
    in_memory: tuple[str, ...]


def place(recent: Sequence[Placed], device_room: int, memory_room: int) -> Placement:
    """Where models belong so that the first of them can draw.

    recent: the wanted model, which may be new, then the kept ones, the one used last first.
    device_room, memory_room: bytes for weights on the device and in main memory.
    The wanted model is placed on the device, however large it is. Of the others, those on the device stay while they
    fit; those that leave it go to main memory while they fit there.
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
    """As many of the first as fit together. A smaller model is not kept in place of a more recently used one."""
    sums = accumulate(model.size for model in models)
    return models[: sum(total <= room for total in sums)]
