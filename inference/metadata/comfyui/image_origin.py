"""Finds the first sampler of an image, starting from the nodes of its graph that save images."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from inference.metadata.comfyui.wires import MAX_WALK, PIPES, link_of
from inference.metadata.comfyui_graph import Link, Node, Nodes

#: Width and height in pixels, as far as known.
Size = tuple[int | None, int | None]

#: Inputs for images and latents, the most likely first.
_IMAGES = ("images", "image", "samples", "latent_image", "latent", "pixels", "input", "pipe", "basic_pipe")
_ALSO_IMAGES = re.compile(r"(?:image|img|latent|samples|pixels|destination|original|any)", re.IGNORECASE)
_LATENTS = ("latent_image", "latent")
_SETTINGS = ("steps", "sigmas", "sampler", "sampler_name", "seed", "noise_seed", "guider", "cfg")
#: Nodes that only bundle wires.
_CONTAINERS = re.compile(r"Context|^(?:To|From|Edit)\w*Pipe")
_RESIZES = re.compile(r"[Uu]pscale|Scale|Resize|Crop|Pad(?:ding)?\b|Outpaint")
#: Inputs that differ between two samplers that share one run of steps.
_OF_HALVES = {"add_noise", "noise_seed", "start_at_step", "end_at_step", "return_with_leftover_noise", "latent_image"}


@dataclass(frozen=True)
class ImageOrigin:
    """How an image began.

    sampler: its first sampler.
    later: the nodes between that sampler and the node that saves the image, the last to act first; without samplers
        that only continued where the one before had stopped.
    last: the last of the samplers that continued so, or else `sampler`.
    others: how many other samplers' images the file could be.
    """

    sampler: Node
    later: list[Node]
    last: Node
    others: int = 0


def find_origin(nodes: Nodes, image: Size, sides: Callable[[Node], Size]) -> ImageOrigin | None:
    """How the image of a file began; None if there is no sampler.

    image: its width and height. sides: returns the width and height of the latent that a sampler starts from.
    """
    ends = _ends(nodes)
    chains = [_chain(nodes, end) for end in ends]
    chains = [chain for chain in chains if not any(node.kind == "MaskToImage" for node in chain)] or chains
    found = [began for chain in chains if (began := _of_chain(chain)) is not None]
    if not found:
        return _farthest(nodes, ends)
    fitting = [each for each in found if sides(each.sampler) == image and not any(map(_resizes, each.later))]
    # If the image has another size than its latent, it was resized.
    found = fitting or [each for each in found if any(map(_resizes, each.later))] or found
    samplers = {id(each.sampler): each.sampler for each in found}
    first = found[0].sampler
    # If several stages of one image are saved, the last one shows everything that was done.
    best = max((each for each in found if each.sampler is first), key=lambda each: len(each.later))
    return ImageOrigin(best.sampler, best.later, best.last, len(samplers) - 1)


def is_sampler(node: Node) -> bool:
    if "ampler" in node.kind and link_of(node, *PIPES):
        return any(name in node.inputs for name in (*_SETTINGS, "image_output"))
    if _CONTAINERS.search(node.kind) or not any(name in node.inputs for name in _SETTINGS):
        return False
    return bool(latent_link(node)) and any(isinstance(node.inputs.get(name), Link) for name in ("positive", "guider"))


def latent_link(node: Node) -> Link | None:
    """The wire of the latent that a sampler starts from."""
    return link_of(node, *_LATENTS)


def _ends(nodes: Nodes) -> list[str]:
    """The nodes that save images; if there are none, those that show images; else those whose results are not used."""
    saved, shown = ([name for name, node in nodes.items() if word in node.kind] for word in ("Save", "Preview"))
    taken = {link.node for node in nodes.values() for link in node.links()}
    ends = [name for name in saved if _takes_images(nodes[name])] or shown or saved
    return sorted(ends or nodes.keys() - taken, key=lambda name: (len(name), name))


def _takes_images(node: Node) -> bool:
    return any(name in _IMAGES or _ALSO_IMAGES.match(name) for name in node.inputs)


def _chain(nodes: Nodes, name: str) -> list[Node]:
    """The nodes along the wires of images and latents."""
    chain: dict[str, Node] = {}
    while name not in chain and len(chain) < MAX_WALK:
        node = chain[name] = nodes[name]
        link = link_of(node, *_IMAGES, *(each for each in node.inputs if _ALSO_IMAGES.match(each)))
        others = node.links()
        link = link or (others[0] if len(others) == 1 else None)
        if link is None:
            break
        name = link.node
    return list(chain.values())


def _of_chain(chain: list[Node]) -> ImageOrigin | None:
    last = max((i for i, node in enumerate(chain) if is_sampler(node)), default=None)
    if last is None:
        return None
    sampler = before = chain[last]
    later = chain[:last]
    while later and _walks_on(later[-1], before):
        before = later.pop()
    return ImageOrigin(sampler, later, before)


def _walks_on(node: Node, before: Node) -> bool:
    """Whether a sampler continues with the steps that the one before it left."""
    if node.kind != before.kind or node.inputs.get("add_noise") != "disable":
        return False
    if before.inputs.get("return_with_leftover_noise") != "enable":
        return False
    if node.inputs.get("start_at_step") != before.inputs.get("end_at_step"):
        return False
    names = (node.inputs.keys() | before.inputs.keys()) - _OF_HALVES
    return all(node.inputs.get(name) == before.inputs.get(name) for name in names)


def _resizes(node: Node) -> bool:
    return bool(_RESIZES.search(node.kind))


def _farthest(nodes: Nodes, ends: list[str]) -> ImageOrigin | None:
    """The sampler farthest from the ends along any wires: samplers after it only refine its image."""
    samplers = [node for node in _reachable(nodes, ends or nodes) if is_sampler(node)]
    if not samplers:
        return None
    later = _chain(nodes, ends[0]) if ends else []
    return ImageOrigin(samplers[-1], later, samplers[-1])


def _reachable(nodes: Nodes, names: Iterable[str]) -> Iterator[Node]:
    queue = deque(names)
    seen = set(queue)
    while queue:
        node = nodes[queue.popleft()]
        yield node
        for link in node.links():
            if link.node not in seen:
                seen.add(link.node)
                queue.append(link.node)
