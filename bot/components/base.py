"""What all handlers of buttons and forms have in common: the user's language, the rules, an answer on errors.

discord.py swallows what a component raises, and the person sees "This interaction failed"; so all buttons and selects
are `Component`s and all modals are `Modal`s, which answer in any case. `bot.commands.tree` does the same for commands.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Self, TypeAlias

import aiohttp
import discord
from discord import ui

from bot.client import AnimaClient
from bot.generation.spec import JobImage, JobSpec
from bot.jobs.acknowledgement.acknowledgements import in_time
from bot.jobs.delivery.refusals import is_out_of_reach
from bot.jobs.engines import ModelUnavailable
from bot.messages.fit import fit_modal
from bot.messages.job import NOT_IN_THIS_SERVER
from bot.messages.replies import (
    ALREADY_ACKNOWLEDGED,
    guard_answer,
    is_ours,
    note_lost_answer,
    refused_form,
    reply_privately,
)
from bot.ops.logs import job_log_context
from bot.ops.shutdown import DuplicateInteraction, ShuttingDown
from bot.text.languages import speak_to
from bot.text.translation import N_, say
from storage.backend.drawing_claim import ClaimLost
from storage.backend.errors import StorageUnavailable
from storage.jobs import Job
from storage.preferences import Draft

logger = logging.getLogger(__name__)

AnimaInteraction: TypeAlias = discord.Interaction[AnimaClient]

#: Seconds for another bot with the same token to answer, if that one draws now. Discord waits for three.
OTHER_BOT_TIMEOUT = 1.0
#: By how much the times in two of Discord's ids may differ because of its own clocks.
SNOWFLAKE_SKEW = timedelta(seconds=5)
#: The template of a class that others derive from: it matches nothing.
ABSTRACT = r"(?!)"

INTERNAL_ERROR = N_(
    "Something went wrong on my side. Try again; if it keeps happening, report this ID to the bot's owner: {id}"
)
DATABASE_UNAVAILABLE = N_("My database isn't available right now, so nothing was changed. Try again in a minute.")
NO_MODEL = N_("The model can't be loaded right now. Nothing was changed, so please try again later.")
CANNOT_DRAW_NOW = N_(
    "I can't draw right now: my database isn't responding, or another copy of me has taken over. Nothing was changed, "
    "so please try again in a minute."
)
BOT_RESTARTING = N_("I'm restarting and will be back in a moment. Nothing was changed, so please try again then.")


class Component(ui.DynamicItem[Any], template=ABSTRACT):
    """Handles presses of a button or choices in a select, forever: its custom_id and the database hold all its state.

    `item` is the button or select as the message has it. Subclasses give the `template` of their custom_ids and take
    its groups, which are numbers unless they override `from_custom_id`, in their order.
    """

    #: Whether people who are blocked may use it too. It must not draw anything then.
    open_to_blocked: ClassVar[bool] = False
    #: The job it is about, if it is about one.
    job_id: int | None = None

    @property
    def log_name(self) -> str:
        """What the log calls it: its custom_id, without what people typed."""
        return self.custom_id

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item, *map(int, match.groups()))

    async def callback(self, interaction: AnimaInteraction) -> None:  # type: ignore[override]
        speak_to(interaction)
        with job_log_context(*([] if self.job_id is None else [self.job_id])):
            try:
                interaction.client.begin(interaction)
                if not await refuse(interaction, open_to_blocked=self.open_to_blocked):
                    await self.on_use(interaction)
            except Exception as error:
                await report_error(interaction, self.log_name, error)

    async def on_use(self, interaction: AnimaInteraction) -> None:
        """Answers a press or a choice."""
        raise NotImplementedError


class JobComponent(Component, template=ABSTRACT):
    """A component for a job, or for one of its images if the custom_id has an index."""

    job_id: int

    def __init__(self, item: ui.Item[Any], job_id: int, index: int = 0) -> None:
        super().__init__(item)
        self.job_id = job_id
        self.index = index


class Modal(ui.Modal):
    """A modal without state: all of one `name` are the same to discord.py, whoever has it open.

    What it was opened for is in the custom_ids of its fields, and what was typed is read from the interaction. So
    it never stops listening, and an empty one that is given to `Client.add_view` at the start takes the modals that
    were open during a restart.
    """

    name: str
    #: Whether people who are blocked may send it too. It must not draw anything then.
    open_to_blocked: ClassVar[bool] = False

    def __init__(self, title: str = "-", fields: Sequence[ui.Item[Any]] = ()) -> None:
        super().__init__(title=title, custom_id=self.name, timeout=None)
        for field in fields:
            self.add_item(field)

    def stop(self) -> None:
        pass

    def to_dict(self) -> dict[str, Any]:
        """The JSON for Discord, cut to its limits."""
        return fit_modal(super().to_dict())

    async def on_submit(self, interaction: AnimaInteraction) -> None:  # type: ignore[override]
        speak_to(interaction)
        interaction.client.begin(interaction)
        if not await refuse(interaction, open_to_blocked=self.open_to_blocked):
            await self.on_values(interaction, _submitted(interaction))

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        """Handles what was typed and chosen, by the fields' custom_ids."""
        raise NotImplementedError

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Modal | str:
        """The form as it would be opened now, for the target named in the `fields` of an earlier submission.

        A sentence if it cannot be opened any more. Answers nothing, and is given a second.
        """
        raise NotImplementedError

    async def on_error(self, interaction: AnimaInteraction, error: Exception, /) -> None:  # type: ignore[override]
        can_be_reopened = type(self).reopened is not Modal.reopened
        draft = Draft(self.name, _submitted(interaction)) if can_be_reopened else None
        await report_error(interaction, self.name, error, draft)


Submitted: TypeAlias = "dict[str, str | list[str]]"


async def open_form(interaction: AnimaInteraction, form: Awaitable[Modal | str]) -> None:
    """Open a form, or say why not.

    Discord takes a form only as the first response, so what it shows is read before, and only for as long as there is
    time. Raises StorageUnavailable.
    """
    made = await in_time(form)
    if isinstance(made, Modal):
        await interaction.response.send_modal(made)
    else:
        await reply_privately(interaction, made)


def is_own_message(interaction: AnimaInteraction) -> bool:
    """Whether a press or form comes from a message that only the user sees. A forged custom_id can name any message."""
    return interaction.message is not None and interaction.message.flags.ephemeral


async def defer_update(interaction: AnimaInteraction) -> None:
    """Acknowledge a press or form whose answer replaces the message it comes from.

    A message that others see is never replaced; the answer is then a new message for the user alone.
    """
    if is_own_message(interaction):
        await interaction.response.defer()
    else:
        await defer_privately(interaction)


async def defer_privately(interaction: AnimaInteraction) -> None:
    """Acknowledge an interaction with a loading message that only the user sees."""
    await interaction.response.defer(ephemeral=True, thinking=True)


async def save_draft(interaction: AnimaInteraction, form: str, fields: Mapping[str, Any]) -> int:
    """Store what was typed into a form, for *Edit again*. Returns the draft's id."""
    return await interaction.client.database.preferences.save_draft(interaction.user.id, form, fields)


def _submitted(interaction: AnimaInteraction) -> Submitted:
    data: Any = interaction.data
    fields = [component.get("component", component) for component in data["components"]]
    return {
        field["custom_id"]: field["values"] if "values" in field else field.get("value", "")
        for field in fields
        if "custom_id" in field
    }


async def refuse(interaction: AnimaInteraction, *, open_to_blocked: bool) -> bool:
    """Whether the user or the server may not use this; the user was then told why."""
    client = interaction.client
    if not client.answers(interaction.user.id, interaction.guild_id):
        await reply_privately(interaction, say(NOT_IN_THIS_SERVER))
        return True
    return not open_to_blocked and await refuse_blocked(interaction)


async def refuse_blocked(interaction: AnimaInteraction) -> bool:
    """Whether the user is blocked there; if so, they have been told."""
    refusal = interaction.client.submitter.refuse_blocked(interaction)
    if refusal is None:
        return False
    await reply_privately(interaction, refusal.sentence)
    return True


async def load_image(
    interaction: AnimaInteraction, job_id: int, index: int = 0, *, owner_only: bool = False
) -> JobImage | None:
    """One of a job's images, if the job is there, its settings are kept, and the person may see it.

    A custom_id proves nothing, so everything that names an image asks here. owner_only: only for its owner.
    """
    job = await interaction.client.database.jobs.get(job_id)
    if job is None or await is_of_another(interaction, job):
        return None
    image = image_of(interaction, job, index, owner_only=owner_only)
    return image if image is not None or owner_only else await _shared_image(interaction, job, index)


async def is_of_another(interaction: AnimaInteraction, job: Job) -> bool:
    """Whether the message of a press or form is about a job that another database has by the number in its custom_id.

    It is older than that job here, which both ids tell by Discord's own time; or it answers a request of which this
    database knows nothing. That is so for messages that everybody sees: each answers the request of its own job.
    """
    message = interaction.message
    if message is None:
        return False
    made, asked = (discord.utils.snowflake_time(id) for id in (message.id, job.interaction_id))
    if made + SNOWFLAKE_SKEW < asked:
        return True
    request = message.interaction_metadata
    if request is None or message.flags.ephemeral or request.id == job.interaction_id:
        return False
    return await interaction.client.database.jobs.by_interaction(request.id) is None


def image_of(interaction: AnimaInteraction, job: Job, index: int = 0, *, owner_only: bool = False) -> JobImage | None:
    """Like `load_image`, for a loaded job; does not check the gallery or `is_of_another`."""
    is_owner = job.user_id == interaction.user.id
    if not job.parameters or (not is_owner and (owner_only or not _is_shown_to(interaction, job))):
        return None
    spec = JobSpec.of(job)
    return JobImage(job, spec, index) if 0 <= index < len(spec.recipes) else None


async def _shared_image(interaction: AnimaInteraction, job: Job, index: int) -> JobImage | None:
    """An image that others see there because it is in the gallery."""
    shares, channel_id = interaction.client.database.shares, interaction.channel_id
    if not job.parameters or channel_id is None or not await shares.is_shown(job.id, index, channel_id):
        return None
    spec = JobSpec.of(job)
    return JobImage(job, spec, index) if 0 <= index < len(spec.recipes) else None


def _is_shown_to(interaction: AnimaInteraction, job: Job) -> bool:
    """Whether others see the job's message there: in its channel, or in a thread started from it."""
    if job.private:
        return False
    channel = interaction.channel
    parent_id = channel.parent_id if isinstance(channel, discord.Thread) else None
    return job.channel_id in (interaction.channel_id, parent_id)


async def report_error(interaction: AnimaInteraction, what: str, error: Exception, draft: Draft | None = None) -> None:
    """Log an error and tell the user, if they can still be reached.

    draft: what they typed into a form, which they are then offered to reopen.
    """
    if isinstance(error, DuplicateInteraction):
        logger.info("interaction %d arrived twice", interaction.id)
        return
    if _was_answered_elsewhere(interaction, error):
        _log_other_process(interaction)
        return
    if isinstance(error, aiohttp.ClientError | OSError):
        note_lost_answer(interaction)
    if isinstance(error, ShuttingDown):
        sentence = say(BOT_RESTARTING)
    elif isinstance(error, ClaimLost):
        sentence = say(CANNOT_DRAW_NOW)
    elif isinstance(error, ModelUnavailable):
        sentence = say(NO_MODEL)
    elif isinstance(error, StorageUnavailable):
        logger.error("%s, interaction %d: %s", what, interaction.id, error)
        sentence = say(DATABASE_UNAVAILABLE)
    else:
        logger.error("%s, interaction %d, went wrong", what, interaction.id, exc_info=error)
        sentence = say(INTERNAL_ERROR, id=f"`{interaction.id}`")
    if isinstance(error, ClaimLost) or not is_ours(interaction):
        await asyncio.sleep(OTHER_BOT_TIMEOUT)
        if await _is_taken_over(interaction):
            interaction.client.acknowledgements.postpone(interaction)
            return
        guard_answer(interaction, None)
    try:
        draft_id = None if draft is None else await _try_to_save(interaction, draft)
        await reply_privately(interaction, sentence if draft_id is None else refused_form(sentence, draft_id))
    except (discord.HTTPException, aiohttp.ClientError, OSError) as unreachable:
        if _was_answered_elsewhere(interaction, unreachable):
            _log_other_process(interaction)
            return
        if not is_out_of_reach(error):  # after a refusal, for one, that can no longer be told
            interaction.client.acknowledgements.postpone(interaction)
        logger.info("interaction %d: the error could not be reported: %s", interaction.id, unreachable)


async def _try_to_save(interaction: AnimaInteraction, draft: Draft) -> int | None:
    try:
        return await in_time(save_draft(interaction, draft.form, draft.fields))
    except StorageUnavailable:
        return None


async def _is_taken_over(interaction: AnimaInteraction) -> bool:
    """Whether the bot that draws now has answered: what is said here would take the place of its answer."""
    try:
        return await interaction.client.acknowledgements.is_taken_over(interaction)
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        logger.info("interaction %d: its answer could not be checked: %s", interaction.id, error)
        return False


def _log_other_process(interaction: AnimaInteraction) -> None:
    logger.warning("interaction %d was answered by another process that uses this bot's token", interaction.id)


def _was_answered_elsewhere(interaction: AnimaInteraction, error: Exception) -> bool:
    """A follow-up would replace that answer, for everybody to see."""
    is_taken = isinstance(error, discord.HTTPException) and error.code == ALREADY_ACKNOWLEDGED
    return is_taken and not interaction.response.is_done()
