"""Replaces subgraph nodes of a page's graph with the nodes inside.

A subgraph node (the outer node) has the subgraph's id as its type. Wires and values on it override those inside. Graphs
are untrusted: no type of a value is assumed, and expansion is limited.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from inference.metadata.parameters import json_list

Entry = dict[str, Any]

#: The key of a node's entry for values that were set from outside, by the names of its inputs.
SET_OUTSIDE = "set outside"
MAX_NODES = 5_000
#: The most nodes and links that all expansions together go through.
MAX_WORK = 200_000
#: Values after which the page has another one, without a name: how they change after each run.
SEEDS, CONTROLS = ("seed", "noise_seed"), ("fixed", "increment", "decrement", "randomize")
_INPUTS, _OUTPUTS = "-10", "-20"
#: The node id that means the outer node itself, in its list of shown values.
_OWN = "-1"
_LINK = ("id", "origin_id", "origin_slot", "target_id", "target_slot")


def expanded(page: Mapping[str, Any]) -> Entry:
    """The page's `nodes` and `links` with all subgraphs replaced, and with links as lists."""
    definitions = _definitions(page)
    nodes, links = list(_entries(page.get("nodes"))), list(_links(page.get("links")))
    spent = 0
    while True:
        outer = next((node for node in nodes if _is_instance(node, definitions)), None)
        spent += len(nodes) + len(links) + (0 if outer is None else _length(definitions[outer["type"]]))
        if outer is None or len(nodes) > MAX_NODES or spent > MAX_WORK:
            break
        nodes, links = _expand(outer, definitions, nodes, links)
    return {"nodes": nodes, "links": links}


def _definitions(page: Mapping[str, Any]) -> dict[str, Entry]:
    definitions = page.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    return {each["id"]: each for each in _entries(subgraphs) if isinstance(each["id"], str)}


def _length(inside: Entry) -> int:
    parts = (inside.get("nodes"), inside.get("links"))
    return sum(len(part) for part in parts if isinstance(part, list))


def _is_instance(node: Entry, definitions: Mapping[str, Entry]) -> bool:
    kind = node.get("type")
    return isinstance(kind, str) and kind in definitions and node.get("mode") not in (2, 4)


def _expand(
    outer: Entry, definitions: Mapping[str, Entry], nodes: list[Entry], links: list[list[Any]]
) -> tuple[list[Entry], list[list[Any]]]:
    name, inside = str(outer["id"]), definitions[outer["type"]]
    inner = {str(node["id"]): dict(node, id=f"{name}:{node['id']}") for node in _entries(inside.get("nodes"))}
    wires = list(_links(inside.get("links")))
    places = _places(outer, inside)
    given, values = _sockets(outer, places, links), _values(outer, places)
    for id_, key, value, source in _proxies(outer):
        if id_ == _OWN:
            values |= {places[key]: value} if key in places else {}
        else:
            node = inner.get(id_)
            in_subgraph = source is not None and node is not None and node.get("type") in definitions
            _set(node, f"{source}: {key}" if in_subgraph else key, value)
    from_farther_out = dict(_from_farther_out(outer, inner, places))
    values |= {place: value for place, value in from_farther_out.items() if isinstance(place, str)}
    added: list[list[Any]] = []
    results: dict[str, list[Any]] = {}
    for number, source, slot, target, target_slot in wires:
        origin = given.get(str(slot)) if str(source) == _INPUTS else [f"{name}:{source}", slot]
        if str(target) == _OUTPUTS:
            results |= {} if origin is None else {str(target_slot): origin}
        elif origin is not None:
            added.append([f"{name}:{number}", *origin, f"{name}:{target}", target_slot])
        elif str(slot) in values:
            _set(inner.get(str(target)), _socket_name(inner.get(str(target)), target_slot), values[str(slot)])
    for place, value in from_farther_out.items():
        if isinstance(place, tuple):
            _set(inner.get(place[0]), place[1], value)
    for node in inner.values():
        node["inputs"] = [dict(socket, link=f"{name}:{socket.get('link')}") for socket in dicts(node.get("inputs"))]
    kept = [
        [number, *results.get(str(slot), [source, slot]), *rest]
        if str(source) == name
        else [number, source, slot, *rest]
        for number, source, slot, *rest in links
    ]
    return [*(node for node in nodes if node is not outer), *inner.values()], [*kept, *added]


def _places(outer: Entry, inside: Entry) -> dict[str, str]:
    """The subgraph's inputs, name to index. The outer node may show only some of them, and in another order."""
    names = [socket.get("name") for socket in dicts(inside.get("inputs")) or dicts(outer.get("inputs"))]
    return {name: str(place) for place, name in enumerate(names) if isinstance(name, str)}


def _sockets(outer: Entry, places: Mapping[str, str], links: list[list[Any]]) -> dict[str, list[Any]]:
    """What is wired to the outer node, by the indices of the subgraph's inputs."""
    origins = {str(number): [source, slot] for number, source, slot, *_ in links}
    wired = (
        (_place(places, i, socket), str(socket.get("link"))) for i, socket in enumerate(dicts(outer.get("inputs")))
    )
    return {place: origins[link] for place, link in wired if link in origins}


def _place(places: Mapping[str, str], i: int, socket: Entry) -> str:
    name = socket.get("name")
    return places.get(name, str(i)) if isinstance(name, str) else str(i)


def _values(outer: Entry, places: Mapping[str, str]) -> dict[str, Any]:
    """The values set on the outer node itself, by the indices of the subgraph's inputs."""
    if list(_proxies(outer)):
        return {}
    values = outer.get("widgets_values")
    queue = list(values) if isinstance(values, list) else []
    found: dict[str, Any] = {}
    for i, socket in enumerate(dicts(outer.get("inputs"))):
        if isinstance(socket.get("widget"), dict) and queue:
            found[_place(places, i, socket)] = queue.pop(0)
            # As on any node, what happens to a seed after each image is a separate value.
            if socket.get("name") in SEEDS and queue and queue[0] in CONTROLS:
                queue.pop(0)
    return found


#: A value's name with the inner node's id in front, if a nested subgraph has several values of that name.
_PREFIXED = re.compile(r"\s*(\d{1,9})\s*:\s*(.+)", re.DOTALL)


def _from_farther_out(
    outer: Entry, inner: Mapping[str, Entry], places: Mapping[str, str]
) -> Iterator[tuple[str | tuple[str, str], Any]]:
    """The values that the enclosing subgraph sets on this one: by the index of an input, or by inner node and name."""
    proxies = {key: id_ for id_, key, *_ in _proxies(outer)}
    for name, value in _set_on(outer).items():
        prefixed = _PREFIXED.fullmatch(name)
        bare = name if prefixed is None else prefixed[2]
        if name in places:
            yield places[name], value
        elif prefixed is not None and prefixed[1] in inner:
            yield (prefixed[1], bare), value
        elif bare in places:
            yield places[bare], value
        elif bare in proxies:
            yield (proxies[bare], bare), value


def _proxies(outer: Entry) -> Iterator[tuple[str, str, Any, str | None]]:
    """Values of inner nodes that the outer node shows and sets: the inner node's id, the name, the value, and a source.

    If the inner node is itself a subgraph, the source may be the id of the node in it that has the value; else None.
    """
    properties, values = outer.get("properties"), outer.get("widgets_values")
    proxies = properties.get("proxyWidgets") if isinstance(properties, dict) else None
    if isinstance(proxies, str):
        proxies = json_list(proxies)
    if isinstance(proxies, list) and isinstance(values, list):
        for proxy, value in zip(proxies, values, strict=False):
            if isinstance(proxy, list) and len(proxy) in (2, 3) and isinstance(proxy[1], str):
                yield str(proxy[0]), proxy[1], value, str(proxy[2]) if len(proxy) == 3 else None


def _set(node: Entry | None, key: str | None, value: Any) -> None:
    if node is not None and key is not None and value is not None:
        node[SET_OUTSIDE] = {**_set_on(node), key: value}


def _set_on(node: Entry) -> Entry:
    found = node.get(SET_OUTSIDE)
    return found if isinstance(found, dict) else {}


def _socket_name(node: Entry | None, slot: Any) -> str | None:
    sockets = dicts(node.get("inputs")) if node is not None else []
    if not isinstance(slot, int) or not 0 <= slot < len(sockets):
        return None
    name = sockets[slot].get("name")
    return name if isinstance(name, str) else None


def _entries(nodes: Any) -> Iterator[Entry]:
    yield from (node for node in dicts(nodes) if isinstance(node.get("id"), str | int))


def dicts(values: Any) -> list[Entry]:
    return [value for value in (values if isinstance(values, list) else []) if isinstance(value, dict)]


def _links(links: Any) -> Iterator[list[Any]]:
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict):  # in subgraphs
            link = [link.get(key) for key in _LINK]
        if isinstance(link, list) and len(link) >= 3 and isinstance(link[2], int):
            yield [*link, None, None][:5]
