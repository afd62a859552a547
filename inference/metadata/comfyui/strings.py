"""Computes what ComfyUI's nodes make of a text, and reads LoRA tags in texts."""

import re
from collections.abc import Mapping
from typing import Any

from inference.metadata import a1111
from inference.metadata.parameters import Pairs, as_integer, as_text

#: The input in which a wildcard node stores its result.
POPULATED = "populated_text"
#: Nodes that give a different text at each run, which the graph does not contain.
_RANDOM = re.compile(r"^DP\w*(?:Generator|Prompts)|RandomPrompts|Random Prompts|[Ww]ildcard|\bNSP\b|Noodle")
#: This node drops lines that begin with #.
_HAS_COMMENTS = "Text Multiline"
#: What ComfyUI's page removes from texts, and the alternatives that it chooses from.
_COMMENTS = re.compile(r"/\*(?:[^*]|\*(?!/))*+\*/|//[^\n]*")
_CHOICES = re.compile(r"(?<!\\)\{[^{}|]{0,200}\|[^{}]{0,200}\}")
_TEMPLATE = re.compile(r"[{}]|__")
#: Nodes whose texts come from a model, a file or a random choice, and nodes with regular expressions, which are never
#: run: an untrusted one may run forever.
_UNKNOWN = re.compile(
    r"[Rr]egex|Ollama|LLM|GPT|Gemini|Florence|[Cc]aption|[Ii]nterrogat|Tagger|[Tt]ranslat|DeepSeek|Qwen\w*VL|"
    r"Random ?Line|Text Random|Prompt ?Styl|Load ?(?:Text|Prompts)|Text ?File|From ?File|[Pp]rompt ?(?:Line|Queue)|"
    r"[Ss]elect ?Line|OpenAI|Claude|Anthropic|Grok|Mistral|Llama|Chat|Text ?Generat|Enhanc|TagGen|TIPO|Magic ?Prompt|"
    r"FeelingLucky|Fetch|Styles? (?:CSV|Selector)|[Ss]tyles?Selector"
)
#: An input that contains only tags.
_TAGS_ALONE = "loras"
#: Nodes that take LoRAs from the tags of their text.
_TAKES_TAGS = re.compile(r"Wildcard|Lora|LoRA|^PC|^Power Prompt")

_KNOWN = ("StringReplace", "CaseConverter", "StringTrim", "StringSubstring", "StringFunction|pysssss")
_REPLACES = re.compile(r"[Rr]eplace")
#: The inputs for what is searched and what replaces it; they are numbered if there are several.
_PAIR = re.compile(r"(?:find|old|search)(\d{0,2})")
_NEW = {"find": "replace", "old": "new", "search": "replace"}
#: Inputs that are not texts.
NUMBERS = ("start", "end")
_TEXT_INPUTS = ("string", "text", "prompt", "text_a")
#: This node's search is a regular expression.
_SEARCHES_BY_PATTERN = "Text Find and Replace"
#: The most characters of a text that is computed.
_MAX_LENGTH = 1 << 20
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")

_CASES = {
    "UPPERCASE": str.upper,
    "lowercase": str.lower,
    "Capitalize": str.capitalize,
    "Title Case": str.title,
}
_TRIMS = {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}


def knows(kind: str) -> bool:
    """Whether `result` handles nodes of this class; it may return None."""
    return kind in _KNOWN or bool(_REPLACES.search(kind) or _UNKNOWN.search(kind))


def unknown(kind: str) -> bool:
    """Whether the text that a node of this class gives cannot be known."""
    return bool(_UNKNOWN.search(kind))


def text_input(inputs: Mapping[str, Any]) -> str:
    """The name of the input whose text the node changes."""
    return next((name for name in _TEXT_INPUTS if name in inputs), _TEXT_INPUTS[0])


def result(kind: str, inputs: Mapping[str, Any]) -> str | None:
    """The text that a node gives; None if it is not known."""
    text = as_text(inputs.get(text_input(inputs)))
    if text is None or _UNKNOWN.search(kind):
        return None
    if kind == "StringFunction|pysssss":
        return _string_function(text, inputs)
    if _REPLACES.search(kind):
        return _replaced(kind, text, inputs)
    if kind == "StringSubstring":
        start, end = (as_integer(inputs.get(name)) for name in ("start", "end"))
        return text[start:end]
    convert = (_CASES if kind == "CaseConverter" else _TRIMS).get(as_text(inputs.get("mode")) or "")
    return None if convert is None else convert(text)


def _replaced(kind: str, text: str, inputs: Mapping[str, Any]) -> str | None:
    pairs = sorted((int(match[1] or 0), name) for name in inputs if (match := _PAIR.fullmatch(name)))
    for _, name in pairs:
        replacement = _PAIR.sub(lambda m: _NEW[m[0].rstrip(m[1])] + m[1], name)
        old, new = as_text(inputs[name]), as_text(inputs.get(replacement, ""))
        if old is None or new is None or (kind == _SEARCHES_BY_PATTERN and _SPECIAL.search(old + new)):
            return None
        replaced = _with(text, old, new)
        if replaced is None:
            return None
        text = replaced
    return text if pairs else None


def _with(text: str, old: str, new: str) -> str | None:
    """Replaces `old` with `new` in a text; None if the result could be longer than `_MAX_LENGTH`."""
    if not old:
        return text
    return text.replace(old, new) if len(text) + text.count(old) * len(new) <= _MAX_LENGTH else None


def _string_function(text: str, inputs: Mapping[str, Any]) -> str | None:
    """Joins texts, or replaces one by another, and may tidy the commas."""
    second, third = (as_text(inputs.get(name, "")) for name in ("text_b", "text_c"))
    if second is None or third is None:
        return None
    tidy = inputs.get("tidy_tags") == "yes"
    is_pattern = second.startswith("/") and second.endswith("/") and len(second) > 1
    made: str | None
    if inputs.get("action") == "append":
        made = (", " if tidy else "").join(filter(None, (text, second, third)))
    else:
        made = None if is_pattern else _with(text, second, third)
    if made is not None and tidy:
        made = re.sub(r",{2,}", ",", re.sub(r"\s{2,}", " ", made).replace(" ,", ",")).strip()
    return made


def prompt_text(kind: str, name: str, text: str) -> str | None:
    """The text of a node's input as a prompt, without LoRA tags; None if it is only a template."""
    if _RANDOM.search(kind) and name != POPULATED and _TEMPLATE.search(text):
        return None
    if kind == _HAS_COMMENTS:
        return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
    return a1111.without_tags(text) if _TAKES_TAGS.search(kind) else text


def rewritten_by_frontend(text: str) -> tuple[str, list[str]]:
    """A text without the comments that ComfyUI's page removes, and the random choices in it, such as `{a|b}`."""
    text = _COMMENTS.sub("", text)
    return text, list(dict.fromkeys(_CHOICES.findall(text)))


def toggled_words(inputs: Mapping[str, Any]) -> str | None:
    """The words that are switched on in rows of words; None if there are no such rows."""
    for value in inputs.values():
        rows = value.get("__value__") if isinstance(value, dict) else value
        if isinstance(rows, list) and rows and all(isinstance(row, dict) and "text" in row for row in rows):
            on = (as_text(row["text"]) for row in rows if row.get("active") is True)
            return ", ".join(word.strip() for word in on if word and word.strip())
    return None


def tagged_loras(kind: str, inputs: Mapping[str, Any]) -> tuple[tuple[tuple[str, float], ...], Pairs]:
    """The LoRAs that a node takes from the tags in its text, and the tags or parts of tags that are left out."""
    names = (POPULATED, "text", "prompt", "lora_syntax") if _TAKES_TAGS.search(kind) else (_TAGS_ALONE,)
    text = next((text for name in names if (text := as_text(inputs.get(name))) is not None), None)
    return a1111.loras_of(text, model_first=True) if text else ((), ())
