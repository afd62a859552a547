"""Checks all options of `anima generate` before a model is loaded, to report all problems together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from bot.cli import nearest_existing
from inference import GenerationRequest, InvalidRequest
from inference.weights.lora_files import LORA_FOLDER, lora_name, lora_names

#: Fields that depend on each other and are checked together; all others are checked one by one.
DEPENDENT_FIELDS = (
    frozenset({"image", "mask", "denoise"}),
    frozenset({"variation_seed", "variation_strength"}),
    frozenset({"scheduler", "beta"}),
    frozenset({"sampler", "er_sde"}),
)


def wrong_fields(prompt: str, fields: Mapping[str, Any]) -> list[str]:
    """The problems with a request's fields, one sentence each."""
    checks: list[Callable[[], None]] = [GenerationRequest(prompt).check]
    for names in _groups(fields):
        checks.append(GenerationRequest("", **{name: fields[name] for name in fields if name in names}).check)
    return [sentence for check in checks for sentence in _complaint(check)]


def missing_loras(loras: Iterable[tuple[str, float]], models: Path) -> list[str]:
    """One sentence for each LoRA that is not in the models folder."""
    known = lora_names(models)
    return [
        f"loras: there is no LoRA {name!r} in {models / LORA_FOLDER}. There are: {', '.join(known) or 'none'}."
        for name, _ in loras
        if lora_name(name, known) is None
    ]


def ensure_writable(folder: Path) -> None:
    """Raises OSError if `folder`, which may not exist yet, cannot be written to. Creates nothing."""
    TemporaryFile(dir=nearest_existing(folder)).close()


def _groups(names: Iterable[str]) -> Iterator[frozenset[str]]:
    left = set(names)
    for group in DEPENDENT_FIELDS:
        if group & left:
            yield group
    yield from (frozenset({name}) for name in sorted(left - frozenset().union(*DEPENDENT_FIELDS)))


def _complaint(check: Callable[[], None]) -> list[str]:
    try:
        check()
    except InvalidRequest as error:
        return [str(error)]
    return []
