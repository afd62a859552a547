"""The button that cancels a job."""

from __future__ import annotations

from bot.components.base import AnimaInteraction, JobComponent
from bot.messages.buttons import CANCEL_TEMPLATE
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say
from storage.jobs import Job

CANCELLED = N_("Cancelled. You were not charged.")
ENDED_ALREADY = N_("That picture is already finished.")
NOT_YOURS = N_("You can only cancel your own jobs.")


class CancelJob(JobComponent, template=CANCEL_TEMPLATE):
    """Under a job that is not finished: takes it back."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        outcome = await cancel_own(interaction, await interaction.client.database.jobs.get(self.job_id))
        if outcome != say(CANCELLED):  # which the message says itself
            await reply_privately(interaction, outcome)


async def cancel_own(interaction: AnimaInteraction, job: Job | None) -> str:
    """Cancel a job for the person who asked for it; returns what has come of it, in a sentence."""
    if job is None or job.user_id != interaction.user.id:
        return say(NOT_YOURS)
    cancelled = await interaction.client.cancellation.cancel(job, by=interaction.user.id)
    return say(CANCELLED) if cancelled else say(ENDED_ALREADY)


HANDLERS = (CancelJob,)
