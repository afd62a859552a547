"""Finds the sentences to translate, for Babel: `babel.cfg` names these two functions as its extraction methods."""

from __future__ import annotations

import ast
import asyncio
import pkgutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import IO, Any, TypeAlias

import discord
from discord import app_commands

from bot.text.translation import role_of

#: Line, gettext's name of the function, its texts, and comments for translators.
Message: TypeAlias = "tuple[int, str, str | tuple[str, ...], list[str]]"

#: The bot's functions, and gettext's that mean the same.
FUNCTIONS = {"say": "gettext", "N_": "gettext", "say_plural": "ngettext"}
#: Discord's rules for each text of a command, by its role.
RULES = {
    "command name": "Keep it as it is: every text calls the command so.",
    "menu": "At most 32 characters.",
    "option name": "At most 32 characters: lower case, no spaces; no two options of a command may share a name.",
    "description": "At most 100 characters.",
    "choice": "At most 100 characters.",
}


def extract_sentences(
    file: IO[bytes], keywords: Mapping[str, Any], comment_tags: Collection[str], options: Mapping[str, Any]
) -> Iterator[Message]:
    """The sentences in a module's code: all string literals in calls of `say`, `say_plural` and `N_`.

    Babel's own method reads tokens, so it misses calls inside f-strings before Python 3.12.
    """
    for node in ast.walk(ast.parse(file.read())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS):
            continue
        function = "ngettext" if len(node.args) == 2 and node.func.id == "N_" else FUNCTIONS[node.func.id]
        if function == "ngettext":
            one, many = (next(_written(argument), None) for argument in node.args[:2])
            if one is not None and many is not None:
                yield node.lineno, function, (one, many), []
        else:
            for sentence in _written(node.args[0]):
                yield node.lineno, function, sentence, []


def _written(node: ast.expr) -> Iterator[str]:
    """The string literals in an argument, also in `if` expressions. Constants' texts are marked with `N_` elsewhere."""
    match node:
        case ast.Constant(str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from _written(one)
            yield from _written(other)


def extract_commands(
    file: IO[bytes], keywords: Mapping[str, Any], comment_tags: Collection[str], options: Mapping[str, Any]
) -> Iterator[Message]:
    """The texts of all commands, as discord.py would send them. `options`: `register` names the function for that."""
    register = pkgutil.resolve_name(options["register"])
    tree: app_commands.CommandTree[Any] = app_commands.CommandTree(discord.Client(intents=discord.Intents.none()))
    register(tree, can_describe=True)
    for role, text in asyncio.run(_texts(tree)):
        yield 1, "pgettext", (role, text), [RULES[role]]


async def _texts(tree: app_commands.CommandTree[Any]) -> Iterable[tuple[str, str]]:
    recorder = _Recorder()
    for command in tree.get_commands():
        await command.get_translated_payload(tree, recorder)
    return recorder.found


class _Recorder(app_commands.Translator):
    """Records every text that discord.py asks it to translate, and translates none."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], None] = {}

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> None:
        role = role_of(context)
        if role is not None:
            self.found[role, string.message] = None
