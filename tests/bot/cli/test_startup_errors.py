"""What keeps the bot from starting, as a sentence; tests/end_to_end/test_startup_errors.py has it happen."""

from __future__ import annotations

import errno
import sys
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest

from bot.cli.startup_errors import (
    ENTRY_POINT_COMMAND,
    INVALID_INTENTS,
    PRIVILEGED_INTENTS,
    SHARDING_REQUIRED,
    TOO_MANY_NEW_COMMANDS,
    WRONG_TOKEN,
    explain,
)
from tests.bot.cli.conftest import Anima


def answer(status: int) -> Any:
    return SimpleNamespace(status=status, reason="because")


def closed(code: int) -> discord.ConnectionClosed:
    return discord.ConnectionClosed(SimpleNamespace(close_code=code), shard_id=None, code=code)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (discord.LoginFailure("Improper token has been passed."), WRONG_TOKEN),
        (closed(4004), WRONG_TOKEN),
        (closed(4011), SHARDING_REQUIRED.format(code=4011)),
        (closed(4013), INVALID_INTENTS),
        (closed(4014), PRIVILEGED_INTENTS),
        (discord.PrivilegedIntentsRequired(None), PRIVILEGED_INTENTS),
        (discord.HTTPException(answer(400), {"code": 50240, "message": "no"}), ENTRY_POINT_COMMAND),
        (discord.HTTPException(answer(400), {"code": 30034, "message": "no"}), TOO_MANY_NEW_COMMANDS),
        (discord.HTTPException(answer(429), "You are being blocked."), "Discord has temporarily blocked this machine"),
        (discord.DiscordServerError(answer(503), "down"), "Discord cannot be reached (503 because"),
        (aiohttp.ClientConnectionError("no route"), "Discord cannot be reached (no route)"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "The disk is full (/data/x). Free some space"),
    ],
)
def test_errors_that_an_operator_can_fix_are_one_sentence(error: Exception, sentence: str) -> None:
    said = explain(error)
    assert said is not None and said.startswith(sentence)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("a mistake of ours"),
        discord.HTTPException(answer(400), {"code": 50035, "message": "Invalid Form Body"}),
        closed(4012),
        TimeoutError("Waited 600 s for such a message."),
        OSError(errno.EBADF, "Bad file descriptor"),
    ],
)
def test_other_errors_keep_their_traceback(error: Exception) -> None:
    assert explain(error) is None


@pytest.mark.parametrize("command", ["run", "start", "sandbox", "sandbox --prompt 1girl"])
def test_a_mistake_in_the_settings_is_told_before_the_rest_is_imported(
    anima: Anima, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANIMA_LARGEST_BATCH", "many")
    for module in ("bot.app", "bot.sandbox.session"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it fails
    assert anima(*command.split()) == 1
    assert capsys.readouterr().err.startswith("ANIMA_LARGEST_BATCH: Input should be a valid integer")
