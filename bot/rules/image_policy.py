"""Decides whether a finished picture is shown, hidden or refused, from the labels of the operator's classifier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Verdict(IntEnum):
    """In order of severity."""

    SHOWN = 0
    HIDDEN = 1
    REFUSED = 2


@dataclass(frozen=True)
class ImagePolicy:
    """For channels that are not age-restricted: the probabilities from which a label hides or refuses a picture."""

    hides: Mapping[str, float] = field(default_factory=dict)
    refuses: Mapping[str, float] = field(default_factory=dict)

    def verdict(self, images: Iterable[Mapping[str, float]]) -> Verdict:
        """The severest verdict on a job's pictures, because they are posted in one message."""
        return max((self._of_one(labels) for labels in images), default=Verdict.SHOWN)

    def _of_one(self, labels: Mapping[str, float]) -> Verdict:
        found = {label.casefold(): probability for label, probability in labels.items()}
        if _reached(self.refuses, found):
            return Verdict.REFUSED
        return Verdict.HIDDEN if _reached(self.hides, found) else Verdict.SHOWN


def _reached(thresholds: Mapping[str, float], found: Mapping[str, float]) -> bool:
    return any(found.get(label, 0.0) >= threshold for label, threshold in thresholds.items())


def thresholds(text: str) -> dict[str, float]:
    """Parses `nsfw:0.5, gore:0.8`. Raises ValueError with a sentence."""
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        label, _, number = part.rpartition(":")
        try:
            threshold = float(number)
        except ValueError:
            threshold = -1.0
        if not label.strip() or not 0 < threshold <= 1:
            raise ValueError(f"{part!r} is not a label with a probability from 0 to 1, such as nsfw:0.5")
        found[label.strip().casefold()] = threshold
    return found
