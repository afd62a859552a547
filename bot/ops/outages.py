"""Waits while Discord is down, unreachable or has banned this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import aiohttp
import discord

from bot.ops.errors import CERTIFICATE_ADVICE, certificate_fault

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: In seconds. Each pause is twice as long as the one before.
MIN_PAUSE = 1.0
MAX_PAUSE = 300.0
#: For a ban, Discord's answer may ask for a longer pause; a ban lasts about an hour.
MAX_PAUSE_REQUESTED = 3600.0

BANNED = "Discord has temporarily blocked this machine for too many requests"


class Outage:
    """One outage, from the first failure to the first success."""

    def __init__(self) -> None:
        self._next_pause = MIN_PAUSE

    async def wait(self, error: BaseException) -> None:
        """Log what is wrong, in one line, and pause. Raises `error` if waiting would not help."""
        sentence = explain_outage(error)
        if sentence is None:
            raise error
        pause = max(self._next_pause, min(_pause_asked_for(error), MAX_PAUSE_REQUESTED))
        self._next_pause = min(2 * self._next_pause, MAX_PAUSE)
        logger.warning("%s. Trying again in %g s.", sentence, pause)
        await asyncio.sleep(pause)


async def retry_until_reached(
    act: Callable[[], Awaitable[T]], clean_up: Callable[[], Awaitable[None]] | None = None
) -> T:
    """Retry `act` during an outage and return its result. `clean_up` is awaited after each failure."""
    outage = Outage()
    while True:
        try:
            return await act()
        except Exception as error:
            if clean_up is not None:
                await clean_up()
            await outage.wait(error)


def explain_outage(error: BaseException) -> str | None:
    """What is wrong, without a full stop. None for an error that waiting does not fix."""
    match error:
        case discord.HTTPException(status=429) | aiohttp.WSServerHandshakeError(status=429):
            return BANNED  # discord.py itself waits for Discord's own limits
        case aiohttp.ClientError() if (fault := certificate_fault(error)) is not None:
            return f"Discord cannot be reached ({fault}). {CERTIFICATE_ADVICE}"
        case discord.DiscordServerError() | discord.GatewayNotFound() | aiohttp.ClientError():
            return f"Discord cannot be reached ({_on_one_line(error)})"
        case TimeoutError():
            return "Discord cannot be reached (it does not answer)"
        case ConnectionError():
            return f"Discord cannot be reached ({_on_one_line(error)})"
    return None


def _on_one_line(error: BaseException) -> str:
    """The first line of an error, shortened: it may be a whole HTML page."""
    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    return first[:200]


def _pause_asked_for(error: BaseException) -> float:
    """Seconds, from the header Retry-After."""
    headers = error.response.headers if isinstance(error, discord.HTTPException) else getattr(error, "headers", None)
    with suppress(ValueError, TypeError, AttributeError):
        return float(headers["Retry-After"]) if headers and "Retry-After" in headers else 0.0
    return 0.0
