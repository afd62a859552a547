"""The button that adds the trigger words of a job's LoRAs to its prompt."""

from __future__ import annotations

from bot.components.base import AnimaInteraction, JobComponent, load_image
from bot.components.requests import draw_instead, edit
from bot.generation.typed.command import with_tags
from bot.jobs.submission import Origin
from bot.messages.buttons import TRIGGER_WORDS_TEMPLATE
from bot.messages.replies import reply_privately
from bot.messages.trigger_words import missing_trigger_words
from bot.text.translation import N_, say

NOT_REMEMBERED = N_("This prompt is no longer saved. Use `/anima imagine` instead.")
NONE_MISSING = N_("There are no trigger words to add any more.")


class AddTriggerWords(JobComponent, template=TRIGGER_WORDS_TEMPLATE):
    """Draws the same with the trigger words; the original job gives way if it is still queued."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        client = interaction.client
        origin = await Origin.acknowledge(interaction, ephemeral=client.submitter.is_private(self.job_id))
        image = await load_image(interaction, self.job_id, owner_only=True)
        if image is None:
            await reply_privately(interaction, say(NOT_REMEMBERED))
            return
        missing = missing_trigger_words(image.job.prompt, image.spec.options.loras or (), await client.model())
        if not missing:
            await reply_privately(interaction, say(NONE_MISSING))
            return
        prompt = with_tags(image.job.prompt, ", ".join(missing.values()))
        await draw_instead(origin, image, edit(image, prompt, image.spec.options))


HANDLERS = (AddTriggerWords,)
