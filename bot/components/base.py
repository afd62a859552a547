"""What every answer to an interaction has in common: the person's language, and a sentence where something goes wrong.

discord.py swallows what a component raises, and the person sees "This interaction failed"; so all commands belong to
`AnimaCommandTree`, all buttons and selects are `Component`s and all modals are `Modal`s, which answer in any case.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import aiohttp
import discord
from discord import app_commands, ui

from bot.ops.logs import about
from bot.ops.shutdown import DuplicateInteraction, ShuttingDown
from bot.text.languages import speak_to
from bot.text.translation import say
from storage.backend.transactions import StorageUnavailable

if TYPE_CHECKING:
    from bot.client import AnimaClient

logger = logging.getLogger(__name__)

AnimaInteraction: TypeAlias = "discord.Interaction[AnimaClient]"

ALREADY_ACKNOWLEDGED = 40060

WENT_WRONG = "Something went wrong, and not by your fault. Try again; if it stays so, tell whoever runs this bot: {id}"
MEMORY_OUT_OF_REACH = "I cannot get at my memory right now, so nothing was begun or changed. Try again in a minute."
BACK_IN_A_MOMENT = "I am being restarted and am back in a moment, so nothing was begun or changed. Try again then."


class AnimaCommandTree(app_commands.CommandTree["AnimaClient"]):
    async def interaction_check(self, interaction: AnimaInteraction, /) -> bool:
        speak_to(interaction)
        if interaction.type is discord.InteractionType.autocomplete:
            return True
        try:
            interaction.client.answers.begin(interaction.id)
        except (ShuttingDown, DuplicateInteraction) as reason:
            await report_error(interaction, "a command", reason)
            return False
        return True

    async def on_error(self, interaction: AnimaInteraction, error: app_commands.AppCommandError, /) -> None:
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        if interaction.type is discord.InteractionType.autocomplete:
            logger.warning("completing an option went wrong", exc_info=cause)
            return
        name = interaction.command.qualified_name if interaction.command else "a command"
        await report_error(interaction, name, cause)


class Component(ui.DynamicItem[Any], template=r"(?!)"):
    """A button or select that works for ever: its custom_id and the database hold all of its state.

    Subclasses give their `template`, and take its groups, which are numbers unless they say otherwise, in their order.
    """

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(*map(int, match.groups()))

    async def callback(self, interaction: AnimaInteraction) -> None:  # type: ignore[override]
        speak_to(interaction)
        job_id = getattr(self, "job_id", None)  # most are about one
        with about(*([] if job_id is None else [job_id])):
            try:
                interaction.client.answers.begin(interaction.id)
                await self.on_use(interaction)
            except Exception as error:
                await report_error(interaction, self.custom_id, error)

    async def on_use(self, interaction: AnimaInteraction) -> None:
        """Answers a press or a choice."""
        raise NotImplementedError


class Modal(ui.Modal):
    """A modal without a memory: all of one `name` are the same to discord.py, whoever has it open.

    What it was opened for stands in the custom_ids of its fields, and what was typed is read from the interaction. So
    it never stops listening, and an empty one that is given to `Client.add_view` at the start takes the forms that were
    open during a restart.
    """

    name: str

    def __init__(self, title: str = "-", fields: Sequence[ui.Item[Any]] = ()) -> None:
        super().__init__(title=title, custom_id=self.name, timeout=None)
        for field in fields:
            self.add_item(field)

    def stop(self) -> None:
        pass

    async def on_submit(self, interaction: AnimaInteraction) -> None:  # type: ignore[override]
        speak_to(interaction)
        interaction.client.answers.begin(interaction.id)
        await self.on_submit_values(interaction, _submitted(interaction))

    async def on_submit_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        """Answers what was typed and chosen, by the fields' custom_ids."""
        raise NotImplementedError

    async def on_error(self, interaction: AnimaInteraction, error: Exception, /) -> None:  # type: ignore[override]
        await report_error(interaction, self.name, error)


Submitted: TypeAlias = "dict[str, str | list[str]]"


def _submitted(interaction: AnimaInteraction) -> Submitted:
    data: Any = interaction.data
    fields = [component.get("component", component) for component in data["components"]]
    return {
        field["custom_id"]: field["values"] if "values" in field else field.get("value", "")
        for field in fields
        if "custom_id" in field
    }


async def report_error(interaction: AnimaInteraction, what: str, error: BaseException) -> None:
    """Log an error and tell the person, as far as they can still be reached."""
    if isinstance(error, DuplicateInteraction):
        logger.info("interaction %d was told twice", interaction.id)
        return
    if isinstance(error, ShuttingDown):
        sentence = say(BACK_IN_A_MOMENT)
    elif isinstance(error, StorageUnavailable):
        logger.error("%s, interaction %d: %s", what, interaction.id, error)
        sentence = say(MEMORY_OUT_OF_REACH)
    else:
        logger.error("%s, interaction %d, went wrong", what, interaction.id, exc_info=error)
        sentence = say(WENT_WRONG, id=f"`{interaction.id}`")
    try:
        await reply_privately(interaction, sentence)
    except (discord.HTTPException, aiohttp.ClientError, OSError) as unreachable:
        logger.info("interaction %d: nobody could be told: %s", interaction.id, unreachable)


async def reply_privately(interaction: AnimaInteraction, said: str | StaticLayout) -> None:
    """Answer the person alone. An answer that everybody would see and that has nothing in it yet is taken back."""
    answer = _as_answer(said)
    if not interaction.response.is_done():
        try:
            await interaction.response.send_message(**answer, ephemeral=True)
            return
        except discord.HTTPException as error:
            if error.code != ALREADY_ACKNOWLEDGED:
                raise
        # Discord took the first answer, but we never learned of it.
    if interaction.response.type is discord.InteractionResponseType.deferred_channel_message:
        with suppress(discord.NotFound):  # somebody was quicker
            await interaction.delete_original_response()
    await interaction.followup.send(**answer, ephemeral=True)


async def send_followup(interaction: AnimaInteraction, said: str | StaticLayout) -> None:
    """Tell the person alone something besides the answer, which must have something in it by now."""
    await interaction.followup.send(**_as_answer(said), ephemeral=True)


def _as_answer(said: str | StaticLayout) -> dict[str, Any]:
    return {"content": said} if isinstance(said, str) else {"view": said}


class StaticLayout(ui.LayoutView):
    """What a message shows. It never times out: what its buttons need is in their custom_ids."""

    def __init__(self, *items: ui.Item[Any]) -> None:
        super().__init__(timeout=None)
        for item in items:
            self.add_item(item)
