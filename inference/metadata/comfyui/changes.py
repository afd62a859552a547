"""Names the nodes of a ComfyUI graph that changed the image in ways that parameters cannot describe."""

import re
from collections.abc import Iterable, Iterator

from inference.metadata.comfyui_graph import Node
from inference.metadata.parameters import as_integer, as_number

#: Nodes that pass on their inputs unchanged; bypassed nodes have no class.
_PASSED_ON = r"\A\Z|Reroute|Switch|Context|preSampling|\b(?:Get|Set)Node|^(?:To|From|Edit)\w*Pipe|pipe(?:In|Out)\b"
#: Samplers that do something else than one pass over the whole image.
_OTHERWISE = re.compile(r"NAG|Tiled|Regional|Cycle|Variation|XY|Inject|Unsampl|Iterative|ForMask|SDXL")
#: Samplers' names for the strength of another seed's noise and for that seed; for tiling; and for bounds of sigmas.
_VARIATIONS = (("variation_strength", "variation_seed"), ("var_seed_strength", "var_seed"))
_SWITCHES, _SIGMAS = ("tile_sample",), ("sigma_min", "sigma_max")
#: A larger number is not a batch size, but another number read from the page by mistake.
_MAX_BATCH = 128
_AFTERWARDS = re.compile(rf"{_PASSED_ON}|VAE(?:De|En)code|Save|Preview|FromBatch|Send|Compar|VRAM|(?:clean|clear)[A-Z]")
_BEFORE = re.compile(
    rf"{_PASSED_ON}|Empty|VAEEncode(?:Tiled)?\Z|Load|Scale|Resize|Size|RepeatLatentBatch|FromBatch|Primitive"
)
_CONDITIONING = re.compile(
    rf"{_PASSED_ON}|ConditioningZeroOut|ConditioningConcat|ConditioningCombine|FluxGuidance|TextEncode|Loader"
)
_ENCODER = re.compile(rf"{_PASSED_ON}|[Ll]oad|Lora|lora|LoRA|Wildcard|Pipe|Prompt")
_MODEL = re.compile(rf"{_PASSED_ON}|[Cc]ompile|Sage|TorchSettings|BlockSwap|Lora|lora|LoRA|Wildcard")


def changed_afterwards(later: Iterable[Node]) -> Iterator[str]:
    """Names the nodes after the image's first sampler that changed it: second passes, upscalers, detailers.

    later: the last to act first; the names come in the order of acting.
    """
    yield from (_described(node) for node in reversed(list(later)) if not _AFTERWARDS.search(node.kind))


def changed_noise(sampler: Node, parts: Iterable[Node], before: Iterable[Node]) -> Iterator[str]:
    """Names what makes the noise differ from the seed's own.

    Image number k of a batch has the k-th slice of the seed's noise, and no file says which number an image has.
    before: the nodes that lead to the sampler's latent.
    """
    if sampler.inputs.get("add_noise") in ("disable", False):
        yield "add_noise disable"
    yield from (node.kind for node in parts if node.kind == "DisableNoise")
    mode = sampler.inputs.get("noise_mode")
    if isinstance(mode, str) and mode != "CPU":
        yield f"noise_mode {mode}"[:100]
    for node in before:
        name = "amount" if "RepeatLatentBatch" in node.kind else "batch_size"
        number = as_integer(node.inputs.get(name))
        if number is not None and 1 < number <= _MAX_BATCH:
            yield f"batch_size {number}"


def changed_sampling(sampler: Node, scripts: Iterable[Node]) -> Iterator[str]:
    """Names what else an extension's sampler did.

    scripts: nodes that its input `script` leads to: second passes, other noise, plots.
    """
    if _OTHERWISE.search(sampler.kind):
        yield sampler.kind
    for name, seed in _VARIATIONS:
        if (strength := as_number(sampler.inputs.get(name))) is not None and strength > 0:
            yield f"{name} {_short(strength)}, {seed} {sampler.inputs.get(seed)}"[:100]
    yield from (name for name in _SWITCHES if sampler.inputs.get(name) is True)
    for name in _SIGMAS:
        if (sigma := as_number(sampler.inputs.get(name))) is not None and sigma >= 0:
            yield f"{name} {_short(sigma)}"
    yield from (_described(node) for node in scripts if node.kind)


def changed_before(chain: Iterable[Node]) -> Iterator[str]:
    """Names the nodes that changed a sampler's latent: masks, compositions."""
    yield from (node.kind for node in chain if not _BEFORE.search(node.kind))


def changes_conditioning(node: Node) -> bool:
    return not _CONDITIONING.search(node.kind)


def changed_encoder(chain: Iterable[Node]) -> Iterator[str]:
    """Names the nodes that changed a prompt's text encoder: other layers, hooks, merges."""
    for node in chain:
        layer = as_integer(node.inputs.get("stop_at_clip_layer"))
        if layer is not None:
            yield from (f"{node.kind} ({layer})",) if layer < -1 else ()
        elif not _ENCODER.search(node.kind):
            yield node.kind


def changes_model(node: Node) -> bool:
    return not _MODEL.search(node.kind)


def _described(node: Node) -> str:
    """A node's class, with the settings that show a second pass."""
    settings = ((name, node.inputs.get(name)) for name in ("steps", "denoise", "upscale_by", "scale_by", "model_name"))
    described = ", ".join(f"{name} {_short(value)}" for name, value in settings if isinstance(value, str | int | float))
    return f"{node.kind} ({described})"[:100] if described else node.kind


def _short(value: str | int | float) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
