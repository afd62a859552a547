"""Whether a file's tensors are those of a network, judged by their names and shapes; without PyTorch."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from inference.networks.params import Shapes, TransformerParams

#: Tensors that are left over from training, and tables that can be computed.
_LEFTOVERS = re.compile(
    r"(?:^|\.)(?:accum_\w+|logvar\.|_extra_state$|inv_freq$|pos_embedder\.|freqs(?:_cis)?$|num_batches_tracked$"
    r"|(?:\w*_)?ema\.|(?:ema_)?num_updates$|(?:optimizer|optim|lr_scheduler|loss)\."
    r"|(?:global_)?step$|epoch$|iteration$|rng_state)"
)


def is_leftover(key: str, wanted: Collection[str]) -> bool:
    """Whether a tensor that is not among the `wanted` ones can be ignored."""
    return key not in wanted and _LEFTOVERS.search(key) is not None


def shapes_fault(wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> str | None:
    """Why tensors of the shapes `found` are not those of a network with the shapes `wanted`; None if they are."""
    for key, shape in found.items():
        if key in wanted and shape != wanted[key]:
            return (
                f"tensor {key} has shape {list(shape)}, but {list(wanted[key])} is needed. "
                "The file belongs to another model; choose a file made for Anima."
            )
    if missing := sorted(wanted.keys() - found.keys()):
        return f"{_some(missing)} missing. It is incomplete or of another model."
    if surplus := [key for key in found if key not in wanted]:
        return (
            f"{_some(surplus)} not known. The file belongs to another model or has a packed format that is not "
            "supported; use the plain bfloat16 or float32 version."
        )
    return None


def transformer_fault(shapes: Shapes) -> str | None:
    """Why tensors of these shapes, by names without prefix, are not an Anima diffusion model's; None if they are."""
    try:
        wanted = TransformerParams.from_shapes(shapes).shapes
    except (LookupError, ValueError, TypeError):
        return "it lacks tensors that every Anima diffusion model has. It is incomplete or of another model."
    return shapes_fault(wanted, {key: shape for key, shape in shapes.items() if not is_leftover(key, wanted)})


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
    return f"{shown} {'is' if len(keys) == 1 else 'are'}"
