"""Taking a job back, in whatever state it is before its picture is posted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import ui

from bot.components.base import AnimaInteraction, Component, StaticLayout, reply_privately
from bot.ops.logs import about_its_job
from bot.text.languages import speaking
from bot.text.markdown import PROMPT_SHOWN, blockquote
from bot.text.translation import say
from storage.jobs import Job

if TYPE_CHECKING:
    from bot.client import AnimaClient

CANCELLED = "That one is cancelled. You were not charged for it."
ENDED_ALREADY = "That one had ended already."
NOT_YOURS = "That one is not yours to cancel."


class CancelJob(Component, template=r"anima:cancel:([0-9]{1,18})"):
    """Under a job that is not finished: takes it back."""

    def __init__(self, job_id: int) -> None:
        button: ui.Button[Any] = ui.Button(
            label=say("Cancel"), style=discord.ButtonStyle.secondary, custom_id=f"anima:cancel:{job_id}"
        )
        super().__init__(button)
        self.job_id = job_id

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        outcome = await cancel_own(interaction, await interaction.client.database.jobs.get(self.job_id))
        if outcome != say(CANCELLED):  # which the message says by itself
            await reply_privately(interaction, outcome)


async def cancel_own(interaction: AnimaInteraction, job: Job | None) -> str:
    """Cancel a job for the person who asked for it; returns what has come of it, in a sentence."""
    if job is None or job.user_id != interaction.user.id:
        return say(NOT_YOURS)
    cancelled = await cancel(interaction.client, job, interaction.user.id)
    return say(CANCELLED) if cancelled else say(ENDED_ALREADY)


@about_its_job
async def cancel(client: AnimaClient, job: Job, by: int) -> bool:
    """Cancel a job at any time before it is delivered, with a refund. False: it had ended already."""
    if not await client.database.jobs.cancel(job.id, by):
        return False
    await withdraw(client, job)
    await client.database.jobs.mark_notified(job.id)
    return True


@about_its_job
async def withdraw(client: AnimaClient, job: Job) -> None:
    """Stop the work on a job that has ended in the database, and say in its message that nothing will come."""
    await client.worker.cancel(job.id)
    with speaking(job.locale):
        ended = f"{blockquote(job.prompt, PROMPT_SHOWN)}\n-# {say('Cancelled; nothing was charged.')}"
    await client.delivery.show(job, StaticLayout(ui.TextDisplay(ended)))


COMPONENTS = (CancelJob,)
