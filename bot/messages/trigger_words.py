"""Shows the trigger words of the chosen LoRAs to the user, with a button that adds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from discord import ui

from bot.generation.compose import ModelInfo
from bot.messages.buttons import trigger_words_button
from bot.messages.layout import StaticLayout
from bot.prompting.syntax import tag_spans
from bot.text.markdown import MAX_NAME_SHOWN, inline
from bot.text.translation import say

MAX_WORDS_SHOWN = 300


def missing_trigger_words(prompt: str, loras: Iterable[tuple[str, float]], model: ModelInfo) -> Mapping[str, str]:
    """The trigger words of each LoRA of whose words the prompt has none. Only LoRAs with a positive strength count."""
    given = {span.name for span in tag_spans(prompt)}
    missing: dict[str, str] = {}
    for name, strength in loras:
        triggers = model.lora_facts[name].triggers if name in model.lora_facts and strength > 0 else ""
        if triggers and given.isdisjoint(span.name for span in tag_spans(triggers)):
            missing[name] = triggers
    return missing


def trigger_words_layout(job_id: int, missing: Mapping[str, str]) -> StaticLayout | None:
    """A message with the missing trigger words; None if none is missing."""
    if not missing:
        return None
    lines = [say("Trigger words that aren't in your prompt:")]
    lines += [
        f"- **{inline(name, MAX_NAME_SHOWN)}**: {inline(words, MAX_WORDS_SHOWN)}" for name, words in missing.items()
    ]
    return StaticLayout(ui.TextDisplay("\n".join(lines)), ui.ActionRow(trigger_words_button(job_id)))
