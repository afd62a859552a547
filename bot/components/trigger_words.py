"""The button that adds the trigger words of a job's LoRAs to its prompt."""

from __future__ import annotations

from bot.components.base import AnimaInteraction, JobComponent
from bot.components.requests import acknowledge_prompt, draw_instead, edit
from bot.generation.typed.command import with_tags
from bot.messages.buttons import TRIGGER_WORDS_TEMPLATE
from bot.messages.replies import reply_privately
from bot.messages.trigger_words import missing_trigger_words
from bot.text.translation import N_, say

NONE_MISSING = N_("There are no more trigger words to add.")


class AddTriggerWords(JobComponent, template=TRIGGER_WORDS_TEMPLATE):
    """Draws the same with the trigger words; replaces the original job if that is still queued."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        loaded = await acknowledge_prompt(interaction, self.job_id)
        if loaded is None:
            return
        origin, image = loaded
        model = await interaction.client.model()
        missing = missing_trigger_words(image.job.prompt, image.spec.options.loras or (), model)
        if not missing:
            await reply_privately(interaction, say(NONE_MISSING))
            return
        prompt = with_tags(image.job.prompt, ", ".join(missing.values()))
        await draw_instead(origin, image, edit(image, prompt, image.spec.options))


HANDLERS = (AddTriggerWords,)
