"""What there is to translate, found as `make translations` finds it, and what the bot says when it runs."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg

import bot

ROOT = Path(bot.__file__).parents[1]


@cache
def wanted() -> Mapping[tuple[str | None, str | tuple[str, str]], str]:
    """Every text that a catalog must have, by its context, and the first file that says it."""
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    found: dict[tuple[str | None, str | tuple[str, str]], str] = {}
    for file, _, text, _, context in extract_from_dir(ROOT, methods, options):
        found.setdefault((context, text), file)
    return found


def modules() -> Iterator[tuple[str, Path]]:
    for file in sorted(Path(bot.__file__).parent.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


@cache
def sentences_said() -> Mapping[str | tuple[str, str], str]:
    """Every sentence that `say` and `say_plural` are given anywhere, as far as constants and tables say, and where."""
    found: dict[str | tuple[str, str], str] = {}
    for name, file in modules():
        calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if is_say(node)]
        names = vars(importlib.import_module(name)) if calls else {}
        for call in calls:
            where = f"{file.relative_to(ROOT)}:{call.lineno}"
            for sentence in sentences_of(call, names, where):
                found.setdefault(sentence, where)
    return found


def is_say(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("say", "say_plural")


def sentences_of(call: ast.Call, names: Mapping[str, Any], where: str) -> Iterator[str | tuple[str, str]]:
    first = call.args[0]
    if ast.unparse(call.func) == "say":
        each = [(sentence,) for sentence in meant(first, names, where)]
    elif isinstance(first, ast.Starred):
        each = meant(first.value, names, where)
    else:
        each = list(zip(*(meant(argument, names, where) for argument in call.args[:2]), strict=True))
    for texts in each:
        assert all(isinstance(text, str) for text in texts), f"{where}: said is {texts!r}"
        yield texts[0] if len(texts) == 1 else (texts[0], texts[1])


def meant(node: ast.expr, names: Mapping[str, Any], where: str) -> list[Any]:
    """Every value that an expression may have, as far as a module's own names say."""
    match node:
        case ast.Constant(value):
            return [value]
        case ast.IfExp(body=one, orelse=other):
            return [*meant(one, names, where), *meant(other, names, where)]
        case ast.Name(id) if id in names:
            return [names[id]]
        case ast.Attribute(value, attribute):
            return [getattr(owner, attribute) for owner in meant(value, names, where)]
        case ast.Subscript(value):
            return [each for owner in meant(value, names, where) for each in values_of(owner)]
    raise AssertionError(f"{where}: {ast.unparse(node)}: which sentences that may be does not stand in the module")


def values_of(owner: Any) -> list[Any]:
    match owner:
        case Mapping():
            return list(owner.values())
        case str():
            raise AssertionError(f"a part of the text {owner!r} is no sentence")
        case Sequence():
            return list(owner)
    raise AssertionError(f"{owner!r} has no values to be said")
