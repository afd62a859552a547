"""Which LoRA files a models folder holds, by their names alone: quick, and without PyTorch.

Files may come and go while an engine runs. It looks for a LoRA when one is asked for, and whoever offers LoRAs to
choose from should look here each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

LORA_FOLDER = "loras"


def lora_names(models: str | Path) -> list[str]:
    """Names of the LoRA files of a `models` folder as it is now, without `.safetensors`, in order. Opens none."""
    folder = Path(models) / LORA_FOLDER
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.safetensors"))


def turbo_names(names: Iterable[str]) -> list[str]:
    """Those that call themselves turbo, the likeliest first: one called just that, then the newest version.

    A subfolder's name does not count.
    """
    return sorted((name for name in names if "turbo" in _own_name(name)), key=_likelihood, reverse=True)


def _likelihood(name: str) -> tuple[bool, str, str]:
    return _own_name(name) == "turbo", _own_name(name), name


def _own_name(name: str) -> str:
    return name.rpartition("/")[2].casefold()
