"""Stores each request before it is acknowledged, and until it is answered, so that no crash loses one.

What Discord sent is stored in one row, then acknowledged. After a restart it is passed to discord.py again as if it had
just arrived, marked as acknowledged, so commands, buttons and forms need no code for this.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import discord
from discord.webhook.async_ import async_context

from bot.jobs.acknowledgement.completions import CompletionQueue
from bot.jobs.acknowledgement.first_answers import FirstAnswers
from bot.jobs.delivery.outbox import retry, retry_storage
from bot.jobs.delivery.refusals import TOKEN_EXPIRED, UNKNOWN_MESSAGE, is_temporary
from bot.messages.replies import Loading, guard_answer, note_loading
from bot.ops.background import cancel
from bot.ops.shutdown import DuplicateInteraction
from storage.backend.drawing_claim import DrawingClaim
from storage.backend.errors import StorageUnavailable
from storage.unanswered import Unanswered, UnansweredRequest

logger = logging.getLogger(__name__)

#: Seconds that the bot takes at shutdown to delete the rows of answered interactions.
CLOSE_TIMEOUT = 3.0
#: Seconds that the database may take before an interaction is acknowledged. Discord allows three for all of it.
DATABASE_TIMEOUT = 1.0

T = TypeVar("T")

Interaction: TypeAlias = discord.Interaction[Any]
Payload: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Resumed:
    """How an interaction was acknowledged. `message_id`: of its answer, if known."""

    private: bool
    message_id: int | None


#: For the task that handles an interaction: what Discord sent, and how it was acknowledged before a restart, if it was.
_received: ContextVar[Payload | None] = ContextVar("received", default=None)
_resumed: ContextVar[Resumed | None] = ContextVar("resumed", default=None)


async def in_time(answer: Awaitable[T]) -> T:
    """Wait for the database, but only while the interaction can still be acknowledged.

    Raises StorageUnavailable after DATABASE_TIMEOUT.
    """
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT):
            return await answer
    except TimeoutError:
        raise StorageUnavailable(f"The database did not answer within {DATABASE_TIMEOUT:g} s.") from None


class Acknowledgements:
    def __init__(self, client: discord.Client, unanswered: Unanswered, claim: DrawingClaim) -> None:
        self._client = client
        self._unanswered = unanswered
        self._claim = claim
        self._open: set[int] = set()  # ids of interactions that have a row
        self._answered: deque[int] = deque()  # ids of those whose rows are still to be deleted
        self._forgetting: asyncio.Task[None] | None = None
        self._parsers: dict[str, Any] = client._connection.parsers
        self._parse = self._parsers["INTERACTION_CREATE"]
        self._completions = CompletionQueue(self._parse)
        self._first_answers = FirstAnswers(client)
        self._parsers["INTERACTION_CREATE"] = self._receive

    def begin(self, interaction: Interaction) -> None:
        """Note that the current task handles an interaction. When the task ends, the user has been answered."""
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda task: self._end(interaction, task))
        if _resumed.get() is not None:
            self._open.add(interaction.id)
            interaction.response._response_type = discord.InteractionResponseType.deferred_channel_message

    async def acknowledge(self, interaction: Interaction, *, private: bool) -> Resumed:
        """Store the request, then acknowledge it with a loading message. Returns how it was acknowledged.

        Raises StorageUnavailable if the database does not answer in time; then nothing is acknowledged.
        """
        claim, epoch = self._claim, self._claim.epoch
        guard_answer(interaction, lambda: claim.is_held and claim.epoch == epoch)
        made = _resumed.get()
        if made is None:
            await self._keep(interaction, private)
            answer = await interaction.response.defer(thinking=True, ephemeral=private)
            if answer is None:
                made = Resumed(private, None)
            else:
                made = Resumed(private or answer.is_ephemeral(), answer.message_id)
        if made.private:
            note_loading(interaction, Loading.PRIVATE)
        return made

    def accepted(self, interaction: Interaction) -> None:
        """Note that the interaction has become a job, whose transaction deleted the row."""
        self._open.discard(interaction.id)
        note_loading(interaction, Loading.TAKEN)

    def postpone(self, interaction: Interaction) -> None:
        """Keep the row: the user could not be answered, and the next start tries again."""
        self._open.discard(interaction.id)

    async def resume(self) -> None:
        """Continue the interactions that were acknowledged but not answered. Called once per start, when connected."""
        for request in await retry_storage(self._unanswered.all):
            if request.interaction_id in self._open:
                continue  # arrived since the start
            try:
                goes_on = await self._resume_request(request)
            except Exception:  # one failure must not stop the others
                logger.exception("interaction %d could not be continued", request.interaction_id)
                goes_on = False
            if not goes_on:
                await retry_storage(partial(self._unanswered.answered, request.interaction_id))

    async def _resume_request(self, request: UnansweredRequest) -> bool:
        """Returns False if it was never acknowledged or has been answered already."""
        found = await self._look_up(request)
        if found is None:
            return False
        logger.info("interaction %d continues after a restart", request.interaction_id)
        resumed = _resumed.set(found)
        try:
            self._receive({**request.payload, "token": request.interaction_token})
        finally:
            _resumed.reset(resumed)
        return True

    async def is_taken_over(self, interaction: Interaction) -> bool:
        """Whether another bot with this token has continued the interaction: its message no longer shows as loading."""
        if interaction.id not in self._open:
            return False
        try:
            answer = await interaction.original_response()
        except discord.HTTPException as error:
            return error.code == UNKNOWN_MESSAGE
        return not answer.flags.loading

    async def close(self) -> None:
        if self._forgetting is not None:
            await asyncio.wait([self._forgetting], timeout=CLOSE_TIMEOUT)
            await cancel([self._forgetting])

    def _receive(self, payload: Payload) -> None:
        """Pass an interaction to discord.py, whose tasks for it inherit the current context."""
        if payload.get("type") == discord.InteractionType.autocomplete.value:
            self._completions.add(payload)
            return
        received, answering = _received.set(payload), async_context.set(self._first_answers)
        try:
            self._parse(payload)
        finally:
            _received.reset(received)
            async_context.reset(answering)

    async def _keep(self, interaction: Interaction, private: bool) -> None:
        payload = _received.get()
        if payload is None:
            raise RuntimeError(f"Interaction {interaction.id} did not come through the gateway.")
        request = UnansweredRequest(
            interaction_id=interaction.id,
            interaction_token=interaction.token,
            user_id=interaction.user.id,
            payload={key: value for key, value in payload.items() if key != "token"},
            private=private,
        )
        try:
            is_new = await in_time(self._unanswered.add(request))
        except StorageUnavailable:
            self._forget(interaction.id)  # a slow write may still succeed
            raise
        if not is_new:
            raise DuplicateInteraction
        self._open.add(interaction.id)

    async def _look_up(self, request: UnansweredRequest) -> Resumed | None:
        """How an interaction was acknowledged; None if it was not, or if it has been answered."""
        payload: Any = {**request.payload, "token": request.interaction_token}
        interaction: Interaction = discord.Interaction(data=payload, state=self._client._connection)
        try:
            answer = await retry(interaction.original_response, is_temporary)
        except discord.HTTPException as error:
            if error.code in (UNKNOWN_MESSAGE, TOKEN_EXPIRED):  # acknowledged, and the answer is deleted or too old
                return Resumed(request.private, None)
            logger.info("interaction %d was never acknowledged (%s)", request.interaction_id, error)
            return None
        private = request.private or answer.flags.ephemeral
        return Resumed(private, answer.id) if answer.flags.loading else None

    def _end(self, interaction: Interaction, task: asyncio.Task[Any]) -> None:
        if interaction.id in self._open and not task.cancelled():
            self._forget(interaction.id)

    def _forget(self, interaction_id: int) -> None:
        """Delete the row as soon as the database answers, or the next start would take it for an unanswered request."""
        self._open.discard(interaction_id)
        self._answered.append(interaction_id)
        if self._forgetting is None or self._forgetting.done():
            self._forgetting = asyncio.create_task(self._forget_all(), name="answered")

    async def _forget_all(self) -> None:
        while self._answered:
            await retry_storage(partial(self._unanswered.answered, self._answered.popleft()))
