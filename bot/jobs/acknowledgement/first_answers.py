"""Handles first answers to interactions that Discord accepted without the bot learning of it.

After a lost connection or a Discord error, discord.py or this module sends a first answer again. If Discord then says
that the interaction is already answered, the earlier attempt succeeded, and the bot continues as usual. Edits of an
answer are repeated too, which changes nothing. New messages are not sent again, because they could appear twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import aiohttp
import discord
from discord.webhook.async_ import AsyncWebhookAdapter, async_context

from bot.messages.attachments import asked_again
from bot.messages.replies import ALREADY_ACKNOWLEDGED

#: The kinds of answers that make a message.
_WITH_MESSAGE = (
    discord.InteractionResponseType.channel_message.value,
    discord.InteractionResponseType.deferred_channel_message.value,
)


class FirstAnswers(AsyncWebhookAdapter):
    """For `async_context` in the tasks that answer interactions."""

    def __init__(self, client: discord.Client) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._client = client
        # Requests by one token take turns, also with those of other tasks.
        self._locks = async_context.get()._locks

    async def request(self, route: Any, session: Any, *, files: Any = None, **how: Any) -> Any:
        """Raises discord.HTTPException, aiohttp.ClientError, OSError."""

        async def send() -> Any:
            for file in files or ():
                file.reset()
            return await request(route, session, files=files, **how)

        request = super().request
        return await (send() if route.method == "POST" else asked_again(send))

    async def create_interaction_response(
        self, interaction_id: int, token: str, *, session: Any, params: Any, **proxy: Any
    ) -> Any:
        """Returns Discord's answer. Raises discord.HTTPException, aiohttp.ClientError, OSError."""
        watched: Any = _WatchedSession(session)
        send = partial(
            super().create_interaction_response,
            interaction_id,
            token,
            session=cast(aiohttp.ClientSession, watched),
            params=params,
            **proxy,
        )
        try:
            try:
                return await send()
            except (aiohttp.ClientError, OSError):
                for file in params.files or ():
                    file.reset()
                return await send()
        except discord.HTTPException as error:
            if error.code != ALREADY_ACKNOWLEDGED or not watched.lost_an_answer:
                raise
            kind = (params.payload or {}).get("type")
            answered = await self._look_up(token, kind, session=session, **proxy)
            if answered is None:
                raise
            return {"interaction": {"id": interaction_id, "type": kind, **answered}}

    async def _look_up(self, token: str, kind: int | None, **how: Any) -> dict[str, Any] | None:
        """What is known about the message of an answer; None if another process has replaced it meanwhile."""
        assert self._client.application_id is not None
        if kind not in _WITH_MESSAGE:
            return {}
        try:
            message = await self.get_original_interaction_response(self._client.application_id, token, **how)
        except (discord.HTTPException, aiohttp.ClientError, OSError):
            return {}
        flags = discord.MessageFlags._from_value(message.get("flags", 0))
        is_deferred = kind == discord.InteractionResponseType.deferred_channel_message.value
        if is_deferred and not flags.loading:
            return None
        return {
            "response_message_id": message["id"],
            "response_message_loading": flags.loading,
            "response_message_ephemeral": flags.ephemeral,
        }


class _WatchedSession:
    """Makes requests, and notes whether one of them may have taken effect although no answer said so."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.lost_an_answer = False

    @asynccontextmanager
    async def request(self, *args: Any, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(*args, **options) as response:
                self.lost_an_answer |= response.status >= 500
                yield response
        except (aiohttp.ClientError, OSError):
            self.lost_an_answer = True
            raise
