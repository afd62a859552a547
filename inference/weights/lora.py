"""LoRA files in every dialect, merged into a transformer's weights and taken out again bit by bit.

A file says for each of some linear layers how its weight is to change. Dialects differ in how they name the layer
and in how they factor the change:

- LoRA (arXiv 2106.09685): `up @ down`,
- LoHa (arXiv 2108.06098): `(w1_a @ w1_b) * (w2_a @ w2_b)`,
- LoKr (arXiv 2309.14859): `kron(w1, w2)`, each whole or as a product of two factors,

all times alpha / rank, where a file gives an alpha and there is a rank; and any of them with DoRA (arXiv 2402.09353),
which also sets the lengths of the weight's rows or columns.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from inference.request import CheckpointError
from inference.weights.checkpoint import WeightsFile, check_header

Factors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Lora:
    """A LoRA file as it was when it was read, its layers named as the transformer names them."""

    path: Path
    #: For each changed weight, such as `blocks.0.mlp.layer1.weight`, the factors of its change.
    factors: Mapping[str, Factors]
    #: Keys of the file that fit no layer of the transformer, and so change nothing.
    unmatched: tuple[str, ...]
    metadata: Mapping[str, str]

    @classmethod
    def read(cls, path: Path, transformer: nn.Module) -> Lora:
        """Raises CheckpointError where nothing in the file fits the transformer, or something does not fit in size."""
        try:
            check_header(path)
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, the file is no mapping
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"The LoRA file {path} cannot be read as safetensors ({error}). Delete it and download it again."
            ) from error
        weights = {name: module.weight for name, module in transformer.named_modules() if isinstance(module, nn.Linear)}
        by_kohya_name = {name.replace(".", "_"): name for name in weights}
        factors: dict[str, dict[str, Tensor]] = defaultdict(dict)
        unmatched = []
        for key, tensor in tensors.items():
            layer, factor = _split(key)
            name = by_kohya_name.get(_KOHYA_PREFIX.sub("", layer)) or _native_name(layer)
            if name in weights and factor is not None:
                factors[name][factor] = tensor
            else:
                unmatched.append(key)
        if not factors:
            raise CheckpointError(
                f"The LoRA file {path} fits no layer of this model (its keys look like {next(iter(tensors), 'none')}). "
                "It was made for another model; choose one made for Anima."
            )
        for name in factors:
            _check(path, name, factors[name], weights[name])
        return cls(path, {f"{name}.weight": factors[name] for name in factors}, tuple(unmatched), metadata)


class MergedLoras:
    """Keeps one set of LoRA files merged into a transformer's weights.

    A merge always starts from the tensors of the checkpoint, so what was merged before leaves no trace.
    """

    def __init__(self, transformer: nn.Module, checkpoint: WeightsFile) -> None:
        self._weights = dict(transformer.named_parameters())
        self._checkpoint = checkpoint
        self._merged: tuple[tuple[Lora, float], ...] = ()

    @torch.inference_mode(False)  # tensors of the inference mode are of another kind, for which blocks compile again
    def set(self, loras: Sequence[tuple[Lora, float]]) -> None:
        """Make `loras`, each with its strength, the ones that are merged; none takes all out."""
        loras = tuple((lora, strength) for lora, strength in loras if strength != 0)
        if loras == self._merged:
            return
        touched = {key for lora, _ in (*self._merged, *loras) for key in lora.factors}
        self._merged = ()  # if a merge fails half-way, the next one starts over
        for key in touched:
            weight = self._weights[key]
            base = self._checkpoint.tensor(key)
            changes = [(lora.factors[key], strength) for lora, strength in loras if key in lora.factors]
            if changes:
                merged = base.to(weight.device, torch.float32)
                for factors, strength in changes:
                    merged = _changed(merged, factors, strength)
                base = merged
            weight.data = base.to(weight.device, weight.dtype)
        self._merged = loras


def _changed(weight: Tensor, factors: Factors, strength: float) -> Tensor:
    """`weight` [out, in], float32, with one change at a strength."""
    factors = {name: factor.to(weight.device, torch.float32) for name, factor in factors.items()}
    change = _change(factors).reshape(weight.shape)
    if (lengths := factors.get("dora_scale")) is None:
        return weight + strength * change
    whole = weight + change
    # ComfyUI measures rows on the weight as it was and columns on the changed one; so do images made with it.
    by_rows = lengths.shape[0] == weight.shape[0]
    lengths = lengths.reshape(-1, 1) if by_rows else lengths.reshape(1, -1)
    measured = weight.norm(dim=1, keepdim=True) if by_rows else whole.norm(dim=0, keepdim=True)
    whole = whole * (lengths / (measured + torch.finfo(torch.float32).eps))
    return weight + strength * (whole - weight)


def _change(factors: Factors) -> Tensor:
    if "up" in factors:
        return _scale(factors, rank=factors["down"].shape[0]) * (factors["up"] @ factors["down"])
    if "hada_w1_a" in factors:
        first = factors["hada_w1_a"] @ factors["hada_w1_b"]
        second = factors["hada_w2_a"] @ factors["hada_w2_b"]
        return _scale(factors, rank=factors["hada_w1_b"].shape[0]) * (first * second)
    first, first_rank = _lokr_factor(factors, "lokr_w1")
    second, second_rank = _lokr_factor(factors, "lokr_w2")
    return _scale(factors, rank=second_rank or first_rank) * torch.kron(first, second)


def _lokr_factor(factors: Factors, name: str) -> tuple[Tensor, int | None]:
    if name in factors:
        return factors[name], None
    second = factors[f"{name}_b"]
    return factors[f"{name}_a"] @ second, second.shape[0]


def _scale(factors: Factors, rank: int | None) -> float:
    if "alpha" not in factors or rank is None:
        return 1.0
    return factors["alpha"].item() / rank


# How the factors are called in the dialects. The longest ending that fits counts.
_FACTORS = {
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".alpha": "alpha",
    ".dora_scale": "dora_scale",
    ".lora_magnitude_vector": "dora_scale",
    ".lora_magnitude_vector.weight": "dora_scale",
    ".lora_magnitude_vector.default.weight": "dora_scale",
    **{f".lokr_{name}": f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b")},
    **{f".hada_{name}": f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b")},
}
_WHOLE_CHANGES: tuple[set[str], ...] = (
    {"up", "down"},
    {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"},
    *(
        first | second
        for first in ({"lokr_w1"}, {"lokr_w1_a", "lokr_w1_b"})
        for second in ({"lokr_w2"}, {"lokr_w2_a", "lokr_w2_b"})
    ),
)

_KOHYA_PREFIX = re.compile(r"^(lora_unet|lora_transformer|lycoris)_")
_NATIVE_PREFIX = re.compile(r"^(base_model\.model\.)?(model\.diffusion_model\.|diffusion_model\.|transformer\.|net\.)?")

# The layers' names in diffusers' conversion, in the order in which they are to be replaced.
_DIFFUSERS_NAMES: tuple[tuple[str, str], ...] = (
    (r"^text_conditioner\.", "llm_adapter."),
    (r"^transformer_blocks\.(\d+)\.", r"blocks.\1."),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_([qkv])$", r".\1_proj"),
    (r"\.to_out\.0$", ".output_proj"),
    (r"\.ff\.net\.0\.proj$", ".mlp.layer1"),
    (r"\.ff\.net\.2$", ".mlp.layer2"),
    (r"\.norm1\.linear_([12])$", r".adaln_modulation_self_attn.\1"),
    (r"\.norm2\.linear_([12])$", r".adaln_modulation_cross_attn.\1"),
    (r"\.norm3\.linear_([12])$", r".adaln_modulation_mlp.\1"),
    (r"^norm_out\.linear_([12])$", r"final_layer.adaln_modulation.\1"),
    (r"^proj_out$", "final_layer.linear"),
    (r"^patch_embed\.proj$", "x_embedder.proj.1"),
    (r"^time_embed\.t_embedder\.linear_([12])$", r"t_embedder.1.linear_\1"),
)


def _split(key: str) -> tuple[str, str | None]:
    """A key's layer and factor; None where no dialect has such a factor."""
    endings = [ending for ending in _FACTORS if key.endswith(ending)]
    if not endings:
        return key, None
    ending = max(endings, key=len)
    return key.removesuffix(ending), _FACTORS[ending]


def _native_name(layer: str) -> str:
    name = _NATIVE_PREFIX.sub("", layer)
    for pattern, replacement in _DIFFUSERS_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _check(path: Path, name: str, factors: Factors, weight: Tensor) -> None:
    for factor, tensor in factors.items():
        if not torch.isfinite(tensor.float()).all():
            raise CheckpointError(
                f"The LoRA file {path}: {factor} of layer {name} holds values that are not numbers. "
                "The file is damaged; download it again."
            )
    if set(factors) - {"alpha", "dora_scale"} not in _WHOLE_CHANGES:
        raise CheckpointError(
            f"The LoRA file {path}: layer {name} has only {', '.join(sorted(factors))}, which is incomplete. "
            "The file is damaged, or of a kind that is not supported (LoRA, DoRA, LoHa and LoKr of linear layers are)."
        )
    shapes = {factor: tensor.to("meta") for factor, tensor in factors.items() if factor != "alpha"}
    try:
        fits = _changed(weight.to("meta", torch.float32), shapes, 1.0).shape == weight.shape
        fits = fits and all(tensor.numel() for tensor in shapes.values())
        fits = fits and ("alpha" not in factors or factors["alpha"].numel() == 1)
        if "dora_scale" in shapes:
            fits = fits and shapes["dora_scale"].numel() in weight.shape
    except (RuntimeError, IndexError):
        fits = False
    if not fits:
        raise CheckpointError(
            f"The LoRA file {path}: its change of layer {name} does not have that layer's shape {list(weight.shape)}. "
            "It was made for a model of another size."
        )
