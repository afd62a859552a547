"""The format of a file's 8-bit weights, from its header; `inference.weights.quantized` converts them.

ComfyUI writes JSON about each layer into a small tensor, `comfy_quant`, or about all of them into the header's
`_quantization_metadata`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

SCALES = ("weight_scale", "scale_weight")
#: Suffixes of a quantised layer's additional tensors.
BESIDE = (*SCALES, "input_scale", "scale_input", "comfy_quant", "weight_scale_2")
#: A mark of the whole file.
MARK = "scaled_fp8"
HEADER_ENTRY = "_quantization_metadata"
#: The part of the keys of weights packed by bitsandbytes that precedes the form's name.
BITSANDBYTES = "bitsandbytes__"
#: Names of tensors that weights are packed into, and which packages do so.
PACKED = {
    "qweight": "SVDQuant, GPTQ or AWQ",
    "weight_packed": "compressed-tensors",
    "weight_scale_inv": "fp8 in blocks",
    "_data": "Quanto",
    "_packed": "Quanto",
    "W_q": "HQQ",
}
READABLE = frozenset({"float8_e4m3fn", "float8_e5m2", "int8_tensorwise"})

LayerSettings = Mapping[str, int | str | bool]


@dataclass(frozen=True)
class QuantizedForm:
    """Keys are the file's own. `content`: the bytes of a tensor."""

    keys: Collection[str]
    metadata: Mapping[str, str]
    content: Callable[[str], bytes]

    def belongs_beside(self, key: str) -> bool:
        """Whether a tensor only describes how to read another."""
        layer, _, name = key.rpartition(".")
        return name == MARK or (name in BESIDE and f"{layer}.weight" in self.keys)

    def fault(self) -> str | None:
        """Why this file cannot be read, as the end of a sentence; None if it can, or is not quantised."""
        for key in self.keys:
            layer, _, name = key.rpartition(".")
            if name == "weight_scale_2" and f"{layer}.weight" in self.keys:
                return _unreadable("nvfp4")
            if name in PACKED:
                return _unreadable(PACKED[name])
            if name.startswith(BITSANDBYTES):
                return _unreadable(name.removeprefix(BITSANDBYTES) or "bitsandbytes")
            if name == "comfy_quant" and (form := _form(self.settings(layer))) not in READABLE:
                return _unreadable(form)
        forms = {_form(settings) for settings in self._in_header().values()}
        return next((_unreadable(form) for form in sorted(forms - READABLE)), None)

    def settings(self, layer: str) -> LayerSettings:
        """The file's settings for one layer."""
        key = f"{layer}.comfy_quant"
        if key in self.keys:
            return _object(self.content(key))
        layers = self._in_header()
        return next((layers[name] for name in (layer, *_shorter(layer)) if name in layers), {})

    def _in_header(self) -> Mapping[str, LayerSettings]:
        if HEADER_ENTRY not in self.metadata:
            return {}
        layers = _object(self.metadata[HEADER_ENTRY].encode()).get("layers")
        if not isinstance(layers, dict):
            return {}
        return {name: settings for name, settings in layers.items() if isinstance(settings, dict)}


def _form(settings: Mapping[str, object]) -> str:
    return str(settings.get("format", "float8_e4m3fn"))[:40]


def _unreadable(form: str) -> str:
    return (
        f"its weights are quantised as {form}, which is not supported. Use the plain version in bfloat16, or one in "
        "fp8 or int8."
    )


def _object(text: bytes) -> dict[str, int | str | bool]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _shorter(layer: str) -> list[str]:
    parts = layer.split(".")
    return [".".join(parts[start:]) for start in range(1, len(parts))]
