"""Which networks a safetensors file holds, by its keys. Files that hold several have a prefix for each."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

#: The end of a key that only Anima's diffusion model has.
TRANSFORMER_MARK = "llm_adapter.blocks.0.cross_attn.k_proj.weight"
TEXT_ENCODER_MARK = "layers.0.self_attn.q_norm.weight"
VAE_MARK = "decoder.upsamples.0.residual.2.weight"
#: The mark of a VAE with diffusers' names.
DIFFUSERS_VAE_MARK = "decoder.up_blocks.0.resnets.0.conv1.weight"


@dataclass(frozen=True)
class NetworkKind:
    """A network that may be in a file. `roots`: the first parts of its tensors' names, without the prefix."""

    name: str
    marks: tuple[str, ...]
    roots: frozenset[str]


DIFFUSION_MODEL = NetworkKind(
    "a diffusion model",
    (TRANSFORMER_MARK,),
    frozenset({"x_embedder", "t_embedder", "t_embedding_norm", "blocks", "final_layer", "llm_adapter"}),
)
TEXT_ENCODER = NetworkKind(
    "a text encoder", (TEXT_ENCODER_MARK,), frozenset({"embed_tokens", "layers", "norm", "lm_head"})
)
VAE = NetworkKind(
    "a VAE",
    (VAE_MARK, DIFFUSERS_VAE_MARK),
    frozenset({"encoder", "decoder", "conv1", "conv2", "quant_conv", "post_quant_conv"}),
)
KINDS = (DIFFUSION_MODEL, TEXT_ENCODER, VAE)

_LORA = re.compile(
    r"[._]lora_(?:up|down|A|B|mid|embedding_[AB]|magnitude_vector)\b|_lora\.(?:up|down)\.|\.(?:hada_[wt]|lokr_[wt])[12]"
    r"|\.(?:oft_blocks|dora_scale|diff|diff_b|set_weight|w_norm)$"
)
#: Two names that only a diffusion model such as Anima has both of, in diffusers' format.
_DIFFUSERS_TRANSFORMER = ("time_embed.t_embedder.linear_1.weight", "transformer_blocks.0.attn1.to_q.weight")
#: What PyTorch inserts into the names of modules that it compiles, checkpoints (recomputes) or shards over GPUs.
_WRAPPER = re.compile(r"(?<![A-Za-z0-9])_(?:orig_mod|checkpoint_wrapped_module|fsdp_wrapped_module)[._]")
_EMA = re.compile(r"(?:^|[._])ema(?:$|[._])")


def prefix_before(mark: str, keys: Collection[str]) -> str | None:
    """The shortest prefix before `mark` in a key; None if there is none. Averaged copies (EMA) are the last choice."""
    prefixes = {key.removesuffix(mark) for key in keys if key.endswith(mark)}
    return min(prefixes, key=lambda prefix: (_EMA.search(prefix) is not None, len(prefix), prefix), default=None)


def keys_of(mark: str, keys: Collection[str]) -> Mapping[str, str] | None:
    """Maps the names of the tensors of the network with this mark to their keys; None if there is no such network.

    Tensors of other networks in the file are left out.
    """
    plain = {unwrapped(key): key for key in keys}
    prefix = prefix_before(mark, plain)
    if prefix is None:
        return None
    foreign = set(_foreign_roots(mark, prefix, plain))
    names = {name.removeprefix(prefix): key for name, key in plain.items() if name.startswith(prefix)}
    return {name: key for name, key in names.items() if name.partition(".")[0] not in foreign}


def unwrapped(name: str) -> str:
    """A tensor's or a layer's name, with dots or underscores, without the parts that PyTorch's wrappers insert."""
    return _WRAPPER.sub("", name) if "_m" in name or "_w" in name else name


def _foreign_roots(mark: str, prefix: str, keys: Collection[str]) -> Iterator[str]:
    """The first parts, after the prefix, of names that belong to other networks."""
    for kind in KINDS:
        if mark in kind.marks:
            continue
        for other in (prefix_before(each, keys) for each in kind.marks):
            if other == prefix:
                yield from kind.roots
            elif other is not None and other.startswith(prefix):
                yield other.removeprefix(prefix).partition(".")[0]


def held(keys: Collection[str]) -> Sequence[str]:
    """The networks that a file holds, such as `a VAE`."""
    plain = {unwrapped(key) for key in keys}
    return [kind.name for kind in KINDS if any(prefix_before(mark, plain) is not None for mark in kind.marks)]


def is_lora(keys: Collection[str]) -> bool:
    return any(_LORA.search(key) for key in keys)


def description(keys: Collection[str]) -> str | None:
    """What a file holds, such as `a diffusion model and a VAE`; None if it has no known network."""
    if is_lora(keys):
        return "a LoRA"
    if parts := held(keys):
        return " and ".join((", ".join(parts[:-1]), parts[-1]) if len(parts) > 1 else parts)
    if all(any(key.endswith(name) for key in keys) for name in _DIFFUSERS_TRANSFORMER):
        return "a diffusion model with diffusers' names, which are not supported"
    return None
