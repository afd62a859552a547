"""The arithmetic of a LoRA: how the factors in a file change a tensor of the model.

- LoRA (arXiv 2106.09685): `up @ down`,
- LoHa (arXiv 2108.06098): `(w1_a @ w1_b) * (w2_a @ w2_b)`,
- LoKr (arXiv 2309.14859): `kron(w1, w2)`, each whole or as a product of two factors,
  and these three with a third factor between the two (`lora_mid`, `t1`, `t2`), as for convolutions,
- GLoRA (arXiv 2306.07967): `weight @ a1 @ a2 + b1 @ b2`, or `weight @ a2 @ a1 + b2 @ b1` as it was first written,

all times alpha / rank if the file has an alpha and there is a rank, and any of them with DoRA (arXiv 2402.09353), which
also sets the lengths of the weight's rows or columns;

- OFT (arXiv 2306.07280) and BOFT (arXiv 2311.06243): rotations of groups of rows, with alpha as their bound; lengths
  (`rescale`) are applied for BOFT only, as in ComfyUI,
- `diff`: the change itself; `set_weight`: the new tensor, whatever the strength.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Factors = Mapping[str, Tensor]

#: Limits for regular expressions from files.
_MAX_PATTERN_LENGTH, _MAX_REPEATS = 200, 3
_REPEATS, _REPEATED_GROUP = re.compile(r"[*+{]"), re.compile(r"\)[*+?{]")

#: The entry of the file's header in which PEFT and diffusers store alphas, instead of in tensors.
HEADER_ENTRY = "lora_adapter_metadata"
COMPONENTS = ("transformer", "text_encoder", "text_conditioner")

#: Sets of factors that belong together; each set is one kind of change.
KINDS: tuple[frozenset[str], ...] = (
    frozenset({"up", "down"}),
    frozenset({"up", "down", "mid"}),
    frozenset({"embedding_up", "embedding_down"}),
    frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),
    frozenset({"hada_w1_a", "hada_w1_b", "hada_t1", "hada_w2_a", "hada_w2_b", "hada_t2"}),
    *(
        frozenset(first | second)
        for first in ({"lokr_w1"}, {"lokr_w1_a", "lokr_w1_b"})
        for second in ({"lokr_w2"}, {"lokr_w2_a", "lokr_w2_b"}, {"lokr_w2_a", "lokr_w2_b", "lokr_t2"})
    ),
    frozenset({"a1", "a2", "b1", "b2"}),
    frozenset({"oft_blocks"}),
    frozenset({"oft_blocks", "rescale"}),
)
#: Factors that are a change on their own.
WHOLE = frozenset({"diff", "set_weight"})
#: Factors that only accompany others.
BESIDE = frozenset({"alpha", "dora_scale", "magnitude", "reshape_weight"})
#: Of these, the lengths for DoRA: the name in LyCORIS and sd-scripts, and PEFT's.
LENGTHS = ("dora_scale", "magnitude")

# What may follow a factor's name: PEFT's name for an adapter and `.weight`, but not the name of another tensor.
_ADAPTER = r"(?:\.(?!(?:bias|alpha|scale|scale_\w+|\w+_scale|comfy_quant|weight)$)[\w-]+)?(?:\.weight)?"
# The names of the factors in all formats, after the layer's name.
_ENDINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern + "$"), name)
    for pattern, name in (
        (rf"\.lora_A{_ADAPTER}", "down"),
        (rf"\.lora_B{_ADAPTER}", "up"),
        (rf"[._]lora(?:[._]|_linear_layer\.)down{_ADAPTER}", "down"),
        (rf"[._]lora(?:[._]|_linear_layer\.)up{_ADAPTER}", "up"),
        (r"\.lora_B(?:\.[\w-]+)?\.bias", "up_bias"),
        (rf"\.lora_embedding_A{_ADAPTER}", "embedding_down"),
        (rf"\.lora_embedding_B{_ADAPTER}", "embedding_up"),
        (rf"\.lora_mid{_ADAPTER}", "mid"),
        (r"(?:\.lora_(?:A|B|down|up))?\.(?:lora_)?alpha", "alpha"),
        (r"\.dora_scale", "dora_scale"),
        (rf"\.lora_magnitude_vector{_ADAPTER}", "magnitude"),
        (r"\.reshape_weight", "reshape_weight"),
        (r"\.w_norm", "diff"),
        (r"\.b_norm", "diff_b"),
        *((rf"\.{name}\.weight", name) for name in ("a1", "a2", "b1", "b2")),
        *((rf"\.{name}", name) for name in ("diff", "diff_b", "set_weight", "oft_blocks", "rescale")),
        *((rf"\.lokr_{name}{_ADAPTER}", f"lokr_{name}") for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
        *((rf"\.hada_{name}{_ADAPTER}", f"hada_{name}") for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    )
)


def split_key(key: str) -> tuple[str, str | None]:
    """A key's layer and factor; the factor is None if no format has it."""
    for ending, name in _ENDINGS:
        if match := ending.search(key):
            return key[: match.start()], name
    return key, None


def is_whole(factors: Factors) -> bool:
    """Whether these factors form a complete change, with none left over."""
    kind = frozenset(factors) - BESIDE - WHOLE
    return kind in KINDS or (not kind and bool(WHOLE & set(factors)))


def rank_of(factors: Factors) -> int | None:
    """The rank of a plain low-rank change, by which its alpha is divided; None for other changes."""
    down = factors.get("down", factors.get("embedding_down"))
    return None if down is None or down.ndim == 0 else down.shape[0]


def changed(weight: Tensor, factors: Factors, strength: float) -> Tensor:
    """Apply one change to `weight`, float32 of any shape, at a strength. Raises RuntimeError if shapes do not fit."""
    factors = {name: factor.to(weight.device, torch.float32) for name, factor in factors.items()}
    if (new := factors.get("set_weight")) is not None:
        weight = new.reshape(weight.shape)
    if (diff := factors.get("diff")) is not None:
        weight = weight + strength * diff.reshape(weight.shape)
    if not frozenset(factors) - BESIDE - WHOLE:
        return weight
    change = _change(weight, factors, strength).reshape(weight.shape)
    name = next((name for name in LENGTHS if name in factors), None)
    if name is None:
        return weight + strength * change
    whole = weight + change
    # As in ComfyUI, rows for `dora_scale` are measured on the original weight; PEFT measures the changed one.
    lengths = factors[name]
    by_rows = lengths.numel() == weight.shape[0] if name == "magnitude" else lengths.shape[0] == weight.shape[0]
    lengths = lengths.reshape(-1, 1) if by_rows else lengths.reshape(1, -1)
    of = weight if by_rows and name == "dora_scale" else whole
    measured: Tensor = torch.linalg.vector_norm(of, dim=1 if by_rows else 0, keepdim=True)
    whole = whole * (lengths / (measured + torch.finfo(torch.float32).eps))
    return weight + strength * (whole - weight)


def _change(weight: Tensor, factors: Factors, strength: float) -> Tensor:
    """The change, to be multiplied by the strength."""
    if "oft_blocks" in factors:
        return _rotation(weight, factors, strength)
    # Factors of a convolution of one pixel are matrices with two sides of one more.
    factors = {name: factor.flatten(1) if factor.ndim > 2 else factor for name, factor in factors.items()}
    if "up" in factors:
        down = factors["mid"] @ factors["down"] if "mid" in factors else factors["down"]
        change = factors["up"] @ down
        if change.shape != weight.shape and change.shape == weight.shape[::-1]:
            change = change.T  # an embedding, written as the layer that reads one-hot rows
        return _scale(factors, rank=factors["down"].shape[0]) * change
    if "embedding_up" in factors:
        change = (factors["embedding_up"] @ factors["embedding_down"]).T
        return _scale(factors, rank=factors["embedding_down"].shape[0]) * change
    if "hada_w1_a" in factors:
        first = _product(factors, "hada_w1", "hada_t1")
        second = _product(factors, "hada_w2", "hada_t2")
        return _scale(factors, rank=factors["hada_w1_b"].shape[0]) * (first * second)
    if "a1" in factors:
        return _generalized(weight, factors)
    first, first_rank = _lokr_factor(factors, "lokr_w1")
    second, second_rank = _lokr_factor(factors, "lokr_w2")
    return torch.kron(first, second) * _scale(factors, rank=second_rank or first_rank)


def _generalized(weight: Tensor, factors: Factors) -> Tensor:
    a1, a2, b1, b2 = (factors[name] for name in ("a1", "a2", "b1", "b2"))
    first = b2.shape[1] == b1.shape[0] == a1.shape[0] == a2.shape[1]
    later = b2.shape[0] == b1.shape[1] == a1.shape[1] == a2.shape[0]
    square = a2.shape[0] == weight.shape[0] == weight.shape[1]
    if first and not (later and not square):
        return _scale(factors, rank=a1.shape[0]) * (b2 @ b1 + weight @ a2 @ a1)
    return _scale(factors, rank=a2.shape[0]) * (weight @ a1 @ a2 + b1 @ b2)


def _rotation(weight: Tensor, factors: Factors, strength: float) -> Tensor:
    """OFT if the blocks are [groups, size, size], BOFT if they are [stages, groups, size, size].

    The strength counts twice, as in ComfyUI: it blends each rotation with the identity, and then multiplies the whole
    change (pull request 15584 there, which would have changed that, was closed). At 0.5 an OFT file has a quarter of
    its effect.
    """
    blocks = factors["oft_blocks"]
    size = blocks.shape[-1]
    identity = torch.eye(size, device=blocks.device)
    skew = blocks - blocks.transpose(-1, -2)
    if "alpha" in factors and (bound := factors["alpha"].item()) > 0:
        skew = skew * (bound / (torch.linalg.vector_norm(skew) + 1e-8)).clamp(max=1)
    rotations = (identity + skew) @ torch.linalg.inv_ex(identity - skew).inverse
    if blocks.ndim == 3:
        groups = weight.reshape(blocks.shape[0], size, -1)
        return torch.einsum("knm,kni->kmi", strength * (rotations - identity), groups).reshape(weight.shape)
    turned = weight
    for stage, rotation in enumerate(rotations):
        half = 2**stage * (size // 2)
        blended = strength * rotation + (1 - strength) * identity
        columns = turned.shape[-1]
        turned = turned.reshape(-1, 2, half, columns).transpose(1, 2).reshape(-1, size, columns)
        turned = torch.einsum("bij,bjk->bik", blended, turned)
        turned = turned.reshape(-1, half, 2, columns).transpose(1, 2).reshape(-1, columns)
    if "rescale" in factors:
        turned = turned * factors["rescale"].reshape(-1, 1)
    return turned - weight


def _lokr_factor(factors: Factors, name: str) -> tuple[Tensor, int | None]:
    if name in factors:
        return factors[name], None
    return _product(factors, name, name.replace("w", "t")), factors[f"{name}_b"].shape[0]


def _product(factors: Factors, name: str, core: str) -> Tensor:
    """The product of two factors, or of three as in Tucker's decomposition, where the first one is transposed."""
    first, second = factors[f"{name}_a"], factors[f"{name}_b"]
    return first.T @ factors[core] @ second if core in factors else first @ second


def _scale(factors: Factors, rank: int | None) -> float:
    if "alpha" not in factors or rank is None:
        return 1.0
    return factors["alpha"].item() / rank


@dataclass(frozen=True)
class HeaderAlphas:
    """PEFT's settings, such as `transformer.lora_alpha` or `lora_alpha` in an object `transformer`.

    A setting without a component is for all components.
    """

    settings: Mapping[str, object]

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> HeaderAlphas:
        """Missing or invalid JSON gives no alphas."""
        try:
            settings = json.loads(metadata.get(HEADER_ENTRY, "{}"))
        except (ValueError, RecursionError):
            settings = {}
        return cls(settings if isinstance(settings, dict) else {})

    def alpha(self, layer: str, rank: int) -> float | None:
        """The alpha for a layer's change, to be divided by its rank; None if the header has none.

        layer: its name in the file, such as `transformer.transformer_blocks.0.attn1.to_q`.
        """
        component = next((name for name in COMPONENTS if name in layer.split(".")[:3]), COMPONENTS[0])
        alpha = _number(self._of(component, "lora_alpha"))
        patterns = self._of(component, "alpha_pattern")
        for pattern, special in patterns.items() if isinstance(patterns, dict) else ():
            if _means(str(pattern), layer) and _number(special) is not None:
                alpha = _number(special)
        if alpha is None:
            return None
        return alpha * math.sqrt(rank) if self._of(component, "use_rslora") is True else alpha

    def _of(self, component: str, name: str) -> object:
        own = self.settings.get(component)
        found = own.get(name) if isinstance(own, dict) else None
        return self.settings.get(f"{component}.{name}", self.settings.get(name) if found is None else found)


def _means(pattern: str, layer: str) -> bool:
    """Whether a pattern matches a layer as in PEFT, where it is a regular expression for the name's last parts.

    Patterns come from untrusted files: long ones and those with repeated groups are compared literally.
    """
    name = pattern.lstrip("^").rstrip("$")
    if not name:
        return False
    if f".{layer}".endswith("." + name.replace("\\.", ".")):
        return True
    if len(name) > _MAX_PATTERN_LENGTH or _REPEATED_GROUP.search(name) or len(_REPEATS.findall(name)) > _MAX_REPEATS:
        return False
    try:
        return re.fullmatch(rf"(?:.*\.)?(?:{name})", layer) is not None
    except re.error:
        return False


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
