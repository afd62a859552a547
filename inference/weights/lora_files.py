"""Lists the LoRA files of a models folder by name: quick, and without PyTorch.

Files can be added and removed while an engine runs. The engine looks for a LoRA when a request needs it; code that
offers LoRAs to choose from should list them each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from inference.weights.folders import composed, paths_by_name, without_suffix

LORA_FOLDER = "loras"

# The turbo LoRA that is published with Anima, with its version.
_OFFICIAL_TURBO = re.compile(r"anima-turbo(?:-lora)?(?:-v(\d[\d.]*)[a-z]?)?")


def lora_names(models: str | Path) -> list[str]:
    """The current names of the LoRA files in a `models` folder, without suffix, sorted. Opens no file."""
    return sorted(lora_paths(models))


def lora_paths(models: str | Path) -> Mapping[str, Path]:
    """The LoRA files by name. If two differ only in their suffix, the second keeps its suffix."""
    return paths_by_name(Path(models) / LORA_FOLDER)


def lora_name(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` refers to, with or without suffix and with slashes of any kind; or None."""
    known = set(names)
    spellings = (name, composed(name), composed(name.replace("\\", "/")))
    forms = (form for spelling in spellings for form in (spelling, without_suffix(spelling)))
    return next((form for form in forms if form in known), None)


def turbo_names(names: Iterable[str], says_turbo: Callable[[str], bool] = lambda _name: False) -> list[str]:
    """The LoRA files that make a model a turbo model, the most likely first.

    First those whose headers say so, then one called just "turbo", then the official ones, newest version first. A
    file that only has "turbo" somewhere in its name is not included. A subfolder's name does not count.
    """
    ranked = {name: (says_turbo(name), *_rank(name)) for name in names}
    return sorted((name for name, rank in ranked.items() if any(rank[:3])), key=lambda name: (ranked[name], name))[::-1]


def _rank(name: str) -> tuple[bool, bool, tuple[int, ...]]:
    own = name.rpartition("/")[2].casefold()
    official = _OFFICIAL_TURBO.fullmatch(own)
    version = tuple(int(number) for number in re.findall(r"\d{1,6}", official[1] or "")) if official else ()
    return own == "turbo", official is not None, version
