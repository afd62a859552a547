"""ComfyUI's graphs as nodes with inputs, whether they were written for its API or for its page.

Graphs come from strangers: nothing is taken for granted about a value's type, and what leads nowhere is left out.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from inference.metadata.comfyui.subgraphs import SET_OUTSIDE, expanded
from inference.metadata.comfyui_writer import NODE_CLASSES
from inference.metadata.parameters import as_integer, as_text, json_object

_MAX_INPUTS = 100

# Values of classes that only the readers meet, in the order in which the page lists them.
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
}


@dataclass(frozen=True)
class Link:
    node: str
    slot: int


@dataclass(frozen=True)
class Node:
    kind: str
    inputs: dict[str, Any]

    def links(self, first: Iterable[str] = ()) -> list[Link]:
        """What the node's inputs are wired to, those named first before the others."""
        order = dict.fromkeys([*first, *self.inputs])
        return [link for name in order if isinstance(link := self.inputs.get(name), Link)]


Nodes = dict[str, Node]

#: An input's name with the number that a switch chooses it by.
_NUMBERED = re.compile(r".*?\D([0-9]+)", re.DOTALL)
#: The inputs that a condition chooses between, the one for true first, and the names of conditions.
_SIDES = (("on_true", "on_false"), ("tt_value", "ff_value"), ("text_a", "text_b"))
_CONDITIONS = ("switch", "boolean", "cond")
#: Inputs that choose among the others, by their numbers.
_SELECTORS = ("select", "index", "selected", "input_index", "Input")


def without_unselected(nodes: Nodes) -> Nodes:
    """The graph without the inputs that a switch does not pass on, and those of a switch whose choice is not said."""
    return {name: _as_switched(node, nodes) for name, node in nodes.items()}


def _as_switched(node: Node, nodes: Nodes) -> Node:
    for if_true, if_false in _SIDES:
        if not {if_true, if_false} & node.inputs.keys():
            continue
        chosen = [_constant(node.inputs[name], nodes) for name in _CONDITIONS if name in node.inputs]
        if chosen or "Switch" in node.kind:
            sides: dict[bool | None, set[str]] = {True: {if_false}, False: {if_true}}
            dropped = sides.get(_truth(next(iter(chosen), None)), {if_true, if_false})
            return _without(node, dropped.union(_CONDITIONS))
    if "Switch" not in node.kind and "switch" not in node.inputs:
        return node
    for selector in _SELECTORS:
        if selector in node.inputs:
            number = as_integer(_constant(node.inputs[selector], nodes))
            numbers = {name: as_integer(match[1]) for name in node.inputs if (match := _NUMBERED.fullmatch(name))}
            return _without(node, {selector, *(name for name, its_number in numbers.items() if its_number != number)})
    return node


def _truth(value: Any) -> bool | None:
    """A condition, which some nodes write as a text or a number."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.casefold())
    return bool(value) if isinstance(value, bool | int) else None


def _without(node: Node, dropped: set[str]) -> Node:
    return Node(node.kind, {name: value for name, value in node.inputs.items() if name not in dropped})


def _constant(value: Any, nodes: Nodes) -> Any:
    """A value, or the one that the node it is wired to holds."""
    if not isinstance(value, Link):
        return value
    return next((each for each in nodes[value.node].inputs.values() if isinstance(each, bool | int | str)), None)


def graphs(text: Mapping[str, str]) -> Iterator[Nodes]:
    if prompt := json_object(text.get("prompt")):
        yield _api_graph(prompt)
    if page := json_object(text.get("workflow")):
        yield _page_graph(expanded(page))
        definitions = page.get("definitions")
        subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
        for subgraph in subgraphs if isinstance(subgraphs, list) else []:
            if isinstance(subgraph, dict):
                yield _page_graph(subgraph)


def _api_graph(prompt: dict[str, Any]) -> Nodes:
    nodes = {name: node for name, node in prompt.items() if isinstance(node, dict)}

    def value(raw: Any) -> Any:
        if not isinstance(raw, list):
            return raw
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


def _page_graph(page: dict[str, Any]) -> Nodes:
    entries = page.get("nodes")
    by_name = {
        str(entry["id"]): entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("id"), str | int)
    }
    links = dict(_page_links(page.get("links"), by_name))
    return _without_get_nodes({name: _page_node(entry, links) for name, entry in by_name.items()})


def _without_get_nodes(nodes: Nodes) -> Nodes:
    """Wires from what a GetNode names to what the SetNode of that name has (an extension's nodes, only on the page)."""
    kept = {
        as_text(node.inputs.get("value")): wires[0]
        for node in nodes.values()
        if node.kind == "SetNode" and (wires := node.links())
    }
    return {
        name: Node("Reroute", {"value": kept[key]})
        if node.kind == "GetNode" and (key := as_text(node.inputs.get("value"))) in kept
        else node
        for name, node in nodes.items()
    }


def _page_links(links: Any, nodes: Mapping[str, Any]) -> Iterator[tuple[str, Link]]:
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict):  # in subgraphs
            link = [link.get(key) for key in ("id", "origin_id", "origin_slot")]
        if isinstance(link, list) and len(link) >= 3 and str(link[1]) in nodes and isinstance(link[2], int):
            yield str(link[0]), Link(str(link[1]), link[2])


def _page_node(entry: dict[str, Any], links: Mapping[str, Link]) -> Node:
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
    widgets = dict(_widgets(kind, sockets, entry.get("widgets_values")))
    return Node(kind, widgets | (outside if isinstance(outside, dict) else {}) | wired)


def _widgets(kind: str, sockets: list[dict[str, Any]], values: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        yield from islice(values.items(), _MAX_INPUTS)
    elif isinstance(values, list):
        widgets = [socket["widget"] for socket in sockets if isinstance(socket.get("widget"), dict)]
        names = _WIDGETS.get(kind) or [widget["name"] for widget in widgets if isinstance(widget.get("name"), str)]
        # Rows of a list, such as those of rgthree's Power Lora Loader, have no sockets.
        yield from islice(
            ((f"row {i}", value) for i, value in enumerate(values) if isinstance(value, dict)), _MAX_INPUTS
        )
        queue = deque(values)
        for name in names or ("value",):
            if not queue:
                return
            yield name, queue.popleft()
            # The page keeps what happens to a seed after each image as a value of its own, without a socket.
            if name in ("seed", "noise_seed") and kind not in _WIDGETS and queue and isinstance(queue[0], str):
                queue.popleft()
