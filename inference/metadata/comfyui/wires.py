"""Follows the wires of a ComfyUI graph, in walks of limited length."""

import re
from collections.abc import Iterable
from typing import Any

from inference.metadata.comfyui_graph import Link, Node, Nodes
from inference.metadata.parameters import as_number, as_text

#: The most nodes in one walk.
MAX_WALK = 64
#: Inputs for wires that bundle the model, both conditionings, the latent and settings.
PIPES = ("pipe", "basic_pipe", "sdxl_tuple")
#: Nodes' names for a value that they hold for others.
CONSTANTS = ("value", "seed", "noise_seed", "int", "float", "number", "Number", "string", "String", "text")
#: Sliders: for each output the inputs with its value as an integer and as a float, and the one that says which counts.
_SLIDERS = {
    "mxSlider": (("Xi", "Xf", "isfloatX"),),
    "mxSlider2D": (("Xi", "Xf", "isfloatX"), ("Yi", "Yf", "isfloatY")),
}
#: Other names of settings, on nodes that hold settings for samplers.
_ALSO_CALLED = {"sampler_name": ("sampler",), "scheduler": ("scheduler_name",), "steps": ("steps_total",)}
#: Settings that are not numbers.
_WORDS = ("sampler_name", "scheduler")
#: Nodes that compute a value from others.
_COMPUTES = re.compile(
    r"[Mm]ath|Expression|[Cc]alc|Operation|[Mm]ultipl|[Rr]ange|[Rr]andom(?!ly)|[Ii]ncrement|[Cc]ompare|Eval|Puter|"
    r"Formula|Python"
)
#: Nodes that give a random number.
_RANDOM_NUMBER = re.compile(r"[Rr]andom ?(?:Number|Int|Float|Value|Range)")
#: Nodes that pass on a wire of any type; bypassed nodes have no class.
_PASSES_THROUGH = re.compile(r"\A\Z|Reroute|Switch|^(?:Get|Set)Node")
#: Inputs with a preset, from which a node computes its size; a text with the first word means that there is no preset.
_CUSTOM, _PRESETS = "custom", ("aspect_ratio", "resolution", "dimensions", "preset", "ratio", "size_selected")
_SIDES = re.compile(r"\b(\d{2,5}) ?[x\u00d7] ?(\d{2,5})\b")
_SWAPS = ("swap_dimensions", "invert", "swap")
#: An input that multiplies the size of a preset.
_SCALE = "prescale_factor"


class Wires:
    """Follows the wires of one graph."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes

    def upstream(self, link: Link | None, preferred: Iterable[str], any_input: bool = False) -> list[Node]:
        """The chain of nodes that leads to a wire, along the first of the preferred inputs that is wired.

        any_input: whether other inputs are followed too, if none of the preferred ones is wired.
        """
        chain: dict[str, Node] = {}
        while link is not None and link.node not in chain and len(chain) < MAX_WALK:
            node = chain[link.node] = self.nodes[link.node]
            wired = (
                node.links(preferred)
                if any_input or _PASSES_THROUGH.search(node.kind)
                else [wire for name in preferred if isinstance(wire := node.inputs.get(name), Link)]
            )
            link = wired[0] if wired else None
        return list(chain.values())

    def setting(self, parts: list[Node], *names: str) -> Any:
        """The first value that one of the nodes has under one of the names, directly or along a wire."""
        for part in parts:
            for name in names:
                value = part.inputs.get(name)
                if isinstance(value, Link):
                    value = self.constant(value, names)
                if value is not None:
                    return value
        return None

    def constant(self, link: Link, names: tuple[str, ...]) -> Any:
        """The value at the other end of a wire; None if a node computes it."""
        names = (*names, *_ALSO_CALLED.get(names[0], ()))
        kinds = str if names[0] in _WORDS else str | int | float
        for node in self.upstream(link, [*names, *CONSTANTS], any_input=True):
            if names[0] in ("width", "height") and computes_size(node):
                return preset_size(node)[names[0] == "height"]
            if _computes(node):
                return None
            if (axes := _SLIDERS.get(node.kind)) is not None:
                slot = link.slot if node is self.nodes[link.node] else 0 if len(axes) == 1 else len(axes)
                return _of_slider(node, *axes[slot]) if 0 <= slot < len(axes) else None
            for name in (*names, *CONSTANTS):
                value = node.inputs.get(name)
                if isinstance(value, kinds):
                    return value
        return None

    def computed(self, parts: list[Node], *names: str) -> str | None:
        """The class of the node that computes an unknown value; None if the value is known or not wired."""
        value = self.setting(parts, *names)
        if as_number(value) is not None or (names[0] in _WORDS and value is not None):
            return None
        link = next((link for part in parts if (link := link_of(part, *names)) is not None), None)
        kinds = [] if link is None else [node.kind for node in self.upstream(link, (), any_input=True) if node.kind]
        return next((kind for kind in kinds if not _PASSES_THROUGH.search(kind)), None)

    def values(self, node: Node) -> dict[str, Any]:
        """A node's inputs, including wired texts and numbers."""
        return {
            name: self.constant(value, (name,)) if isinstance(value, Link) and name not in ("model", "clip") else value
            for name, value in node.inputs.items()
        }


def _of_slider(node: Node, whole: str, real: str, is_real: str) -> Any:
    return node.inputs.get(real if node.inputs.get(is_real) else whole)


def _computes(node: Node) -> bool:
    return bool(_RANDOM_NUMBER.search(node.kind)) or (bool(_COMPUTES.search(node.kind)) and bool(node.links()))


def computes_size(node: Node) -> bool:
    """Whether a node gives another width and height than its inputs have, because of a preset or a swap."""
    return _is_swapped(node) or any(text and _CUSTOM not in text.casefold() for text in _presets(node))


def preset_size(node: Node) -> tuple[int | None, int | None]:
    """Width and height from the text of a preset; both None if they cannot be read."""
    sizes = [found for text in _presets(node) if _CUSTOM not in text.casefold() and (found := _SIDES.search(text))]
    if len(sizes) != 1 or node.inputs.get(_SCALE, 1) != 1:
        return None, None
    width, height = int(sizes[0][1]), int(sizes[0][2])
    return (height, width) if _is_swapped(node) else (width, height)


def _presets(node: Node) -> list[str]:
    return [text for name in _PRESETS if (text := as_text(node.inputs.get(name)))]


def _is_swapped(node: Node) -> bool:
    return any(str(node.inputs.get(name, "Off")).casefold() in ("on", "true", "yes") for name in _SWAPS)


def link_of(node: Node, *names: str) -> Link | None:
    """The wire of the first of these inputs that is wired."""
    return next((link for name in names if isinstance(link := node.inputs.get(name), Link)), None)
