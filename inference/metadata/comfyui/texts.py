"""Reads the texts of a ComfyUI graph, which nodes hold, change or join."""

import re
from collections.abc import Mapping
from typing import Any

from inference.metadata.comfyui import strings
from inference.metadata.comfyui.wires import CONSTANTS, MAX_WALK, Wires, link_of
from inference.metadata.comfyui_graph import Link, Node
from inference.metadata.parameters import as_text

#: Text encoders' names for their texts; some nodes have one text for each of a model's encoders.
SEPARATE_TEXTS = ("text_g", "prompt_g", "t5xxl", "text_l", "prompt_l", "clip_l")
TEXTS = ("populated_text", "text", "prompt", *SEPARATE_TEXTS)

_MAX_TEXTS = 200
#: The most nodes in a row that each change the text of the one before.
_MAX_DEPTH = 40
#: Inputs for the text between joined texts.
_DELIMITERS = ("delimiter", "separator")
_LINE_BREAK = "linebreak_addition"
#: Nodes that join their texts although they have no delimiter.
_JOINS = re.compile(r"[Cc]oncat|[Jj]oin|[Aa]ppend|Combine|Add ?String|String ?Add")
_PLACE = re.compile(r"(\w*?)_?(\d{1,4}|[a-z])")
#: Settings that are texts and appear among the texts to join.
_FLAGS = ("", "true", "false")
#: Nodes that pass a text on and show it.
_SHOWS = re.compile(r"[Ss]how|[Dd]isplay|Preview")
#: By class: the inputs that its outputs pass on, in order.
_OF_OUTPUTS = {"Text String": ("text", "text_b", "text_c", "text_d")}
#: The inputs of an encoder that are put in front of its text.
_TRIGGERS = re.compile(r"trigger_words\d*")


class Texts:
    """The texts of one graph. Together they follow at most `_MAX_TEXTS` wires.

    unknown: classes of nodes whose texts could not be determined since the last `take_unknown`.
    """

    def __init__(self, wires: Wires) -> None:
        self.wires = wires
        self.unknown: list[str] = []
        self._left = _MAX_TEXTS
        self._depth = 0

    def take_unknown(self) -> list[str]:
        """Return `unknown` and clear it."""
        unknown, self.unknown = self.unknown, []
        return unknown

    def text(self, value: Any) -> str | None:
        """A text, or the text that nodes along a wire hold, change or join; None if it is not known."""
        source = self._source(value)
        return self._joined(source) if isinstance(source, Node) else source

    def with_triggers(self, node: Node, text: str) -> str:
        """The text of an encoder, after the trigger words that are wired to it."""
        triggers = (self.text(value) for name, value in node.inputs.items() if _TRIGGERS.fullmatch(name))
        return ", ".join([*filter(None, triggers), text])

    def _source(self, value: Any) -> str | Node | None:
        """A text, or the node that joins texts, along a wire."""
        if not isinstance(value, Link):
            return as_text(value)
        self._left -= 1
        chain = self.wires.upstream(value, [*TEXTS, *CONSTANTS], any_input=True) if self._left > 0 else []
        for node in chain:
            outputs = _OF_OUTPUTS.get(node.kind, ()) if node is chain[0] else ()
            if 0 <= value.slot < len(outputs) and outputs[value.slot] in node.inputs:
                return self._source(node.inputs[outputs[value.slot]])
            if _joins(node):
                return node
            if (words := strings.toggled_words(node.inputs)) is not None:
                return words
            if strings.unknown(node.kind):
                return self._named(node, None)
            if strings.knows(node.kind):
                return self._named(node, strings.result(node.kind, self._values(node)))
            # A display node's own text is that of an earlier image.
            keys = () if _SHOWS.search(node.kind) and node.links() else (*TEXTS, *CONSTANTS)
            for key in keys:
                text = node.inputs.get(key)
                if isinstance(text, str) and not (key == "value" and text in _FLAGS and node.links()):
                    return self._named(node, strings.prompt_text(node.kind, key, text))
            if (text := _only_text(node)) is not None:
                return text
        kind = next((node.kind for node in chain if node.kind), None)
        self.unknown += [] if kind is None else [kind]
        return None

    def _named(self, node: Node, text: str | None) -> str | None:
        if text is None:
            self.unknown.append(node.kind)
        return text

    def _values(self, node: Node) -> dict[str, Any]:
        """The inputs of a node that changes a text, with wires replaced by texts or numbers."""
        if self._depth == _MAX_DEPTH:
            return {}
        self._depth += 1
        values = {name: self._value(name, value) for name, value in node.inputs.items()}
        self._depth -= 1
        return values

    def _value(self, name: str, value: Any) -> Any:
        if not isinstance(value, Link):
            return value
        return self.wires.constant(value, (name,)) if name in strings.NUMBERS else self.text(value)

    def _joined(self, node: Node) -> str:
        """The result of a node that joins texts, which other nodes may have joined already."""
        pieces: list[str] = []
        stack: list[Any] = [node]
        for _ in range(MAX_WALK):
            if not stack:
                break
            item = stack.pop()
            source = item if isinstance(item, Node) else self._source(item)
            if not isinstance(source, Node):
                pieces.append(source or "")
                continue
            delimiter = _delimiter(source.inputs)
            parts: list[Any] = []
            for _name, value in _in_order(source.inputs):
                if value not in _FLAGS:
                    parts += [delimiter, value] if parts else [value]
            stack += reversed(parts)
        return "".join(pieces)


def _only_text(node: Node) -> str | None:
    """The text of a node if it has no other input."""
    texts = [value for value in node.inputs.values() if value is not None]
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else None


def _joins(node: Node) -> bool:
    if any(name in node.inputs for name in _DELIMITERS):
        return True
    return bool(_JOINS.search(node.kind)) and len(_in_order(node.inputs)) > 1


def _delimiter(inputs: Mapping[str, Any]) -> str:
    found = next((text for name in _DELIMITERS if (text := as_text(inputs.get(name)))), None)
    if found and found not in _FLAGS:
        return found
    # In the page's graph, this flag is the only value, under no name or the name of a newer version.
    return "\n" if str(inputs.get(_LINE_BREAK, inputs.get("value", found))).casefold() == "true" else ""


def _in_order(inputs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Inputs in the order of the number or letter that ends their names, because graphs list wired inputs last."""
    others = (*_DELIMITERS, _LINE_BREAK)
    texts = {name: value for name, value in inputs.items() if isinstance(value, str | Link) and name not in others}
    places = {name: match for name in texts if (match := _PLACE.fullmatch(name))}
    if len({match[1] for match in places.values()}) > 1 or not places:
        return list(texts.items())
    if len(places) < len(texts) and not all(text in _FLAGS for name, text in texts.items() if name not in places):
        return list(texts.items())
    return sorted(((name, texts[name]) for name in places), key=lambda of: (len(places[of[0]][2]), places[of[0]][2]))


def encodes(node: Node) -> bool:
    """Whether a node makes a conditioning from a text."""
    return "TextEncode" in node.kind or "clip" in node.inputs or "opt_clip" in node.inputs


def maker(node: Node, wires: Wires) -> str | None:
    """The class of the node that makes the text that a text encoder gets."""
    link = link_of(node, *TEXTS)
    return None if link is None else wires.nodes[link.node].kind or None
