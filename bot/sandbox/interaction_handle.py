"""An interaction that a user started, with methods that wait for the bot's answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bot.sandbox.model.interactions import (
    CHOICES,
    DEFERRED_MESSAGE,
    DEFERRED_UPDATE,
    MODAL,
    Callback,
    DiscordEvent,
    DiscordEvents,
    Interaction,
)
from bot.sandbox.model.messages import Message, Messages
from bot.sandbox.user_client import Choice, ClientModal

#: Seconds of real time that a test waits before it fails; long, because the machine may be busy.
TIMEOUT = 60.0


class InteractionFailed(Exception):
    """The bot did not answer in three seconds; the user reads "The application did not respond"."""


class UnexpectedAnswer(Exception):
    """The bot answered an interaction with something other than expected."""


class Observable(Protocol):
    """What an interaction handle needs from the stand-in to wait for the bot's answers."""

    events: DiscordEvents
    messages: Messages

    async def wait_for_event(
        self, matches: Callable[[DiscordEvent], bool], timeout: float, what: str, after: int
    ) -> DiscordEvent: ...

    def what_happened(self) -> str: ...


@dataclass(frozen=True, eq=False)
class InteractionHandle:
    """A user's action and the bot's answers to it. Every wait raises a TimeoutError that says what happened."""

    interaction: Interaction
    _discord: Observable

    @property
    def id(self) -> int:
        return self.interaction.id

    async def acknowledged(self, timeout: float = TIMEOUT) -> Callback:
        """The first answer, with its `latency` in seconds; raises InteractionFailed if it did not come in time."""
        try:
            async with asyncio.timeout(timeout):
                await self.interaction.concluded.wait()
        except TimeoutError:
            situation = self._discord.what_happened()
            raise TimeoutError(f"Waited {timeout:g} s for an answer to {self._what()}. {situation}") from None
        if self.interaction.callback is None:
            situation = self._discord.what_happened()
            raise InteractionFailed(f"The application did not respond to {self._what()}. {situation}")
        return self.interaction.callback

    async def failed(self, timeout: float = TIMEOUT) -> bool:
        """Whether the user reads "The application did not respond"."""
        async with asyncio.timeout(timeout):
            await self.interaction.concluded.wait()
        return self.interaction.callback is None

    async def response(self, timeout: float = TIMEOUT) -> Message:
        """The current answer that users see. After a deferral, waits until it is filled in or the message is edited."""
        callback = await self.acknowledged(timeout)
        id = self.interaction.original_id
        if id is None:
            raise UnexpectedAnswer(f"{self._what()} was answered with a callback of type {callback.type}: no message.")
        if callback.type in (DEFERRED_MESSAGE, DEFERRED_UPDATE):
            acknowledged = next(
                event.number
                for event in self._discord.events.history
                if event.kind == "interaction_acknowledged" and event.interaction is self.interaction
            )
            await self._discord.wait_for_event(
                lambda event: (
                    event.kind == "message_update"
                    and event.message is not None
                    and event.message.id == id
                    and not event.message.is_loading
                ),
                timeout,
                f"the answer to {self._what()}",
                after=acknowledged,
            )
        message = self._discord.messages.get(id)
        if message is None:
            raise UnexpectedAnswer(f"The answer to {self._what()} was deleted.")
        return message

    async def followup(self, index: int = 0, timeout: float = TIMEOUT) -> Message:
        """The follow-up with this index (from 0), as it is now."""
        if len(self.interaction.followup_ids) <= index:
            await self._discord.wait_for_event(
                lambda _: len(self.interaction.followup_ids) > index,
                timeout,
                f"follow-up {index} to {self._what()}",
                after=len(self._discord.events.history),
            )
        message = self._discord.messages.get(self.interaction.followup_ids[index])
        if message is None:
            raise UnexpectedAnswer(f"Follow-up {index} to {self._what()} was deleted.")
        return message

    async def modal(self, timeout: float = TIMEOUT) -> ClientModal:
        """The form that the bot opened."""
        callback = await self.acknowledged(timeout)
        if callback.type != MODAL:
            raise UnexpectedAnswer(f"{self._what()} was answered with a callback of type {callback.type}: no form.")
        return ClientModal.of(self.interaction)

    async def choices(self, timeout: float = TIMEOUT) -> list[Choice]:
        """The choices of an autocomplete."""
        callback = await self.acknowledged(timeout)
        if callback.type != CHOICES:
            raise UnexpectedAnswer(f"{self._what()} was answered with a callback of type {callback.type}: no choices.")
        return [Choice(choice["name"], choice["value"]) for choice in callback.data.get("choices") or []]

    def _what(self) -> str:
        return f"{self.interaction.user.username}'s {self.interaction.name!r}"
