"""The alphas that PEFT and diffusers keep in a file's header, under `lora_adapter_metadata`, not among its tensors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

HEADER_ENTRY = "lora_adapter_metadata"
COMPONENTS = ("transformer", "text_encoder", "text_conditioner")


@dataclass(frozen=True)
class HeaderAlphas:
    """PEFT's settings, such as `transformer.lora_alpha`; without the component's name they hold for all."""

    settings: Mapping[str, object]

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> HeaderAlphas:
        """What is not there or is not JSON says nothing."""
        try:
            settings = json.loads(metadata.get(HEADER_ENTRY, "{}"))
        except (ValueError, RecursionError):
            settings = {}
        return cls(settings if isinstance(settings, dict) else {})

    def alpha(self, layer: str, rank: int) -> float | None:
        """The alpha that goes with a layer's change of this rank, as it is divided by the rank; None: not said.

        layer: its name in the file, `transformer.transformer_blocks.0.attn1.to_q`.
        """
        component = next((name for name in COMPONENTS if name in layer.split(".")[:3]), COMPONENTS[0])
        alpha = _number(self._of(component, "lora_alpha"))
        patterns = self._of(component, "alpha_pattern")
        for pattern, special in patterns.items() if isinstance(patterns, dict) else ():
            name = str(pattern).lstrip("^").rstrip("$").replace("\\.", ".")
            if name and f".{layer}".endswith(f".{name}") and _number(special) is not None:
                alpha = _number(special)
        if alpha is None:
            return None
        return alpha * math.sqrt(rank) if self._of(component, "use_rslora") is True else alpha

    def _of(self, component: str, name: str) -> object:
        return self.settings.get(f"{component}.{name}", self.settings.get(name))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
