"""*Anima: report*: a member tells a server's moderators about an image, in the server's log channel."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Self

import discord
from discord import ui

from bot.components.base import AnimaInteraction, Modal, Submitted
from bot.messages import log_entries
from bot.messages.details import job_url
from bot.rules.server_settings import load_server_settings
from bot.text.translation import N_, say
from storage.jobs import Job
from storage.reports import ReportOutcome

MAX_REASON_LENGTH = 400
#: Reports that one person can make in REPORT_PERIOD.
MOST_REPORTS = 5
REPORT_PERIOD = timedelta(hours=1)

NOTHING_TO_REPORT = N_("There is nothing to report in that message: it is not a picture or a queued job of mine.")
YOUR_OWN = N_("That is your own picture. You can remove it with **Delete**.")
NO_LOG_CHANNEL = N_(
    "This server has no log channel, so I can't pass reports on. Please tell the server's moderators yourself."
)
NOT_PASSED_ON = N_(
    "I couldn't post your report in this server's log channel. Please tell the server's moderators yourself."
)
PASSED_ON = N_("Thank you. The server's moderators can see your report now.")
OUTCOMES = {
    ReportOutcome.ALREADY_REPORTED: N_("You have already reported that picture."),
    ReportOutcome.TOO_MANY: N_("You have made several reports in the last hour. Please tell a moderator directly."),
}


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
        about = say("Optional. The server's moderators see it, and who reported.")
        return cls(say("Report a picture"), [ui.Label(text=say("What is wrong?"), description=about, component=reason)])

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        job_id, reason = _read(values)
        job = None if job_id is None else await interaction.client.database.jobs.get(job_id)
        await interaction.edit_original_response(content=await _report(interaction, job, reason))


async def why_not_reported(interaction: AnimaInteraction, job: Job | None) -> str | None:
    """Why the user can't report a job; None if they can."""
    if job is None or job.private or job.guild_id is None or job.guild_id != interaction.guild_id:
        return say(NOTHING_TO_REPORT)
    if job.user_id == interaction.user.id:
        return say(YOUR_OWN)
    settings = await load_server_settings(interaction.client.database.servers, job.guild_id)
    return say(NO_LOG_CHANNEL) if settings.log_channel_id is None else None


async def _report(interaction: AnimaInteraction, job: Job | None, reason: str) -> str:
    """Posts a report; returns the result in a sentence."""
    refusal = await why_not_reported(interaction, job)
    if refusal is not None:
        return refusal
    assert job is not None
    reports, reporter_id = interaction.client.database.reports, interaction.user.id
    outcome = await reports.add(job.id, reporter_id, most=MOST_REPORTS, period=REPORT_PERIOD)
    if outcome is not ReportOutcome.WRITTEN:
        return say(OUTCOMES[outcome])
    entry = log_entries.reported(job, job_url(interaction.client, job) or "", by=reporter_id, reason=reason)
    if await interaction.client.log_channels.post(job.guild_id, entry):
        return say(PASSED_ON)
    await reports.take_back(job.id, reporter_id)
    return say(NOT_PASSED_ON)


def _read(values: Submitted) -> tuple[int | None, str]:
    """The job that a form was opened for, and what was typed."""
    for custom_id, value in values.items():
        named = re.fullmatch(r"reason:([0-9]{1,18})", custom_id)
        if named is not None and isinstance(value, str):
            return int(named[1]), value[:MAX_REASON_LENGTH].strip()
    return None, ""
