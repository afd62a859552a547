"""What a moderator can do about an image or a queued job: *Anima: moderate…*, and the buttons of reports."""

from __future__ import annotations

import re
from typing import Any, Self

import discord
from discord import ui

from bot.client import AnimaClient
from bot.components.base import AnimaInteraction, JobComponent, defer_update, is_of_another, is_own_message
from bot.components.deletion import delete_job
from bot.components.moderation.permission import job_of_share, may_moderate, may_moderate_server
from bot.generation.errors import InvalidForm
from bot.messages.buttons import MODERATE_TEMPLATE, moderation_button
from bot.messages.details import job_url
from bot.messages.layout import StaticLayout
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say
from storage.jobs import LIVE, Job

NOT_A_MODERATOR = N_("You need the **Manage Messages** permission in that channel for this.")
NOT_A_SERVERS_MODERATOR = N_(
    "To block or unblock people you need the **Manage Messages** permission in the whole server."
)
NOTHING_TO_MODERATE = N_("There is nothing to moderate in that message: it isn't one of my pictures or queued jobs.")
REMOVE_IT = N_("The original of this picture is private. Press **Remove…** to take it out of the gallery.")
NOT_YOURSELF = N_("You can't block yourself.")


class Moderate(JobComponent, template=MODERATE_TEMPLATE):
    """Deletes a job's message, blocks the person who asked for it, or both."""

    open_to_blocked = True

    def __init__(self, item: ui.Item[Any], job_id: int, action: str) -> None:
        super().__init__(item, job_id)
        self.action = action

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item, int(match[2]), match[1])

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)  # the panel is replaced, but not a message in the log channel
        job = await interaction.client.database.jobs.get(self.job_id)
        if job is None or job.private:
            await _refuse(interaction, say(NOTHING_TO_MODERATE))
        elif not await may_moderate(interaction, job):
            await _refuse(interaction, say(NOT_A_MODERATOR))
        elif await is_of_another(interaction, job):
            await _refuse(interaction, say(NOTHING_TO_MODERATE))
        elif self.action != "delete" and not await may_moderate_server(interaction):
            await _refuse(interaction, say(NOT_A_SERVERS_MODERATOR))
        else:
            await self._act(interaction, job)

    async def _act(self, interaction: AnimaInteraction, job: Job) -> None:
        said = []
        if self.action in ("block", "both"):
            said.append(await _block(interaction, job))
        if self.action == "unblock":
            said.append(await _unblock(interaction, job))
        if self.action in ("delete", "both"):
            said.append(await delete_job(interaction.client, job, interaction.user.id))
        await interaction.edit_original_response(view=await moderation_panel(interaction, job, "\n".join(said)))


async def _refuse(interaction: AnimaInteraction, sentence: str) -> None:
    """Beside the panel if it was used there, or else in the answer itself."""
    if is_own_message(interaction):
        await reply_privately(interaction, sentence)
    else:
        await interaction.edit_original_response(content=sentence)


async def moderation_panel(interaction: AnimaInteraction, job: Job, notice: str = "") -> StaticLayout:
    """A job's user, and buttons for what can be done about it."""
    values = {"person": f"<@{job.user_id}>", "url": job_url(interaction.client, job) or ""}
    about = (
        say("[A queued job]({url}) by {person}", **values)
        if job.state in LIVE
        else say("[A picture]({url}) by {person}", **values)
    )
    lines = [f"### {say('Moderate')}", about]
    block = await interaction.client.database.servers.block_of(job.user_id, job.guild_id)
    if block is not None:
        lines.append(say("{person} is blocked here.", person=f"<@{job.user_id}>"))
    if notice:
        lines.append(notice)
    actions = ("delete", "block", "both") if block is None else ("delete", "unblock")
    buttons = ui.ActionRow[Any](*(moderation_button(action, job.id) for action in actions))
    return StaticLayout(ui.TextDisplay("\n".join(lines)), buttons)


async def job_shown_in(client: AnimaClient, message: discord.Message) -> Job | None:
    """The job that a message of ours is about: its own, even if its images are in another one, or a gallery's post."""
    database, request = client.database, message.interaction_metadata
    job = await database.jobs.by_message(message.id)
    if job is None and request is not None:
        job = await database.jobs.by_interaction(request.id)
    if job is not None:
        return job
    share = await database.shares.in_message(message.id)
    return None if share is None else await job_of_share(client, share)


async def moderated_job(interaction: AnimaInteraction, message: discord.Message) -> Job | str:
    """The job of a message that the user may moderate, or a sentence that says why not."""
    job = await job_shown_in(interaction.client, message)
    if job is not None and job.private and job.message_id != message.id:
        return say(REMOVE_IT)
    if job is None or job.private or job.guild_id is None or message.author != interaction.client.user:
        return say(NOTHING_TO_MODERATE)
    return job if await may_moderate(interaction, job) else say(NOT_A_MODERATOR)


async def block_in_server(interaction: AnimaInteraction, guild_id: int, user_id: int, reason: str = "") -> str:
    """Block somebody, and return what to say. Raises InvalidForm if that is the user themselves."""
    if user_id == interaction.user.id:
        raise InvalidForm(say(NOT_YOURSELF))
    person = f"<@{user_id}>"
    if await interaction.client.moderation.block(guild_id, user_id, by=interaction.user.id, reason=reason):
        return say("{person} can no longer draw here.", person=person)
    return say("{person} is already blocked.", person=person)


async def _block(interaction: AnimaInteraction, job: Job) -> str:
    assert job.guild_id is not None
    try:
        return await block_in_server(interaction, job.guild_id, job.user_id)
    except InvalidForm as error:
        return str(error)


async def _unblock(interaction: AnimaInteraction, job: Job) -> str:
    assert job.guild_id is not None
    if await interaction.client.moderation.unblock(job.guild_id, job.user_id, by=interaction.user.id):
        return say("{person} can draw again.", person=f"<@{job.user_id}>")
    return say("Only the bot's operators can unblock {person}.", person=f"<@{job.user_id}>")


HANDLERS = (Moderate,)
