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
    HintCode.LORA_SYNTAX: N_("`<lora:…>` in a prompt does nothing here; use the option `lora`."),
    HintCode.EMBEDDING: N_("Embeddings are made for other models; here they are only odd words."),
    HintCode.BREAK: N_("`BREAK` means nothing to Anima."),
    HintCode.NAME_IN_BRACKETS: N_("Brackets that belong to a name need a backslash each, or they count as weights."),
    HintCode.UNBALANCED_BRACKETS: N_("A bracket has no partner."),
    HintCode.UNDERSCORES: N_("Anima's tags have spaces, not underscores (except `score_7` and its like)."),
    HintCode.UPPER_CASE: N_("Anima's tags are lower case."),
    HintCode.ARTIST_WITHOUT_AT: N_("An artist works only with `@` in front."),
    HintCode.WEAK_WEIGHT: N_("A weight so near to 1 shows no effect; Anima needs stronger ones than SDXL."),
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
        lines += [say("Like this it does what you mean:"), blockquote(self.fixed, PROMPT_SHOWN)]
        return StaticLayout(ui.TextDisplay("\n".join(lines)), ui.ActionRow(fixed_prompt_button(self.job.id)))
