"""Shows hints about a prompt: a sentence for each problem, and the corrected prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from discord import ui

from bot.messages.buttons import fixed_prompt_button
from bot.messages.layout import StaticLayout
from bot.prompting import Correction, HintCode, TagIndex, correct
from bot.text.markdown import blockquote, inline
from bot.text.translation import N_, say
from storage.jobs import Job

MAX_PROMPT_SHOWN, MAX_NEGATIVE_SHOWN = 1200, 300

SENTENCES: Mapping[HintCode, str] = {
    HintCode.FULL_WIDTH: N_("Commas, brackets and colons must be the ASCII ones: `,` `(` `)` `:`"),
    HintCode.FLAGS: N_("Flags such as `--ar` and `--no` are Midjourney's. Here they are options of the command."),
    HintCode.SETTINGS: N_("Settings in a prompt are read as ordinary words. Use the command's options."),
    HintCode.NOVELAI_WEIGHTS: N_(
        "Braces, square brackets and `1.3::tag::` are NovelAI's weights. Here a weight is written `(tag:1.3)`."
    ),
    HintCode.LORA_SYNTAX: N_("`<hypernet:…>` does nothing here. LoRAs are written `<lora:…>`."),
    HintCode.EMBEDDING: N_("Embeddings are for other models and do nothing here."),
    HintCode.BREAK: N_("`BREAK` does nothing here."),
    HintCode.NAME_IN_BRACKETS: N_(
        "Brackets in a name each need a backslash (`\\(` and `\\)`). Otherwise they set a weight."
    ),
    HintCode.UNBALANCED_BRACKETS: N_("There is an unmatched bracket."),
    HintCode.UNDERSCORES: N_("Anima's tags use spaces, not underscores (except `score_7` and similar)."),
    HintCode.UPPER_CASE: N_("Anima's tags are lowercase."),
    HintCode.ARTIST_WITHOUT_AT: N_("Artists only work with `@` in front."),
    HintCode.WEAK_WEIGHT: N_(
        "Weights this close to 1 make no visible difference. Anima needs stronger weights than SDXL."
    ),
    HintCode.JAPANESE: N_("Anima was trained with English words and tags. It understands little Japanese."),
    HintCode.CHINESE: N_("Anima was trained with English words and tags. It understands little Chinese."),
    HintCode.KOREAN: N_("Anima was trained with English words and tags. It understands little Korean."),
}


@dataclass(frozen=True)
class PromptHint:
    job: Job
    correction: Correction

    @classmethod
    def of(cls, job: Job, tags: TagIndex) -> Self | None:
        """The hint for a job's prompt; None if it needs none."""
        correction = correct(job.prompt, tags)
        return cls(job, correction) if correction.codes else None

    def layout(self) -> StaticLayout:
        lines = [say("About your prompt:"), *(f"- {say(SENTENCES[code])}" for code in self.correction.codes)]
        if not self.correction.prompt.strip() or self.correction.prompt == self.job.prompt:
            return StaticLayout(ui.TextDisplay("\n".join(lines)))
        lines += [say("Try this instead:"), blockquote(self.correction.prompt, MAX_PROMPT_SHOWN)]
        lines += [f"> {option}" for option in moved_options(self.correction)]
        return StaticLayout(ui.TextDisplay("\n".join(lines)), ui.ActionRow(fixed_prompt_button(self.job.id)))


def moved_options(correction: Correction) -> list[str]:
    """What a correction moves from the prompt to options, with the options' names in the command."""
    named = {
        "negative": None if correction.negative is None else inline(correction.negative, MAX_NEGATIVE_SHOWN),
        "aspect": correction.aspect,
        "seed": correction.seed,
        "steps": correction.steps,
        "cfg": None if correction.cfg is None else f"{correction.cfg:g}",
    }
    return [f"**{name}:** {value}" for name, value in named.items() if value is not None]
