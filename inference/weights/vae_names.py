"""Translates diffusers' names of a VAE's tensors into those of the released file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_OUTER = (
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"\.conv_in\.", ".conv1."),
    (r"\.norm_out\.", ".head.0."),
    (r"\.conv_out\.", ".head.2."),
    (r"^encoder\.down_blocks\.", "encoder.downsamples."),
    (r"\.mid_block\.resnets\.0\.", ".middle.0."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"\.mid_block\.resnets\.1\.", ".middle.2."),
)
_RESIDUAL = (
    (r"\.norm1\.", ".residual.0."),
    (r"\.conv1\.(?=weight$|bias$)", ".residual.2."),
    (r"\.norm2\.", ".residual.3."),
    (r"\.conv2\.(?=weight$|bias$)", ".residual.6."),
    (r"\.conv_shortcut\.", ".shortcut."),
)
_UP = re.compile(r"^decoder\.up_blocks\.(\d{1,3})\.(resnets|upsamplers)\.(\d{1,3})\.")
_IN_A_BLOCK = re.compile(r"\.(?:middle|downsamples|upsamples)\.\d+\.")


def released_names(keys: Collection[str]) -> Mapping[str, str]:
    """Maps each of diffusers' names to the released file's."""
    ups = {(int(match[1]), match[2] == "upsamplers", int(match[3])) for key in keys if (match := _UP.match(key))}
    position = {up: number for number, up in enumerate(sorted(ups))}
    names = {}
    for key in keys:
        name = key
        if match := _UP.match(key):
            number = position[int(match[1]), match[2] == "upsamplers", int(match[3])]
            name = f"decoder.upsamples.{number}.{key[match.end() :]}"
        for pattern, replacement in _OUTER:
            name = re.sub(pattern, replacement, name)
        if _IN_A_BLOCK.search(name):
            for pattern, replacement in _RESIDUAL:
                name = re.sub(pattern, replacement, name)
        names[key] = name
    return names
