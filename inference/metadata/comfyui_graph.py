"""Reads ComfyUI's graphs as nodes with inputs, both in the form for its API and in the form for its page.

Graphs are untrusted: no type of a value is assumed, and wires that lead nowhere are left out.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, starmap
from typing import Any

from inference.metadata.comfyui.group_nodes import ungrouped
from inference.metadata.comfyui.subgraphs import SET_OUTSIDE, expanded
from inference.metadata.comfyui_writer import NODE_CLASSES
from inference.metadata.parameters import as_integer, as_text, json_object

_MAX_INPUTS = 200
#: The most nodes between a value and the input that takes it.
_MAX_LINK_LENGTH = 16

_OF_SAMPLER = NODE_CLASSES["KSampler"].widgets
# The names of nodes' values, in the page's order, also for classes that we only read.
_WIDGETS = {kind: node_class.widgets for kind, node_class in NODE_CLASSES.items()} | {
    "KSamplerAdvanced": (
        *("add_noise", "noise_seed", "control_after_generate", "steps", "cfg", "sampler_name", "scheduler"),
        *("start_at_step", "end_at_step", "return_with_leftover_noise"),
    ),
    "CFGGuider": ("cfg",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "PrimitiveNode": ("value",),
    "RandomNoise": ("noise_seed", "control_after_generate"),
    "SplitSigmasDenoise": ("denoise",),
    "SamplerEulerAncestral": ("eta", "s_noise"),
    "SamplerDPMPP_2M_SDE": ("solver_type", "eta", "s_noise", "noise_device"),
    "SamplerDPMPP_3M_SDE": ("eta", "s_noise", "noise_device"),
    "SamplerDPMPP_SDE": ("eta", "s_noise", "r", "noise_device"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "ImageScaleBy": ("upscale_method", "scale_by"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "ComfySwitchNode": ("switch",),
    "ImpactSwitch": ("select", "sel_mode"),
    "StringConcatenate": ("string_a", "string_b", "delimiter"),
    "StringReplace": ("string", "find", "replace"),
    "ImpactWildcardProcessor": ("wildcard_text", "populated_text", "mode"),
    "ImpactWildcardEncode": ("wildcard_text", "populated_text", "mode"),
    "Lora Loader Stack (rgthree)": tuple(f"{name}_0{i}" for i in range(1, 5) for name in ("lora", "strength")),
    "CR LoRA Stack": tuple(
        f"{name}_{i}" for i in range(1, 4) for name in ("switch", "lora_name", "model_weight", "clip_weight")
    ),
    "LoRA Stacker": (
        *("input_mode", "lora_count"),
        *(f"{name}_{i}" for i in range(1, 50) for name in ("lora_name", "lora_wt", "model_str", "clip_str")),
    ),
    "Efficient Loader": (
        *("ckpt_name", "vae_name", "clip_skip", "lora_name", "lora_model_strength", "lora_clip_strength", "positive"),
        *("negative", "token_normalization", "weight_interpretation", "empty_latent_width", "empty_latent_height"),
    ),
    "Text Concatenate": ("delimiter", "clean_whitespace"),
    "JoinStrings": ("delimiter",),
    "JoinStringMulti": ("inputcount", "delimiter", "return_list"),
    "Power Prompt (rgthree)": ("prompt",),
    "KSampler Config (rgthree)": ("steps_total", "refiner_step", "cfg", "sampler_name", "scheduler"),
    "Input Parameters (Image Saver)": (
        *("seed", "control_after_generate", "steps", "cfg", "sampler", "scheduler", "denoise"),
    ),
    **dict.fromkeys(("ImpactKSamplerBasicPipe", "KSamplerPipe //Inspire"), _OF_SAMPLER),
    "KSampler //Inspire": (
        *_OF_SAMPLER,
        *("noise_mode", "batch_seed_mode", "variation_seed", "variation_strength", "variation_method"),
    ),
    "mxSlider": ("Xi", "Xf", "isfloatX"),
    "mxSlider2D": ("Xi", "Xf", "Yi", "Yf", "isfloatX", "isfloatY"),
    "KSampler (Efficient)": (
        *_OF_SAMPLER,
        "preview_method",
        "vae_decode",
    ),
}


#: The types of some inputs, to find where a node's values begin.
_KINDS_OF_VALUES: Mapping[str, Any] = {
    **dict.fromkeys(("seed", "noise_seed", "steps"), int),
    **dict.fromkeys(("cfg", "denoise", "strength_model", "strength_clip"), int | float),
    **dict.fromkeys(("sampler_name", "scheduler", "text", "ckpt_name", "unet_name"), str),
}
_MAX_SKIPPED = 4
#: Extensions' nodes that act as named wires.
_SET_NODES, _GET_NODES = ("SetNode", "easy setNode"), ("GetNode", "easy getNode")
#: The names of loaders' file inputs, for pages without names.
_LOADED = (
    (re.compile(r"[Cc]heckpoint|C[Kk][Pp][Tt]"), "ckpt_name"),
    (re.compile(r"UNET|Unet|DiffusionModel"), "unet_name"),
)
#: Classes of nodes that hold one value.
_HOLDS_ONE = re.compile(
    r"Primitive|Constant|String|Text|Int|INT|Float|FLOAT|Number|[Ss]eed|Prompt|[GS]etNode|Select|Latent"
)
_MODEL_ENDINGS = (".safetensors", ".sft", ".ckpt", ".gguf", ".pt", ".pth")


@dataclass(frozen=True)
class Link:
    node: str
    slot: int


@dataclass(frozen=True)
class Node:
    kind: str
    inputs: dict[str, Any]

    def links(self, first: Iterable[str] = ()) -> list[Link]:
        """What the node's inputs are wired to; the inputs in `first` come before the others."""
        order = dict.fromkeys([*first, *self.inputs])
        return [link for name in order if isinstance(link := self.inputs.get(name), Link)]


Nodes = dict[str, Node]

#: Names of a switch's inputs: with the number that chooses them, and the ending that numbers alternatives.
_NUMBERED = re.compile(r".*?\D([0-9]+)", re.DOTALL)
_ALTERNATIVE = re.compile(r"_?(?:[0-9]+|[a-dA-D])\Z")
#: Pairs of inputs between which a condition chooses (the one for true first), and the names of conditions.
_SIDES = (
    *(("on_true", "on_false"), ("tt_value", "ff_value"), ("IF_TRUE", "IF_FALSE"), ("if_true", "if_false")),
    *((f"{kind}_a", f"{kind}_b") for kind in ("text", "text_input", "model", "clip", "vae", "conditioning")),
    *((f"{kind}_a", f"{kind}_b") for kind in ("latent", "image", "lora", "input", "value")),
)
_CONDITIONS = ("switch", "boolean", "boolean_number", "cond", "condition", "ANY")
#: Inputs that choose one of the others by its number.
_SELECTORS = ("select", "index", "selected", "input_index", "Input", "input")
#: The class that passes on the first of its inputs that is wired.
_FIRST = "Any Switch"
#: Nodes' names for the only value that they hold.
_VALUES = ("value", "boolean", "bool", "int", "number", "Number", "Value")
_WORDS = {
    word: truth for words, truth in ((("true", "on", "yes"), True), (("false", "off", "no"), False)) for word in words
}


def without_unselected(nodes: Nodes) -> Nodes:
    """The graph without the inputs that switches do not pass on; if a choice is unknown, none of the inputs is kept.

    If the chosen input is a value instead of a wire, it is also added under the name `value`.
    """
    return {name: _as_switched(node, nodes) for name, node in nodes.items()}


def _as_switched(node: Node, nodes: Nodes) -> Node:
    for if_true, if_false in _SIDES:
        if not {if_true, if_false} & node.inputs.keys():
            continue
        chosen = [_constant(node.inputs[name], nodes) for name in _CONDITIONS if name in node.inputs]
        if chosen or "Switch" in node.kind:
            sides: dict[bool | None, set[str]] = {True: {if_false}, False: {if_true}}
            dropped = sides.get(_truth(next(iter(chosen), None)), {if_true, if_false})
            return _without(node, dropped.union(_CONDITIONS), {if_true, if_false} - dropped)
    if "Switch" not in node.kind and "switch" not in node.inputs:
        return node
    numbers = {name: as_integer(match[1]) for name in node.inputs if (match := _NUMBERED.fullmatch(name))}
    for selector in _SELECTORS:
        if selector in node.inputs and not (selector == "input" and isinstance(node.inputs[selector], Link)):
            number = as_integer(_constant(node.inputs[selector], nodes))
            kept = {name for name, its_number in numbers.items() if its_number == number}
            return _without(node, {selector, *numbers} - kept, kept)
    return _of_alternatives(node, numbers)


def _of_alternatives(node: Node, numbers: Mapping[str, int | None]) -> Node:
    """A switch without an input that says what it passes on."""
    wired = [name for name, value in node.inputs.items() if isinstance(value, Link)]
    if len(wired) < 2 or "Switch" not in node.kind or len({_ALTERNATIVE.sub("", name) for name in wired}) > 1:
        return node
    first = min(wired, key=lambda name: numbers.get(name) or 0) if node.kind.startswith(_FIRST) else None
    return _without(node, {name for name in wired if name != first})


def _truth(value: Any) -> bool | None:
    """A condition, which some nodes write as a text or a number."""
    if isinstance(value, str):
        return _WORDS.get(value.casefold())
    return bool(value) if isinstance(value, bool | int | float) else None


def _without(node: Node, dropped: set[str], kept: Iterable[str] = ()) -> Node:
    inputs = {name: value for name, value in node.inputs.items() if name not in dropped}
    values = [name for name in kept if name in inputs and not isinstance(inputs[name], Link)]
    return Node(node.kind, inputs | ({"value": inputs[values[0]]} if len(values) == 1 else {}))


def _constant(value: Any, nodes: Nodes) -> Any:
    """A value, or the value of the node that it is wired to; None if that node computes it."""
    for _ in range(_MAX_LINK_LENGTH):
        if not isinstance(value, Link):
            return value
        inputs = nodes[value.node].inputs
        name = next((name for name in _VALUES if name in inputs), next(iter(inputs)) if len(inputs) == 1 else None)
        if name is None:
            return None
        value = inputs[name]
    return None


def graphs(text: Mapping[str, str]) -> Iterator[tuple[Nodes, bool]]:
    """The graphs in a file's texts, and whether each is a page's, whose texts still have comments and wildcards."""
    if prompt := json_object(text.get("prompt")):
        inner = prompt.get("prompt")  # as it is sent to ComfyUI
        yield _api_graph(inner if isinstance(inner, dict) and "class_type" not in inner else prompt), False
    if page := json_object(text.get("workflow")):
        yield _workflow_graph(expanded(ungrouped(page, _WIDGETS)) | {"extra": page.get("extra")}), True
        definitions = page.get("definitions")
        subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
        for subgraph in subgraphs if isinstance(subgraphs, list) else []:
            if isinstance(subgraph, dict):
                yield _workflow_graph(subgraph), True


def _api_graph(prompt: dict[str, Any]) -> Nodes:
    nodes = {name: node for name, node in prompt.items() if isinstance(node, dict)}

    def value(raw: Any) -> Any:
        if not isinstance(raw, list) or (raw and all(isinstance(row, dict) for row in raw)):
            return _plain(raw)
        is_link = len(raw) == 2 and isinstance(raw[0], str | int) and isinstance(raw[1], int) and str(raw[0]) in nodes
        return Link(str(raw[0]), raw[1]) if is_link else None

    return {
        name: Node(
            as_text(node.get("class_type")) or "",
            {key: value(raw) for key, raw in islice(inputs.items(), _MAX_INPUTS)}
            if isinstance(inputs := node.get("inputs"), dict)
            else {},
        )
        for name, node in nodes.items()
    }


def _plain(value: Any) -> Any:
    """A value; if it is a file's name with a preview image, only the name."""
    return value["content"] if isinstance(value, dict) and isinstance(value.get("content"), str) else value


def _workflow_graph(page: dict[str, Any]) -> Nodes:
    entries = page.get("nodes")
    by_name = {
        str(entry["id"]): entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("id"), str | int)
    }
    links = dict(_workflow_links(page.get("links"), by_name))
    _connect_broadcasts(page, by_name, links)
    return _without_get_nodes({name: _workflow_node(entry, links) for name, entry in by_name.items()})


def _connect_broadcasts(page: dict[str, Any], nodes: Mapping[str, Any], links: dict[str, Link]) -> None:
    """Adds the wires of an extension's Anything Everywhere nodes, which the page stores separately."""
    extra = page.get("extra")
    sent = extra.get("ue_links") if isinstance(extra, dict) else None
    for i, each in enumerate(islice(sent, _MAX_INPUTS) if isinstance(sent, list) else ()):
        if not isinstance(each, dict) or str(each.get("upstream")) not in nodes:
            continue
        entry = nodes.get(str(each.get("downstream")), {})
        sockets, place, slot = entry.get("inputs"), each.get("downstream_slot"), each.get("upstream_slot")
        if not isinstance(sockets, list) or not isinstance(place, int) or not isinstance(slot, int):
            continue
        socket = sockets[place] if 0 <= place < len(sockets) else None
        if isinstance(socket, dict) and socket.get("link") is None:
            socket["link"] = f"broadcast {i}"
            links[socket["link"]] = Link(str(each["upstream"]), slot)


def _without_get_nodes(nodes: Nodes) -> Nodes:
    """Wires each GetNode to the input of the SetNode with its name (an extension's nodes, which only the page has)."""
    kept = {
        as_text(node.inputs.get("value")): wires[0]
        for node in nodes.values()
        if node.kind in _SET_NODES and (wires := node.links())
    }
    return {
        name: Node("Reroute", {"value": kept[key]})
        if node.kind in _GET_NODES and (key := as_text(node.inputs.get("value"))) in kept
        else node
        for name, node in nodes.items()
    }


def _workflow_links(links: Any, nodes: Mapping[str, Any]) -> Iterator[tuple[str, Link]]:
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict):  # in subgraphs
            link = [link.get(key) for key in ("id", "origin_id", "origin_slot")]
        if isinstance(link, list) and len(link) >= 3 and str(link[1]) in nodes and isinstance(link[2], int):
            yield str(link[0]), Link(str(link[1]), link[2])


def _workflow_node(entry: dict[str, Any], links: Mapping[str, Link]) -> Node:
    kind = as_text(entry.get("type")) or ""
    sockets = entry.get("inputs")
    sockets = sockets[:_MAX_INPUTS] if isinstance(sockets, list) else []
    sockets = [socket for socket in sockets if isinstance(socket, dict)]
    wired = {
        socket["name"]: links[str(socket.get("link"))]
        for socket in sockets
        if isinstance(socket.get("name"), str) and str(socket.get("link")) in links
    }
    if entry.get("mode") in (2, 4):  # muted or bypassed: wires lead through, values do not count
        return Node("", wired)
    outside = entry.get(SET_OUTSIDE)
    widgets = {name: _plain(value) for name, value in _widgets(kind, sockets, entry.get("widgets_values"))}
    return Node(kind, widgets | (outside if isinstance(outside, dict) else {}) | wired)


def _widgets(kind: str, sockets: list[dict[str, Any]], values: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        yield from islice(values.items(), _MAX_INPUTS)
    elif isinstance(values, list):
        widgets = [socket["widget"] for socket in sockets if isinstance(socket.get("widget"), dict)]
        # Rows (for example of rgthree's Power Lora Loader) and lists of rows have no sockets.
        rows = ((f"row {i}", value) for i, value in enumerate(values) if isinstance(value, dict | list))
        yield from islice(rows, _MAX_INPUTS)
        names = _WIDGETS.get(kind) or [widget["name"] for widget in widgets if isinstance(widget.get("name"), str)]
        # The first values may belong to no name, because extensions add and remove some.
        named = [_named(names, values[skipped:], kind in _WIDGETS) for skipped in range(min(_MAX_SKIPPED, len(values)))]
        fitting = (each for each in named if all(starmap(_fits, each)))
        best = next(fitting, named[0] if named else [])
        yield from (pair for pair in best if _fits(*pair)) if names else _unnamed(kind, values)


def _named(names: Iterable[str], values: list[Any], all_named: bool) -> list[tuple[str, Any]]:
    """Pairs names with values, in order; a seed's `control_after_generate` may have no value, or no name."""
    queue = deque(values)
    found: list[tuple[str, Any]] = []
    for name in names:
        if not queue:
            break
        if name == "control_after_generate" and isinstance(queue[0], int) and not isinstance(queue[0], bool):
            continue  # some programs that write pages leave it out
        found.append((name, queue.popleft()))
        # On the page, what happens to a seed after each image is a separate value without a socket.
        if name in ("seed", "noise_seed") and not all_named and queue and isinstance(queue[0], str):
            queue.popleft()
    return found


def _fits(name: str, value: Any) -> bool:
    """Whether an input can have this value."""
    if value is None or name not in _KINDS_OF_VALUES:
        return True
    return isinstance(value, _KINDS_OF_VALUES[name]) and not isinstance(value, bool)


def _unnamed(kind: str, values: list[Any]) -> Iterator[tuple[str, Any]]:
    """The first file of a loader, or the first text of a text encoder, if the node has no names for its values.

    For other nodes, the first value, if it is the only one or if the class shows that the node holds one value.
    """
    if values:
        files = next((name for pattern, name in _LOADED if pattern.search(kind)), None)
        if files is not None and (file := next(filter(_is_model_file, values), None)):
            yield files, file
        elif "TextEncode" in kind and (texts := [value for value in values if isinstance(value, str)]):
            yield "text", texts[0]
        elif len(values) == 1 or _HOLDS_ONE.search(kind):
            yield "value", values[0]


def _is_model_file(value: Any) -> bool:
    return isinstance(value, str) and value.casefold().endswith(_MODEL_ENDINGS)
