"""The button in a hint about a prompt: it draws the fixed prompt instead."""

from __future__ import annotations

from bot.components.base import AnimaInteraction, JobComponent, load_image
from bot.components.requests import edit
from bot.jobs.submission import Origin
from bot.messages.buttons import FIXED_PROMPT_TEMPLATE
from bot.messages.replies import reply_privately
from bot.prompting import fixed
from bot.text.translation import N_, say

NOT_REMEMBERED = N_("This prompt is no longer saved. Use `/anima imagine` instead.")


class DrawFixed(JobComponent, template=FIXED_PROMPT_TEMPLATE):
    """Draws the fixed prompt instead: a job that is still queued is cancelled for it."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        client = interaction.client
        image = await load_image(interaction, self.job_id, owner_only=True)
        if image is None:
            await reply_privately(interaction, say(NOT_REMEMBERED))
            return
        origin = await Origin.acknowledge(interaction, ephemeral=image.job.private)
        if image.job.id in client.queue:
            await client.cancellation.cancel(image.job, by=interaction.user.id)
        prompt = fixed(image.job.prompt, client.tags)
        await client.submitter.submit(origin, edit(image, prompt, image.spec.options))


HANDLERS = (DrawFixed,)
