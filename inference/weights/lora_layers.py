"""The names that trainers and converters of LoRA files give to the layers of a model.

In all formats, a name can differ from the layer's own in three ways: it has a prefix (`lora_unet_`, `diffusion_model.`,
`text_encoders.qwen3_06b.transformer.`), dots may be underscores, and diffusers has other names for the layers. So each
layer is listed under all its names with underscores for dots, and prefixes are removed before a name is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from torch import nn

#: The prefix of Qwen3's layers, which distinguishes them from the transformer's.
TEXT_ENCODER = "text_encoder."

#: Enough for `base_model.model.model.diffusion_model.`, with one to spare.
MAX_PREFIXES = 5

_BEFORE_TRANSFORMER = (
    *("lora_unet_", "lora_transformer_", "lora_", "lycoris_", "oft_", "base_model_model_", "model_diffusion_model_"),
    *("diffusion_model_", "transformer_", "model_", "net_", "unet_", "dit_", "pipe_", "module_", "_orig_mod_", "_"),
)
_BEFORE_TEXT_ENCODER = re.compile(
    r"^(?:(?:base_model|model|pipe|module|transformer)_)*(?:lora_|lycoris_|oft_)?"
    r"(?:(?:te\d?|text_encoders?(?:_\d)?|clip|cond_stage_model|qwen(?:3(?:_0?_?6b)?)?)_)+"
    r"(?:(?:transformer|base_model|model|module|_orig_mod|language_model)_)*"
)
_BEFORE_BARE_TEXT_ENCODER = re.compile(r"^(?:base_model_model_)?(?:model_)?")

#: Attention processors of older diffusers versions have this in the names of their layers.
_PROCESSOR = ".processor."
# Diffusers' names for the layers, in the order in which they are replaced.
_DIFFUSERS_NAMES: tuple[tuple[str, str], ...] = (
    (r"^blocks\.(\d+)\.", r"transformer_blocks.\1."),
    (r"\.self_attn\.", ".attn1."),
    (r"\.cross_attn\.", ".attn2."),
    (r"\.([qkv])_proj$", r".to_\1"),
    (r"\.([qk])_norm$", r".norm_\1"),
    (r"\.(?:output|o)_proj$", ".to_out.0"),
    (r"\.mlp\.layer1$", ".ff.net.0.proj"),
    (r"\.mlp\.layer2$", ".ff.net.2"),
    (r"\.adaln_modulation_self_attn\.([12])$", r".norm1.linear_\1"),
    (r"\.adaln_modulation_cross_attn\.([12])$", r".norm2.linear_\1"),
    (r"\.adaln_modulation_mlp\.([12])$", r".norm3.linear_\1"),
    (r"^final_layer\.adaln_modulation\.([12])$", r"norm_out.linear_\1"),
    (r"^final_layer\.linear$", "proj_out"),
    (r"^x_embedder\.proj\.1$", "patch_embed.proj"),
    (r"^t_embedder\.1\.linear_([12])$", r"time_embed.t_embedder.linear_\1"),
    (r"^t_embedding_norm$", "time_embed.norm"),
)


class LayerNames:
    """Finds the model's layer for a layer's name in a LoRA file."""

    def __init__(self, transformer: nn.Module, text_encoder: nn.Module | None = None) -> None:
        self._transformer = {alias: name for name in _layers(transformer) for alias in _aliases(name)}
        layers = [] if text_encoder is None else _layers(text_encoder)
        self._text_encoder = {_flat(name): TEXT_ENCODER + name for name in layers}

    def find(self, name: str) -> str | None:
        """The layer's path in the transformer, or in Qwen3 after the prefix `TEXT_ENCODER`; None if there is none."""
        flat = _flat(name.replace(_PROCESSOR, "."))
        for shorter in _without_prefixes(flat):
            if shorter in self._transformer:
                return self._transformer[shorter]
        return self._text_encoder.get(_BEFORE_TEXT_ENCODER.sub("", flat)) or self._text_encoder.get(
            _BEFORE_BARE_TEXT_ENCODER.sub("", flat)
        )


def means_text_encoder(name: str) -> bool:
    """Whether a layer's name in a file is that of a text encoder's layer, of this model or another."""
    return _BEFORE_TEXT_ENCODER.match(_flat(name)) is not None


def _layers(module: nn.Module) -> Iterable[str]:
    return {name.rpartition(".")[0] for name, _ in module.named_parameters()}


@lru_cache(4096)
def _aliases(name: str) -> tuple[str, ...]:
    """The names of a transformer's layer, with underscores for dots."""
    adapter = name.startswith("llm_adapter.")
    inner = name.removeprefix("llm_adapter.")
    outer = "text_conditioner." if adapter else ""
    renamed = inner
    for pattern, replacement in _DIFFUSERS_NAMES[1 if adapter else 0 :]:
        renamed = re.sub(pattern, replacement, renamed)
    shorter = renamed.removesuffix(".0") if renamed.endswith(".to_out.0") else renamed
    return (_flat(name), *(_flat(outer + alias) for alias in (inner, renamed, shorter)))


def _without_prefixes(flat: str) -> Iterator[str]:
    """The name itself, then without one, two … known prefixes."""
    shorter = {flat}
    for _ in range(MAX_PREFIXES):
        yield from sorted(shorter, key=len, reverse=True)
        shorter = {
            name.removeprefix(prefix) for name in shorter for prefix in _BEFORE_TRANSFORMER if name.startswith(prefix)
        }


def _flat(name: str) -> str:
    return name.replace(".", "_")
