"""Has the commands of a bot translated and checked once for all bots of a process, not once for each of them.

A bot registers its commands once and lives for months; tests start thousands, nearly all with the same commands. What
is kept is found by everything that it was made from, so commands that differ are translated and checked themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from discord import app_commands

from bot.sandbox.model import commands
from bot.sandbox.model.errors import ApiError, FormErrors, Path
from bot.sandbox.server import rest
from bot.text.translation import Translator

_translated: dict[str, str] = {}
#: What was checked and in which nothing was wrong.
_right_types: set[str] = set()
_right_commands: set[str] = set()
_check_types, _check_command = rest.check_types, commands.check_command


def translate_and_check_once() -> None:
    """For the rest of the process."""
    for kind in (app_commands.Group, app_commands.Command, app_commands.ContextMenu):
        _translate_once(kind)
    rest.check_types = _types_checked_once  # type: ignore[attr-defined]
    commands.check_command = _command_checked_once


def _translate_once(kind: Any) -> None:
    translate = kind.get_translated_payload

    async def translated(
        command: Any, tree: app_commands.CommandTree[Any], translator: app_commands.Translator
    ) -> dict[str, Any]:
        if type(translator) is not Translator:
            payload: dict[str, Any] = await translate(command, tree, translator)
            return payload
        key = json.dumps(command.to_dict(tree))
        if key not in _translated:
            _translated[key] = json.dumps(await translate(command, tree, translator))
        payload = json.loads(_translated[key])
        return payload

    kind.get_translated_payload = translated


def _types_checked_once(body: Any, errors: FormErrors) -> None:
    if isinstance(body, list):  # of commands; other bodies are rarely the same
        _check_once(_right_types, body, errors, lambda errors: _check_types(body, errors))
    else:
        _check_types(body, errors)


def _command_checked_once(definition: Any, path: Path, errors: FormErrors) -> None:
    _check_once(_right_commands, definition, errors, lambda errors: _check_command(definition, path, errors))


def _check_once(right: set[str], value: Any, errors: FormErrors, check: Callable[[FormErrors], None]) -> None:
    if (written := json.dumps(value)) in right:
        return
    check(errors)
    found = FormErrors()
    check(found)
    with suppress(ApiError):
        found.raise_if_any()
        right.add(written)
