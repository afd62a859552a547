"""The button that cancels a job."""

from __future__ import annotations

from bot.components.base import AnimaInteraction, JobComponent, is_of_another
from bot.components.moderation.permission import may_moderate
from bot.messages.buttons import CANCEL_TEMPLATE
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say
from storage.jobs import Job

CANCELLED = N_("Cancelled. You were not charged.")
CANCELLED_FOR = N_("Cancelled. {person} was not charged.")
ENDED_ALREADY = N_("That picture is already finished.")
NOT_YOURS = N_("You can only cancel your own jobs.")


class CancelJob(JobComponent, template=CANCEL_TEMPLATE):
    """Cancels an unfinished job."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        job = await interaction.client.database.jobs.get(self.job_id)
        if job is not None and await is_of_another(interaction, job):
            await reply_privately(interaction, say(ENDED_ALREADY))
            return
        sentence, cancelled = await cancel_job(interaction, job)
        if not cancelled:  # otherwise the message shows it
            await reply_privately(interaction, sentence)


async def cancel_job(interaction: AnimaInteraction, job: Job | None) -> tuple[str, bool]:
    """Cancel a job for its user or for a moderator.

    Returns the result in a sentence, and whether the job was cancelled.
    """
    client, user = interaction.client, interaction.user
    if job is None or not await may_cancel(interaction, job):
        return say(NOT_YOURS), False
    if not await client.cancellation.cancel(job, by=user.id):
        return say(ENDED_ALREADY), False
    if job.user_id == user.id or job.guild_id is None:
        return say(CANCELLED), True
    await client.moderation.cancelled(job, by=user.id)
    return say(CANCELLED_FOR, person=f"<@{job.user_id}>"), True


async def may_cancel(interaction: AnimaInteraction, job: Job) -> bool:
    """The job's user, and anyone who may delete its message. Nobody else sees a private job's message."""
    return job.user_id == interaction.user.id or (not job.private and await may_moderate(interaction, job))


HANDLERS = (CancelJob,)
