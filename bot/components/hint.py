"""What Anima takes otherwise than somebody meant it, told to them alone, with a better prompt one click away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from discord import ui

from bot.components.base import AnimaInteraction, Component, StaticLayout, reply_privately
from bot.components.cancel import cancel
from bot.generation.spec import JobSpec
from bot.prompting import HintCode, TagIndex, fixed, hints
from bot.text.markdown import blockquote
from bot.text.translation import say
from storage.jobs import Job

PROMPT_SHOWN = 1500

SENTENCES: Mapping[HintCode, str] = {
    HintCode.LORA_SYNTAX: "`<lora:…>` in a prompt does nothing here; use the option `lora`.",
    HintCode.EMBEDDING: "Embeddings are made for other models; here they are only odd words.",
    HintCode.BREAK: "`BREAK` means nothing to Anima.",
    HintCode.NAME_IN_BRACKETS: "Brackets that belong to a name need a backslash each, or they count as weights.",
    HintCode.UNBALANCED_BRACKETS: "A bracket has no partner.",
    HintCode.UNDERSCORES: "Anima's tags have spaces, not underscores (except `score_7` and its like).",
    HintCode.UPPER_CASE: "Anima's tags are lower case.",
    HintCode.ARTIST_WITHOUT_AT: "An artist works only with `@` in front.",
    HintCode.WEAK_WEIGHT: "A weight so near to 1 shows no effect; Anima needs stronger ones than SDXL.",
}

NOT_REMEMBERED = "That prompt is not remembered any more. Ask anew with `/anima imagine`."


@dataclass(frozen=True)
class PromptHint:
    job: Job
    codes: tuple[HintCode, ...]
    fixed: str

    @classmethod
    def of(cls, job: Job, tags: TagIndex) -> Self | None:
        """None where there is nothing to say."""
        found = hints(job.prompt, tags)
        return cls(job, tuple(hint.code for hint in found), fixed(job.prompt, tags)) if found else None

    def shown(self) -> StaticLayout:
        lines = [say("About your prompt:"), *(f"- {say(SENTENCES[code])}" for code in self.codes)]
        lines += [say("Like this it does what you mean:"), blockquote(self.fixed, PROMPT_SHOWN)]
        return StaticLayout(ui.TextDisplay("\n".join(lines)), ui.ActionRow(DrawFixed(self.job.id)))


class DrawFixed(Component, template=r"anima:fixed:([0-9]{1,18})"):
    """Draws the mended prompt instead: what still waits in line gives way to it."""

    def __init__(self, job_id: int) -> None:
        button: ui.Button[Any] = ui.Button(label=say("Draw this instead"), custom_id=f"anima:fixed:{job_id}")
        super().__init__(button)
        self.job_id = job_id

    async def on_use(self, interaction: AnimaInteraction) -> None:
        client = interaction.client
        job = await client.database.jobs.get(self.job_id)
        if job is None or not job.parameters or job.user_id != interaction.user.id:
            await reply_privately(interaction, say(NOT_REMEMBERED))
            return
        acknowledgement = await interaction.response.defer(thinking=True, ephemeral=job.private)
        if job.id in client.queue:
            await cancel(client, job, interaction.user.id)
        drawing = JobSpec.of(job)
        prompt = fixed(job.prompt, client.tags)
        await client.intake.edit(interaction, acknowledgement, job, drawing, 0, prompt, drawing.options)


COMPONENTS = (DrawFixed,)
