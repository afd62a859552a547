"""The preferences panel's two pages: own defaults, and presets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from discord import ui

from bot.commands.preferences.controls import (
    TOGGLES,
    default_select,
    form_button,
    page_button,
    preset_button,
    preset_select,
    reset_select,
    toggle_button,
)
from bot.commands.preferences.defaults import (
    SELECTS,
    PreferencesContext,
    describe_option,
    format_value,
    options_given,
)
from bot.components.base import AnimaInteraction
from bot.generation.presets import MAX_NAME_LENGTH
from bot.generation.typed.validation_errors import LABELS
from bot.messages.buttons import edit_again_button
from bot.messages.layout import StaticLayout
from bot.text.markdown import inline, truncate
from bot.text.translation import N_, say
from storage.preferences import MAX_PRESETS

#: Of the 4,000 characters that a message with components may have.
MAX_TEXT_SHOWN, MAX_NOTICE_SHOWN = 3000, 800

ABOUT = N_(
    "Your settings for every `/anima imagine`. Anything you haven't set comes from the server, or else from the model."
)

PreferencesPage = Literal["defaults", "presets"]


async def show(
    interaction: AnimaInteraction,
    page: PreferencesPage,
    notice: str = "",
    preset: str = "",
    draft_id: int | None = None,
) -> None:
    """Puts a page into the panel of an acknowledged interaction.

    preset: the key of the one that is shown. draft_id: of a refused form that can be reopened.
    """
    context = await PreferencesContext.of(interaction)
    container: ui.Container[Any] = ui.Container()
    if notice:
        container.add_item(ui.TextDisplay(f"-# {truncate(notice, MAX_NOTICE_SHOWN)}"))
    if draft_id is not None:
        container.add_item(ui.ActionRow(edit_again_button(draft_id)))
    for item in _defaults_page(context) if page == "defaults" else _presets_page(context, preset):
        container.add_item(item)
    await interaction.edit_original_response(view=StaticLayout(container))


def _defaults_page(context: PreferencesContext) -> Iterator[ui.Item[Any]]:
    holds = context.holds(context.own)
    lines = [f"### {say('Your defaults')}", f"-# {say(ABOUT)}"]
    named = [name for name in LABELS if name != "model" or holds.model is not None]
    lines += [f"**{say(LABELS[name])}** {' · '.join(describe_option(name, context, holds))}" for name in named]
    yield ui.TextDisplay(truncate("\n".join(lines), MAX_TEXT_SHOWN))
    for name in SELECTS:
        if name != "model" or len(context.offered) > 1:
            yield ui.ActionRow(default_select(name, context))
    yield ui.ActionRow(*(toggle_button(name, to=not getattr(holds, name)) for name in TOGGLES))
    yield ui.ActionRow(
        form_button("numbers", say("Size, steps, CFG…")),
        form_button("words", say("Prompt…")),
        form_button("loras", say("LoRAs…")),
        page_button("presets", say("Presets: {count}", count=len(context.presets))),
    )
    mine = [name for name in LABELS if getattr(context.own, name) is not None]
    if mine:
        yield ui.ActionRow(reset_select(mine))


def _presets_page(context: PreferencesContext, key: str) -> Iterator[ui.Item[Any]]:
    count = say("{count} of {most}", count=len(context.presets), most=MAX_PRESETS)
    about = say(
        "Use one with `/anima imagine preset:`. To save a picture's settings as a preset, press **Info** under it."
    )
    yield ui.TextDisplay(f"### {say('Your presets')} · {count}\n-# {about}")
    if context.presets:
        yield ui.ActionRow(preset_select(context.presets, key))
    picked = context.preset(key)
    if picked is not None:
        name, options = picked
        lines = [f"**{inline(name, MAX_NAME_LENGTH)}**"]
        lines += [
            f"**{say(LABELS[option])}** {format_value(option, getattr(options, option), context)}"
            for option in options_given(options)
        ]
        yield ui.TextDisplay(truncate("\n".join(lines), MAX_TEXT_SHOWN))
        yield ui.ActionRow(preset_button("apply", key), preset_button("delete", key))
    yield ui.ActionRow(form_button("preset", say("Save defaults as preset…")), page_button("defaults", say("Back")))
