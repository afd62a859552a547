"""The format of a file's 8-bit weights, from its header; `inference.weights.quantized` converts them.

ComfyUI writes JSON about each layer into a small tensor, `comfy_quant`, or about all of them into the header's
`_quantization_metadata`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

SCALES = ("weight_scale", "scale_weight")
#: Suffixes of a quantised layer's additional tensors.
BESIDE = (*SCALES, "input_scale", "scale_input", "comfy_quant", "weight_scale_2")
#: A tensor that marks the whole file as quantised.
MARK = "scaled_fp8"
HEADER_ENTRY = "_quantization_metadata"
#: How many of the header's layer names are compared, to see whether they have another prefix than the file's.
MAX_NAMES_COMPARED = 8
#: The longest such prefix, in parts between dots.
MAX_PREFIX_PARTS = 5
#: In keys of weights packed by bitsandbytes, the text before the format's name.
BITSANDBYTES = "bitsandbytes__"
#: Names of tensors with packed weights, and the packages that pack them so.
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
    """How a file's weights are quantised. Keys are the file's own. `content` returns the bytes of a tensor."""

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
            if name == "comfy_quant":
                if (settings := _object(self.content(key))) is None:
                    return _UNKNOWN
                if (form := _form(settings)) not in READABLE:
                    return _unreadable(form)
        forms = {_form(settings) for settings in self._said.values()}
        if unreadable := sorted(forms - READABLE):
            return _unreadable(unreadable[0])
        scaled = any(key.rpartition(".")[2] in SCALES for key in self.keys)
        return _UNKNOWN if scaled and self._header_is_unknown else None

    def settings(self, layer: str) -> LayerSettings:
        """The file's settings for one layer."""
        key = f"{layer}.comfy_quant"
        if key in self.keys:
            return _object(self.content(key)) or {}
        return self._in_header.get(layer, {})

    @property
    def _header_is_unknown(self) -> bool:
        """Whether the header's settings of layers cannot be read, or are for none of the file's layers."""
        text = self.metadata.get(HEADER_ENTRY)
        return text is not None and (_object(text.encode()) is None or bool(self._said and not self._in_header))

    @cached_property
    def _said(self) -> Mapping[str, LayerSettings]:
        """The header's settings by its own layer names, which may have another prefix than the file's."""
        layers = (_object(self.metadata.get(HEADER_ENTRY, "").encode()) or {}).get("layers")
        if not isinstance(layers, dict):
            return {}
        return {name: settings for name, settings in layers.items() if isinstance(settings, dict)}

    @cached_property
    def _in_header(self) -> Mapping[str, LayerSettings]:
        """The header's settings by the file's layer names, with the header's prefix replaced by the file's."""
        layers = frozenset(key.removesuffix(".weight") for key in self.keys if key.endswith(".weight"))
        exchanges = {pair for name in islice(self._said, MAX_NAMES_COMPARED) for pair in _exchanges(name, layers)}
        fitting = (
            {
                ours + name.removeprefix(theirs): settings
                for name, settings in self._said.items()
                if name.startswith(theirs) and ours + name.removeprefix(theirs) in layers
            }
            for theirs, ours in sorted(exchanges)
        )
        return max(fitting, key=len, default={})


def _exchanges(name: str, layers: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of prefixes, one to remove from a layer's name in the header and one to add, for a name in the file."""
    end = name
    for _ in range(MAX_PREFIX_PARTS + 1):
        if found := sorted(layer for layer in layers if layer == end or layer.endswith(f".{end}")):
            return [(name.removesuffix(end), layer.removesuffix(end)) for layer in found[:MAX_NAMES_COMPARED]]
        end = end.partition(".")[2]
    return []


def _form(settings: Mapping[str, object]) -> str:
    return str(settings.get("format", "float8_e4m3fn"))[:40]


_UNKNOWN = (
    "its description of how the weights are quantised is not readable. Use the plain version in bfloat16, or one in "
    "fp8 or int8."
)


def _unreadable(form: str) -> str:
    return (
        f"its weights are quantised as {form}, which is not supported. Use the plain version in bfloat16, or one in "
        "fp8 or int8."
    )


def _object(text: bytes) -> dict[str, int | str | bool] | None:
    """The JSON object in a text; None if there is none. Some programs pad the tensor with zeros."""
    try:
        read = json.loads(text.rstrip(b"\0"))
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None
