"""What ComfyUI's nodes make of a text, and texts that stand for LoRAs or for something that a file does not say."""

import re
from collections.abc import Mapping
from typing import Any

from inference.metadata import a1111
from inference.metadata.parameters import as_integer, as_text

#: Nodes that give another text at each run and do not keep it in the graph.
_RANDOM = re.compile(r"^DP\w*(?:Generator|Prompts)|RandomPrompts|Random Prompts")
_TEMPLATE = re.compile(r"[{}]|__")
#: Nodes whose regular expressions are not run: a stranger's may take for ever.
_UNKNOWN = re.compile(r"Regex(?:Replace|Extract)|RegexMatch")
#: Nodes that take LoRAs from the tags of their text.
_TAKES_TAGS = re.compile(r"Wildcard|Lora|LoRA|^PC")

_KNOWN = ("StringReplace", "CaseConverter", "StringTrim", "StringSubstring")
_CASES = {
    "UPPERCASE": str.upper,
    "lowercase": str.lower,
    "Capitalize": str.capitalize,
    "Title Case": str.title,
}
_TRIMS = {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}


def knows(kind: str) -> bool:
    """Whether `result` says what a node of this class gives."""
    return (
        kind in ("StringReplace", "CaseConverter", "StringTrim", "StringSubstring") or _UNKNOWN.match(kind) is not None
    )


def result(kind: str, inputs: Mapping[str, Any]) -> str | None:
    """The text that a node gives; None where that is not known."""
    text = as_text(inputs.get("string"))
    if text is None or _UNKNOWN.match(kind):
        return None
    if kind == "StringReplace":
        find, new = as_text(inputs.get("find")), as_text(inputs.get("replace"))
        return text.replace(find, new or "") if find else text
    if kind == "StringSubstring":
        start, end = (as_integer(inputs.get(name)) for name in ("start", "end"))
        return text[start:end]
    convert = (_CASES if kind == "CaseConverter" else _TRIMS).get(as_text(inputs.get("mode")) or "")
    return None if convert is None else convert(text)


def prompt_text(kind: str, text: str) -> str | None:
    """The text that a node holds as a prompt: without tags of LoRAs; None where it is only a template."""
    if _RANDOM.search(kind) and _TEMPLATE.search(text):
        return None
    return a1111.without_tags(text) if _TAKES_TAGS.search(kind) else text


def tagged_loras(kind: str, inputs: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """The LoRAs that a node takes from the tags of its text."""
    text = as_text(inputs.get("populated_text", inputs.get("text")))
    return a1111.loras_of(text)[0] if text and _TAKES_TAGS.search(kind) else ()
