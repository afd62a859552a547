"""Numbers computed with the reference implementation (ComfyUI) on a tiny random checkpoint, to agree with."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(__file__).parent
MODELS = FOLDER / "models"
REAL_TOKENS: list[dict[str, Any]] = json.loads((FOLDER / "real_tokens.json").read_text(encoding="utf-8"))
CASES: dict[str, Any] = json.loads((FOLDER / "cases.json").read_text(encoding="utf-8"))
EXPECTED: dict[str, Tensor] = load_file(FOLDER / "expected.safetensors")
FULL_SIZE_KEYS: dict[str, dict[str, list[int]]] = json.loads(
    (FOLDER / "full_size_keys.json").read_text(encoding="utf-8")
)

NETWORK_TOLERANCE = 1e-4
PICTURE_TOLERANCE = 1e-3


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return ((actual - expected).norm() / expected.norm()).item()
