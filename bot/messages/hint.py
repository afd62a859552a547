"""What Anima takes otherwise than somebody meant it: a sentence for each case, and a prompt that says it better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from discord import ui

from bot.messages.buttons import fixed_prompt_button
from bot.messages.layout import StaticLayout
from bot.prompting import HintCode, TagIndex, fixed, hints
from bot.text.markdown import blockquote
from bot.text.translation import N_, say
from storage.jobs import Job

PROMPT_SHOWN = 1500

SENTENCES: Mapping[HintCode, str] = {
    HintCode.LORA_SYNTAX: N_("`<lora:…>` in a prompt does nothing here. Use the `lora` option."),
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
}


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

    def layout(self) -> StaticLayout:
        lines = [say("About your prompt:"), *(f"- {say(SENTENCES[code])}" for code in self.codes)]
        lines += [say("Try this instead:"), blockquote(self.fixed, PROMPT_SHOWN)]
        return StaticLayout(ui.TextDisplay("\n".join(lines)), ui.ActionRow(fixed_prompt_button(self.job.id)))
