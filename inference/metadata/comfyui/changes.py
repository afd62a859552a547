"""Names the nodes of a ComfyUI graph that changed the image in ways that parameters cannot describe."""

import re
from collections.abc import Iterable, Iterator

from inference.metadata.comfyui_graph import Link, Node, Nodes

#: Nodes along one walk.
_FARTHEST = 64
_WIRES = ("images", "image", "samples", "latent_image", "latent", "pixels", "input")

#: Nodes that pass their inputs on; bypassed nodes have no class.
_PASSED_ON = r"\A\Z|Reroute|Switch|Context|preSampling|\b(?:Get|Set)Node|^(?:To|From|Edit)\w*Pipe"
_AFTERWARDS = re.compile(rf"{_PASSED_ON}|VAE(?:De|En)code|Save|Preview|FromBatch")
_BEFORE = re.compile(
    rf"{_PASSED_ON}|Empty|VAEEncode(?:Tiled)?\Z|Load|Scale|Resize|Size|RepeatLatentBatch|FromBatch|Primitive"
)
_CONDITIONING = re.compile(
    rf"{_PASSED_ON}|ConditioningZeroOut|ConditioningConcat|ConditioningCombine|FluxGuidance|TextEncode|Loader"
)
_MODEL = re.compile(rf"{_PASSED_ON}|[Cc]ompile|Sage|TorchSettings|BlockSwap|Lora|lora|LoRA|Wildcard")


def changed_afterwards(nodes: Nodes, saved: Iterable[str], sampler: Node) -> Iterator[str]:
    """From the sampler that began the image to what saved it: second passes, upscalers, detailers."""
    chain = _chain(nodes, next(iter(saved), None), sampler)
    yield from (_described(node) for node in reversed(chain) if not _AFTERWARDS.search(node.kind))


def changed_before(chain: Iterable[Node]) -> Iterator[str]:
    """On the way to a sampler's latent: masks, compositions."""
    yield from (node.kind for node in chain if not _BEFORE.search(node.kind))


def changes_conditioning(node: Node) -> bool:
    return not _CONDITIONING.search(node.kind)


def changes_model(node: Node) -> bool:
    return not _MODEL.search(node.kind)


def _chain(nodes: Nodes, name: str | None, sampler: Node) -> list[Node]:
    chain: dict[str, Node] = {}
    while name is not None and name not in chain and nodes[name] is not sampler and len(chain) < _FARTHEST:
        node = chain[name] = nodes[name]
        links = (node.inputs.get(wire) for wire in _WIRES)
        name = next((link.node for link in links if isinstance(link, Link)), None)
    return list(chain.values())


def _described(node: Node) -> str:
    """With the sign of a second pass."""
    settings = ((name, node.inputs.get(name)) for name in ("steps", "denoise", "upscale_by", "scale_by", "model_name"))
    told = ", ".join(f"{name} {value}" for name, value in settings if isinstance(value, str | int | float))
    return f"{node.kind} ({told})"[:100] if told else node.kind
