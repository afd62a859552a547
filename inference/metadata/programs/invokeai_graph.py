"""Reads InvokeAI's graphs, for files without its usual object: the metadata node and the values wired to it."""

from typing import Any

from inference.metadata.parameters import json_object

Object = dict[str, Any]

_METADATA = "core_metadata"
_LORA = "lora_selector"
_MAX_NODES = 5_000
_MAX_EDGES = 20_000


def metadata(text: str | None) -> Object | None:
    """The fields of the graph's metadata node; None if it has none."""
    graph = json_object(text)
    nodes = _objects(graph.get("nodes") if graph is not None else None)
    name = next((name for name, node in nodes.items() if node.get("type") == _METADATA), None)
    if graph is None or name is None:
        return None
    found = dict(nodes[name])
    for node, field in _wired(graph.get("edges"), name):
        value = nodes.get(node, {}).get("value")
        found |= {} if value is None else {field: value}
    loras = [node for node in nodes.values() if node.get("type") == _LORA]
    return found if found.get("loras") or not loras else found | {"loras": loras}


def _objects(nodes: Any) -> dict[str, Object]:
    if not isinstance(nodes, dict) or len(nodes) > _MAX_NODES:
        return {}
    return {name: node for name, node in nodes.items() if isinstance(node, dict)}


def _wired(edges: Any, name: str) -> list[tuple[str, str]]:
    """The nodes that are wired to this one, and its fields that they set."""
    pairs = []
    for edge in edges[:_MAX_EDGES] if isinstance(edges, list) else []:
        source, target = (edge.get(end) if isinstance(edge, dict) else None for end in ("source", "destination"))
        if isinstance(source, dict) and isinstance(target, dict) and target.get("node_id") == name:
            pairs.append((str(source.get("node_id")), str(target.get("field"))))
    return pairs
