"""The format of all figures of a run, and the JSON file with them.

The file is one object:

    format      "anima-benchmark 1"
    measured    when, in ISO 8601
    command     the command line
    machine     processor, instructions, cores, threads, memory_bytes, system, gpu (name, memory_bytes, capability,
                driver; or null), load, versions
    settings    the sizes of the networks and of the image, in words
    figures     a list: name, side ("ours", "diffusers" or a mode of ours), unit, values (one for each repetition),
                median, low and high (the quartiles), and if known: operations (floating-point operations of one
                repetition), weight_bytes (the least it reads) and peak_bytes (of memory)
    targets     a list: what, reached, met

Units are "s", "FLOP/s", "B/s", and "1" for numbers and shares.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference.benchmark.timing import quartiles
from inference.benchmark.workload import TURBO_STEPS

FORMAT = "anima-benchmark 1"
#: Figures of the machine itself.
MATRIX_RATE, MEMORY_RATE = "matrix rate", "memory rate"
MACHINE_SIDE, OURS, DIFFUSERS = "machine", "ours", "diffusers"
#: Modes of ours.
FAST, FEW_STEPS, FLOAT8_SIDE = "fast mode", f"{TURBO_STEPS} steps, CFG 1", "float8"
STARTS = ("first start", "second start")
FRESHLY_COMPILED = "graphs recompiled"


@dataclass(frozen=True)
class Figure:
    """The measurements of one thing on one side, with a value for each repetition; see the module's docstring."""

    name: str
    side: str
    unit: str
    values: tuple[float, ...]
    operations: int | None = None
    weight_bytes: int | None = None
    peak_bytes: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        return quartiles(self.values)

    def as_json(self) -> dict[str, object]:
        low, high = self.quartiles
        written = asdict(self) | {"median": self.median, "low": low, "high": high}
        return {name: value for name, value in written.items() if value is not None}


@dataclass(frozen=True)
class Measurements:
    """What charts need from a file."""

    title: str
    figures: tuple[Figure, ...]

    def of(self, name: str, side: str) -> Figure | None:
        return next((each for each in self.figures if (each.name, each.side) == (name, side)), None)


def write_json(file: Path, content: Mapping[str, Any], figures: Sequence[Figure]) -> None:
    """Write `content` unchanged and the figures after it. Raises OSError."""
    written = {"format": FORMAT, **content, "figures": [figure.as_json() for figure in figures]}
    file.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(file: Path) -> Measurements:
    """Raises ValueError, whose message users can read, if the file is not one of ours; OSError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(content["format"])
        figures = tuple(
            Figure(
                name=str(each["name"]),
                side=str(each["side"]),
                unit=str(each["unit"]),
                values=tuple(float(value) for value in each["values"]),
                **{name: each.get(name) for name in ("operations", "weight_bytes", "peak_bytes")},
            )
            for each in content["figures"]
        )
        machine = content["machine"]
        named = machine["gpu"]["name"] if machine["gpu"] else f"{machine['processor']}, {machine['cores']} cores"
        title = f"{named}, {content['measured'][:10]}"
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is not a file of figures ({type(error).__name__}: {error}). Write one with "
            f"`anima benchmark --json {file.name}`."
        ) from error
    if not figures or not all(each.values for each in figures):
        raise ValueError(f"{file} has figures without a value. Write a new one with `anima benchmark --json`.")
    return Measurements(title, figures)
