"""Replaces group nodes of a page's graph, ComfyUI's older form of subgraphs, with the nodes inside.

A group node has the type `workflow>name`, and `extra.groupNodes` holds its inner nodes under that name, wired by their
indices. Its inputs are the inner nodes' inputs that have no wire inside, and its values are all inner nodes' values in
a row. Pages are untrusted: no type of a value is assumed, and expansion is limited.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inference.metadata.comfyui.subgraphs import CONTROLS, MAX_NODES, MAX_WORK, SEEDS, Entry, dicts

_TYPES = ("workflow>", "workflow/")


def ungrouped(page: Entry, widgets: Mapping[str, Sequence[str]]) -> Entry:
    """The page without group nodes.

    widgets: the names of nodes' values in their order, by class.
    """
    groups = _groups(page)
    if not groups:
        return page
    nodes: list[Entry] = []
    links = list(_lists(page.get("links")))
    spent = 0
    for node in dicts(page.get("nodes")):
        group = groups.get(str(node.get("type"))) if node.get("mode") not in (2, 4) else None
        if group is None or spent > MAX_WORK:
            nodes.append(node)
        else:
            nodes += _expanded(node, group, links, widgets)
            spent += len(nodes) + len(links)
    return page | {"nodes": nodes, "links": links}


def _groups(page: Entry) -> dict[str, Entry]:
    """The contents of group nodes by their types."""
    extra = page.get("extra")
    groups = extra.get("groupNodes") if isinstance(extra, dict) else None
    if not isinstance(groups, dict):
        return {}
    return {start + name: group for name, group in groups.items() if isinstance(group, dict) for start in _TYPES}


def _expanded(outer: Entry, group: Entry, links: list[list[Any]], widgets: Mapping[str, Sequence[str]]) -> list[Entry]:
    """The inner nodes of a group node. Adds the links between them to `links`, and redirects the node's own links."""
    name = str(outer.get("id"))
    entries = dicts(group.get("nodes"))[:MAX_NODES]
    inner = [
        dict(each, id=f"{name}:{i}", inputs=[dict(socket, link=None) for socket in dicts(each.get("inputs"))])
        for i, each in enumerate(entries)
    ]
    wired = [*_inside(group, inner)]
    for number, (source, slot, target, target_slot) in enumerate(wired):
        inner[target]["inputs"][target_slot]["link"] = f"{name}:{number}"
        links.append([f"{name}:{number}", f"{name}:{source}", slot, f"{name}:{target}", target_slot])
    _connect(outer, group, inner)
    outputs = list(_outputs(group, inner, {(source, slot) for source, slot, *_ in wired}))
    for link in links:
        if str(link[1]) == name and isinstance(link[2], int) and 0 <= link[2] < len(outputs):
            link[1:3] = f"{name}:{outputs[link[2]][0]}", outputs[link[2]][1]
    _set_values(outer, inner, widgets)
    return inner


def _inside(group: Entry, inner: Sequence[Entry]) -> Iterator[tuple[int, int, int, int]]:
    """The wires between nodes of a group, each as source node, output, target node, input."""
    for link in _lists(group.get("links"))[:MAX_NODES]:
        ends = [end for end in link[:4] if isinstance(end, int) and end >= 0]
        if len(ends) == 4 and max(ends[0], ends[2]) < len(inner) and ends[3] < len(inner[ends[2]]["inputs"]):
            yield ends[0], ends[1], ends[2], ends[3]


def _connect(outer: Entry, group: Entry, inner: Sequence[Entry]) -> None:
    """Connects the wires of a group node to the inner inputs that they are meant for."""
    sockets = dicts(outer.get("inputs"))
    free = [
        (i, socket)
        for i, node in enumerate(inner)
        for socket in node["inputs"]
        if socket["link"] is None and _configured(group, i, "input", socket.get("name")).get("visible") is not False
    ]
    inputs = [socket for _, socket in free if not isinstance(socket.get("widget"), dict)]
    for outside, socket in zip(
        (each for each in sockets if not isinstance(each.get("widget"), dict)), inputs, strict=False
    ):
        socket["link"] = outside.get("link")
    # Wired values have sockets too, which are found by name.
    for outside in sockets:
        if isinstance(outside.get("widget"), dict) and outside.get("link") is not None:
            fitting = (s for _, s in free if isinstance(s.get("widget"), dict) and _ends_with(outside, s))
            next(fitting, Entry())["link"] = outside["link"]


def _ends_with(outside: Entry, socket: Entry) -> bool:
    """Whether the outer name is the socket's; if two share a name, the outer one has the node's title in front."""
    return str(outside.get("name")).split(" ")[-1] == str(socket.get("name"))


def _outputs(group: Entry, inner: Sequence[Entry], used: set[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The inner node and slot of each output of a group node, which are those that are not only used inside."""
    external = {(each[0], each[1]) for each in _lists(group.get("external")) if len(each) >= 2 and _hashable(each)}
    for i, node in enumerate(inner):
        for slot in range(len(dicts(node.get("outputs")))):
            hidden = (i, slot) in used and (i, slot) not in external
            visible = _configured(group, i, "output", str(slot)).get("visible")
            if visible if isinstance(visible, bool) else not hidden:
                yield i, slot


def _set_values(outer: Entry, inner: Sequence[Entry], widgets: Mapping[str, Sequence[str]]) -> None:
    """Distributes a group node's values to the inner nodes; if the number does not fit, none get values."""
    values = outer.get("widgets_values")
    queue = list(values) if isinstance(values, list) else []
    for node in inner:
        node["widgets_values"] = list(_values(node, queue, widgets.get(str(node.get("type")), ())))
    if queue or any(_MISSING in node["widgets_values"] for node in inner):
        for node in inner:
            node["widgets_values"] = []


#: Stands for a value that a group node does not have.
_MISSING = object()


def _values(node: Entry, queue: list[Any], names: Sequence[str]) -> Iterator[Any]:
    """A node's values from the queue, except values that are wired inside, which a group node does not have."""
    values = node.get("widgets_values")
    wired = {str(socket.get("name")) for socket in node["inputs"] if socket["link"] is not None}
    passed = ""
    for i, value in enumerate(values if isinstance(values, list) else []):
        name = names[i] if i < len(names) else ""
        if name in wired or (passed in SEEDS and value in CONTROLS):
            passed = name
            yield value
        else:
            passed = ""
            yield queue.pop(0) if queue else _MISSING


def _configured(group: Entry, number: int, kind: str, name: Any) -> Entry:
    """What the user set for an input or an output in the dialog for group nodes."""
    found: Any = group.get("config")
    for key in (str(number), kind, name):
        found = found.get(key) if isinstance(found, dict) and isinstance(key, str) else None
    return found if isinstance(found, dict) else {}


def _hashable(row: list[Any]) -> bool:
    return all(isinstance(each, int) for each in row[:2])


def _lists(values: Any) -> list[list[Any]]:
    return [
        list(value)
        for value in (values if isinstance(values, list) else [])
        if isinstance(value, list) and len(value) >= 3
    ]
