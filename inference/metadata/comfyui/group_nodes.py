"""Puts the nodes of a page's group nodes, ComfyUI's older subgraphs, in the place of the nodes that stand for them.

Such a node has the type `workflow>name`, and `extra.groupNodes` holds the nodes of that name, wired by their places in
it. The node's inputs are those of its nodes that nothing inside is wired to, its values theirs, one node after the
other. Pages come from strangers: nothing is taken for granted about a value's type, and expansion is bounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inference.metadata.comfyui.subgraphs import CONTROLS, MAX_NODES, MAX_WORK, SEEDS, Entry, dicts

_TYPES = ("workflow>", "workflow/")


def ungrouped(page: Entry, widgets: Mapping[str, Sequence[str]]) -> Entry:
    """The page without group nodes.

    widgets: names of the values of classes, in their order.
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
    """The nodes of a group node. Links that begin at it are changed in place, those inside are added."""
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
    """The wires between nodes of a group: from which node and output to which node and input."""
    for link in _lists(group.get("links"))[:MAX_NODES]:
        ends = [end for end in link[:4] if isinstance(end, int) and end >= 0]
        if len(ends) == 4 and max(ends[0], ends[2]) < len(inner) and ends[3] < len(inner[ends[2]]["inputs"]):
            yield ends[0], ends[1], ends[2], ends[3]


def _connect(outer: Entry, group: Entry, inner: Sequence[Entry]) -> None:
    """Gives the wires of a group node to the inputs inside that they are for."""
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
    # Values that are wired have sockets as well, known by their names.
    for outside in sockets:
        if isinstance(outside.get("widget"), dict) and outside.get("link") is not None:
            fitting = (s for _, s in free if isinstance(s.get("widget"), dict) and _ends_with(outside, s))
            next(fitting, Entry())["link"] = outside["link"]


def _ends_with(outside: Entry, socket: Entry) -> bool:
    """Whether the name outside is that of a socket, behind the title of its node if there are two of that name."""
    return str(outside.get("name")).split(" ")[-1] == str(socket.get("name"))


def _outputs(group: Entry, inner: Sequence[Entry], used: set[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The node and the slot behind each output of a group node: those that are not used inside alone."""
    external = {(each[0], each[1]) for each in _lists(group.get("external")) if len(each) >= 2 and _hashable(each)}
    for i, node in enumerate(inner):
        for slot in range(len(dicts(node.get("outputs")))):
            hidden = (i, slot) in used and (i, slot) not in external
            visible = _configured(group, i, "output", str(slot)).get("visible")
            if visible if isinstance(visible, bool) else not hidden:
                yield i, slot


def _set_values(outer: Entry, inner: Sequence[Entry], widgets: Mapping[str, Sequence[str]]) -> None:
    """Gives each node its values of a group node's; none where they do not come out even."""
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
    """A node's values, taken from the queue but for those that are wired inside, which a group node does not have."""
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
    """What a person set for an input or an output in the dialog of group nodes."""
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
