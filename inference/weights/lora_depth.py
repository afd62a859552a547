"""Renumbers a LoRA's blocks for a model with another number of blocks.

Anima has 28 blocks. Larger models were made from it by inserting blocks between the old ones, which changes the numbers
of the old ones. So a LoRA for Anima must be renumbered too, or it would change the wrong blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

ANIMA = 28
#: The depths of the models that LoRA files are made for: Anima, Anima 2.9B and Anima 3.8B.
KNOWN_DEPTHS = (ANIMA, 40, 52)
#: The blocks of Anima 2.9B that Anima does not have.
INSERTED = frozenset({2, 5, 8, 11, 14, 17, 21, 24, 27, 30, 33, 36})
#: For each block of Anima, the same block of Anima 2.9B.
FROM_28_TO_40 = tuple(block for block in range(40) if block not in INSERTED)

_BLOCK = re.compile(
    r"(?:^|[._])(?:transformer_)?blocks[._](\d{1,6})[._](?:self_attn|cross_attn|mlp|adaln|attn[12]|ff|norm[123])[._]"
)
_BASE_NAMES = re.compile(r"anima[-_ ]?(?:base|preview|aesthetic|turbo)", re.IGNORECASE)
_LARGER_NAMES = ((re.compile(r"2[._]9b|29b", re.IGNORECASE), 40), (re.compile(r"3[._]8b|38b", re.IGNORECASE), 52))
#: The header's entries in which trainers name the model that they trained on.
_BASE_MODEL_ENTRIES = ("ss_sd_model_name", "ss_base_model_version", "modelspec.base_model", "base_model")


class OtherDepth(ValueError):
    """A LoRA was made for a model with another number of blocks; the message is the end of a sentence about it."""


def block_numbers(layers: Iterable[str], depth: int, metadata: Mapping[str, str]) -> Mapping[int, int]:
    """Maps a LoRA's block numbers to those in a model of `depth` blocks; empty if they are the same.

    layers: the names of the layers in the file, in any format. Raises OtherDepth.
    """
    highest = max((int(match[1]) for layer in layers if (match := _block(layer))), default=-1)
    made_for = _depth_of(highest, depth, metadata)
    if made_for is None or made_for == depth:
        return {}
    if (made_for, depth) == (ANIMA, 40):
        return dict(enumerate(FROM_28_TO_40))
    raise OtherDepth(
        f"it was made for a model of {made_for} blocks, and this model has {depth}. "
        "Use a LoRA made for this model, or convert it."
    )


def _depth_of(highest: int, depth: int, metadata: Mapping[str, str]) -> int | None:
    """The depth of the model that a LoRA was made for; None if its blocks keep their numbers."""
    if highest < 0:
        return None
    if depth < ANIMA:  # none of the known models
        return highest + 1 if highest >= depth and highest + 1 in KNOWN_DEPTHS else None
    said = _depth_said(metadata)
    if said is not None and said > highest:
        return said
    fitting = min((known for known in {*KNOWN_DEPTHS, depth} if known > highest), default=highest + 1)
    if fitting < depth and highest + 1 != fitting:
        raise OtherDepth(
            f"it changes only some blocks and does not say whether it was made for a model of {fitting} blocks or for "
            f"one of {depth}, as this is, so it could change the wrong ones. Use a LoRA made for this model."
        )
    return fitting


def _depth_said(metadata: Mapping[str, str]) -> int | None:
    said = " ".join(metadata.get(entry, "") for entry in _BASE_MODEL_ENTRIES)
    for name, depth in _LARGER_NAMES:
        if name.search(said):
            return depth
    return ANIMA if _BASE_NAMES.search(said) else None


def _block(layer: str) -> re.Match[str] | None:
    if "llm_adapter" in layer or "text_conditioner" in layer:
        return None
    return _BLOCK.search(f"{layer}.")
