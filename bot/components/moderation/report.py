"""*Anima: report*: a member tells a server's moderators about an image, in the server's log channel."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any, Self
from weakref import WeakValueDictionary

import discord
from discord import ui

from bot.components.base import AnimaInteraction, Modal, Submitted
from bot.components.edit_again import refuse_form
from bot.generation.errors import InvalidForm
from bot.jobs.delivery.outbox import retry_storage
from bot.messages import log_entries
from bot.messages.details import job_url
from bot.messages.replies import reply_privately
from bot.rules.server_settings import load_server_settings
from bot.text.translation import N_, say
from storage.jobs import Job
from storage.reports import ReportOutcome

MAX_REASON_LENGTH = 400
#: Reports that one person can make in REPORT_PERIOD.
MAX_REPORTS = 5
REPORT_PERIOD = timedelta(hours=1)

NOTHING_TO_REPORT = N_("There is nothing to report in that message: it isn't one of my pictures or queued jobs.")
YOUR_OWN = N_("That is your own picture. You can remove it with **Delete**.")
NO_LOG_CHANNEL = N_(
    "This server has no log channel, so I can't pass reports on. Please tell the server's moderators yourself."
)
REPORT_NOT_POSTED = N_(
    "I couldn't post your report in this server's log channel. Please tell the server's moderators yourself."
)
PASSED_ON = N_("Thank you. The server's moderators can see your report now.")
OUTCOMES = {
    ReportOutcome.ALREADY_REPORTED: N_("You have already reported that picture."),
    ReportOutcome.TOO_MANY: N_("You have made several reports in the last hour. Please tell a moderator directly."),
}
#: A person's reports are made one after another.
_turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()


class ReportModal(Modal):
    """Asks what is wrong with an image."""

    name = "anima:report"
    open_to_blocked = True

    @classmethod
    def of(cls, job: Job) -> Self:
        reason: ui.TextInput[Any] = ui.TextInput(
            custom_id=f"reason:{job.id}",
            style=discord.TextStyle.paragraph,
            required=False,
            max_length=MAX_REASON_LENGTH,
        )
        about = say("Optional. The server's moderators can see it and your name.")
        return cls(say("Report a picture"), [ui.Label(text=say("What is wrong?"), description=about, component=reason)])

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        await interaction.client.acknowledgements.acknowledge(interaction, private=True)
        _, reason = _read(values)
        try:
            async with _turns.setdefault(interaction.user.id, asyncio.Lock()):
                outcome = await _report(interaction, await _reported_job(interaction, values), reason)
        except InvalidForm as error:
            await refuse_form(interaction, self, values, str(error))
        else:
            await reply_privately(interaction, outcome)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> ReportModal | str:
        return await report_form(interaction, await _reported_job(interaction, fields))


async def report_form(interaction: AnimaInteraction, job: Job | None) -> ReportModal | str:
    """The form to report a job with, or a sentence that says why the user can't report it."""
    if job is None or not await _is_shown_here(interaction, job):
        return say(NOTHING_TO_REPORT)
    if job.user_id == interaction.user.id:
        return say(YOUR_OWN)
    return ReportModal.of(job) if await _has_log_channel(interaction, job) else say(NO_LOG_CHANNEL)


async def _is_shown_here(interaction: AnimaInteraction, job: Job) -> bool:
    """Whether other members see it: in its message, or because it is in the gallery."""
    if job.guild_id is None or job.guild_id != interaction.guild_id:
        return False
    return not job.private or await _post_url(interaction, job) is not None


async def _post_url(interaction: AnimaInteraction, job: Job) -> str | None:
    """The address of one of its images' posts in the gallery."""
    for share in await interaction.client.database.shares.of_job(job.id):
        if share.message_id is not None:
            channel = interaction.client.get_partial_messageable(share.channel_id, guild_id=share.guild_id)
            return channel.get_partial_message(share.message_id).jump_url
    return None


async def _has_log_channel(interaction: AnimaInteraction, job: Job) -> bool:
    settings = await load_server_settings(interaction.client.database.servers, job.guild_id)
    return settings.log_channel_id is not None


async def _reported_job(interaction: AnimaInteraction, values: Submitted) -> Job | None:
    job_id, _ = _read(values)
    return None if job_id is None else await interaction.client.database.jobs.get(job_id)


async def _report(interaction: AnimaInteraction, job: Job | None, reason: str) -> str:
    """Posts a report; returns the result in a sentence. Raises InvalidForm if it may be possible later."""
    if job is None or not await _is_shown_here(interaction, job):
        return say(NOTHING_TO_REPORT)
    if job.user_id == interaction.user.id:
        return say(YOUR_OWN)
    if not await _has_log_channel(interaction, job):
        raise InvalidForm(say(NO_LOG_CHANNEL))
    reports, reporter_id = interaction.client.database.reports, interaction.user.id
    refused = await reports.refusal(job.id, reporter_id, limit=MAX_REPORTS, period=REPORT_PERIOD)
    if refused is ReportOutcome.TOO_MANY:
        raise InvalidForm(say(OUTCOMES[refused]))
    if refused is not None:
        return say(OUTCOMES[refused])
    url = job_url(interaction.client, job) or await _post_url(interaction, job)
    entry = log_entries.reported(job, url or "", by=reporter_id, reason=reason, request_id=interaction.id)
    if not await interaction.client.log_channels.post(job.guild_id, entry):
        raise InvalidForm(say(REPORT_NOT_POSTED))
    # Only now: what was never posted must not count as reported, also after a crash.
    await retry_storage(lambda: reports.add(job.id, reporter_id, limit=MAX_REPORTS, period=REPORT_PERIOD))
    return say(PASSED_ON)


def _read(values: Submitted) -> tuple[int | None, str]:
    """The job that a form was opened for, and what was typed."""
    for custom_id, value in values.items():
        named = re.fullmatch(r"reason:([0-9]{1,18})", custom_id)
        if named is not None and isinstance(value, str):
            return int(named[1]), value[:MAX_REASON_LENGTH].strip()
    return None, ""
