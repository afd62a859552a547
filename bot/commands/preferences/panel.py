"""`/anima preferences`: one private panel of a person's own defaults and presets.

Every control says in its custom_id what it does, and the database knows the rest, so a panel works for as long as its
message is there, after restarts too. A custom_id is input like any other: whoever uses a control changes what is their
own. Each change writes nothing but what it changes, so two at once do not undo each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import discord
from discord import app_commands, ui

from bot.commands.preferences.defaults import (
    SELECTS,
    PreferencesContext,
    describe_option,
    format_value,
    options_given,
    parse,
    validate,
)
from bot.commands.preferences.fields import digest_of, lora_fields, number_fields, word_fields
from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, Component, Modal, Submitted
from bot.components.edit_again import save_draft
from bot.components.preset_modal import name_field
from bot.components.preset_modal import save as save_preset
from bot.generation.errors import InvalidForm
from bot.generation.options import Options
from bot.generation.presets import MAX_NAME_LENGTH, key_of, on_one_line, without_seed
from bot.generation.sizes import describe_size
from bot.generation.typed.mistakes import LABELS
from bot.messages.buttons import edit_again_button
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_CHOICE_LENGTH, MAX_CHOICES
from bot.text.markdown import inline, truncate
from bot.text.translation import N_, say
from inference.request import SAMPLERS, SCHEDULERS
from storage.preferences import PRESETS_EACH

if TYPE_CHECKING:
    from bot.client import AnimaClient

#: Of the 4,000 characters that a message with components may have.
TEXT_SHOWN, NOTICE_SHOWN = 3000, 800
#: What is chosen to take one's own choice back.
AS_SERVER = "-"

TOGGLES = ("turbo", "raw", "spoiler", "private")

ABOUT = N_(
    "Your settings for every `/anima imagine`. Anything you haven't set comes from the server, or else from the model."
)
SAVED = N_("Saved.")
RESET = N_("Reset.")
NOT_SAVED = N_("Nothing was saved.")
UNCHANGED = N_("Nothing was changed.")
APPLIED = N_("“{name}” was applied to your defaults. Anything it doesn't set stays the same.")
DELETED = N_("Deleted “{name}”.")
NO_PRESET = N_("That preset no longer exists.")
NO_DEFAULTS = N_("You haven't set any defaults yet, so there is nothing to save.")

Page = Literal["defaults", "presets"]


@app_commands.command(description="Your own defaults and presets", extras=OPEN_TO_BLOCKED)
async def preferences(interaction: discord.Interaction[AnimaClient]) -> None:
    await interaction.response.defer(ephemeral=True)
    await show(interaction, "defaults")


# --- The panel ---


async def show(
    interaction: AnimaInteraction, page: Page, notice: str = "", preset: str = "", draft_id: int | None = None
) -> None:
    """Puts a page into the panel of an acknowledged interaction.

    preset: the key of the one that is looked at. draft_id: of a refused form that can be reopened.
    """
    context = await PreferencesContext.of(interaction)
    container: ui.Container[Any] = ui.Container()
    if notice:
        container.add_item(ui.TextDisplay(f"-# {truncate(notice, NOTICE_SHOWN)}"))
    if draft_id is not None:
        container.add_item(ui.ActionRow(edit_again_button(draft_id)))
    for item in _defaults_page(context) if page == "defaults" else _presets_page(context, preset):
        container.add_item(item)
    await interaction.edit_original_response(view=StaticLayout(container))


def _defaults_page(context: PreferencesContext) -> Iterator[ui.Item[Any]]:
    holds = context.holds(context.own)
    lines = [f"### {say('Your defaults')}", f"-# {say(ABOUT)}"]
    lines += [f"**{say(LABELS[name])}** {' · '.join(describe_option(name, context, holds))}" for name in LABELS]
    yield ui.TextDisplay(truncate("\n".join(lines), TEXT_SHOWN))
    for name in SELECTS:
        yield ui.ActionRow(DefaultSelect.among(name, context))
    yield ui.ActionRow(*(ToggleButton(name, to=not getattr(holds, name)) for name in TOGGLES))
    yield ui.ActionRow(
        FormButton("numbers", say("Size, steps, CFG…")),
        FormButton("words", say("Prompt…")),
        FormButton("loras", say("LoRAs…")),
        PageButton("presets", say("Presets: {count}", count=len(context.presets))),
    )
    mine = [name for name in LABELS if getattr(context.own, name) is not None]
    if mine:
        yield ui.ActionRow(ResetSelect.among(mine))


def _presets_page(context: PreferencesContext, key: str) -> Iterator[ui.Item[Any]]:
    count = say("{count} of {most}", count=len(context.presets), most=PRESETS_EACH)
    about = say(
        "Use one with `/anima imagine preset:`. To save a picture's settings as a preset, press **Info** under it."
    )
    yield ui.TextDisplay(f"### {say('Your presets')} · {count}\n-# {about}")
    if context.presets:
        yield ui.ActionRow(PresetSelect.among(context.presets, key))
    picked = context.preset(key)
    if picked is not None:
        name, options = picked
        lines = [f"**{inline(name, MAX_NAME_LENGTH)}**"]
        lines += [
            f"**{say(LABELS[option])}** {format_value(option, getattr(options, option), context)}"
            for option in options_given(options)
        ]
        yield ui.TextDisplay(truncate("\n".join(lines), TEXT_SHOWN))
        yield ui.ActionRow(ApplyPresetButton(key), DeletePresetButton(key))
    yield ui.ActionRow(FormButton("preset", say("Save defaults as preset…")), PageButton("defaults", say("Back")))


# --- Controls ---


async def _change(interaction: AnimaInteraction, changes: Mapping[str, Any]) -> None:
    await interaction.client.database.preferences.change_defaults(interaction.user.id, changes)


def _chosen(interaction: AnimaInteraction) -> list[str]:
    data: Any = interaction.data
    values: list[str] = data["values"]
    return values


class DefaultSelect(Component, template=rf"anima:preferences:({'|'.join(SELECTS)})"):
    """Chooses a size, a sampler or a scheduler."""

    open_to_blocked = True

    def __init__(self, name: str, options: Sequence[discord.SelectOption] = ()) -> None:
        super().__init__(ui.Select(custom_id=f"anima:preferences:{name}", options=list(options)))
        self.name = name

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(match[1])

    @classmethod
    def among(cls, name: str, context: PreferencesContext) -> Self:
        label, own = say(LABELS[name]), getattr(context.own, name)
        without = getattr(context.holds(Options()), name)
        values = {_as_choice(value): value for value in _choices(name, context)}
        if own is not None:
            values = {_as_choice(own): own, **values}
        back = say("{what}: server default ({value})", what=label, value=_in_choice(without))
        options = [discord.SelectOption(label=back, value=AS_SERVER, default=own is None)]
        options += [
            discord.SelectOption(label=f"{label}: {_in_choice(value)}", value=choice, default=value == own)
            for choice, value in values.items()
        ]
        return cls(name, options[:MAX_CHOICES])

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        chosen = _chosen(interaction)[0]
        if chosen == AS_SERVER:
            await _change(interaction, {self.name: None})
            await show(interaction, "defaults", say(RESET))
            return
        try:
            changes = validate({self.name: chosen.split("x") if self.name == "size" else chosen})
        except InvalidForm as error:
            await show(interaction, "defaults", str(error))
            return
        await _change(interaction, changes)
        await show(interaction, "defaults", say(SAVED))


def _choices(name: str, context: PreferencesContext) -> Sequence[Any]:
    return {"size": context.model.native.sizes, "sampler": SAMPLERS, "scheduler": SCHEDULERS}[name]


def _as_choice(value: Any) -> str:
    return value if isinstance(value, str) else "x".join(map(str, value))


def _in_choice(value: Any) -> str:
    return value if isinstance(value, str) else describe_size(value)


class ToggleButton(Component, template=rf"anima:preferences:({'|'.join(TOGGLES)}):(on|off)"):
    """Sets an option to what its custom_id says, so that two presses have the same effect as one."""

    open_to_blocked = True

    def __init__(self, name: str, *, to: bool) -> None:
        words = (say("normal"), say("turbo")) if name == "turbo" else (say("off"), say("on"))
        now = words[not to]
        style = discord.ButtonStyle.secondary if to else discord.ButtonStyle.success
        custom_id = f"anima:preferences:{name}:{'on' if to else 'off'}"
        super().__init__(ui.Button(label=f"{say(LABELS[name])}: {now}", style=style, custom_id=custom_id))
        self.name = name
        self.to = to

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(match[1], to=match[2] == "on")

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        await _change(interaction, {self.name: self.to})
        await show(interaction, "defaults", say(SAVED))


class ResetSelect(Component, template=r"anima:preferences:take-back"):
    """Resets some of a user's defaults."""

    open_to_blocked = True

    @classmethod
    def among(cls, names: Sequence[str]) -> Self:
        options = [discord.SelectOption(label=say(LABELS[name]), value=name) for name in names]
        placeholder = say("Reset to the server's setting…")
        select: ui.Select[Any] = ui.Select(
            custom_id="anima:preferences:take-back",
            placeholder=placeholder,
            options=options,
            max_values=len(options),
        )
        return cls(select)

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        await _change(interaction, dict.fromkeys(_chosen(interaction)))
        await show(interaction, "defaults", say(RESET))


class PageButton(Component, template=r"anima:preferences:page:(defaults|presets)"):
    open_to_blocked = True

    def __init__(self, page: Page, label: str = "-") -> None:
        super().__init__(ui.Button(label=label, custom_id=f"anima:preferences:page:{page}"))
        self.page: Page = page

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls("presets" if match[1] == "presets" else "defaults")

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        await show(interaction, self.page)


class FormButton(Component, template=r"anima:preferences:form:(numbers|words|loras|preset)"):
    open_to_blocked = True

    def __init__(self, form: str, label: str = "-") -> None:
        custom_id = f"anima:preferences:form:{form}"
        super().__init__(ui.Button(label=label, style=discord.ButtonStyle.secondary, custom_id=custom_id))
        self.form = form

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(match[1])

    async def on_use(self, interaction: AnimaInteraction) -> None:
        if self.form == "preset":
            await interaction.response.send_modal(DefaultsAsPresetForm.empty())
        else:
            await interaction.response.send_modal(
                DEFAULTS_FORMS[self.form].of(await PreferencesContext.of(interaction))
            )


class PresetSelect(Component, template=r"anima:preferences:preset"):
    """Shows what is in one of the presets, with what can be done with it."""

    open_to_blocked = True

    @classmethod
    def among(cls, kept: Mapping[str, Options], key: str) -> Self:
        choices = [
            discord.SelectOption(
                label=name[:MAX_CHOICE_LENGTH],
                value=key_of(name),
                description=truncate(
                    ", ".join(say(LABELS[option]) for option in options_given(options)), MAX_CHOICE_LENGTH
                )
                or None,
                default=key_of(name) == key,
            )
            for name, options in kept.items()
        ]
        return cls(ui.Select(custom_id="anima:preferences:preset", placeholder=say("Show a preset…"), options=choices))

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        await show(interaction, "presets", preset=_chosen(interaction)[0])


class PresetButton(Component, template=r"(?!)"):
    """Does something with one of the presets of whoever presses it."""

    open_to_blocked = True
    action: ClassVar[str]
    label: ClassVar[str]
    style: ClassVar[discord.ButtonStyle]

    def __init__(self, key: str) -> None:
        custom_id = f"anima:preferences:{self.action}:{key}"
        super().__init__(ui.Button(label=say(PRESET_ACTIONS[self.action]), style=self.style, custom_id=custom_id))
        self.key = key

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(match[1])

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        found = (await PreferencesContext.of(interaction)).preset(self.key)
        notice = say(NO_PRESET) if found is None else await self.on_press(interaction, *found)
        await show(interaction, "presets", notice, self.key)

    async def on_press(self, interaction: AnimaInteraction, name: str, options: Options) -> str:
        """Returns what has come of it, in a sentence."""
        raise NotImplementedError


PRESET_ACTIONS: Mapping[str, str] = {"apply": N_("Apply to my defaults"), "delete": N_("Delete")}


class ApplyPresetButton(PresetButton, template=r"anima:preferences:apply:([0-9a-f]{16})"):
    action = "apply"
    style = discord.ButtonStyle.success

    async def on_press(self, interaction: AnimaInteraction, name: str, options: Options) -> str:
        await _change(interaction, without_seed(options).as_json())
        return say(APPLIED, name=inline(name, MAX_NAME_LENGTH))


class DeletePresetButton(PresetButton, template=r"anima:preferences:delete:([0-9a-f]{16})"):
    action = "delete"
    style = discord.ButtonStyle.danger

    async def on_press(self, interaction: AnimaInteraction, name: str, options: Options) -> str:
        deleted = await interaction.client.database.preferences.delete_preset(interaction.user.id, name)
        return say(DELETED, name=inline(name, MAX_NAME_LENGTH)) if deleted else say(NO_PRESET)


# --- Forms ---


class DefaultsForm(Modal):
    """Some of a user's defaults as text; an empty field resets one.

    A field's custom_id tells what it showed, and what is still so when the form comes back is not written. So a form
    that stood open for long undoes nothing, and a text too long for its field is not cut.
    """

    open_to_blocked = True

    @classmethod
    def of(cls, context: PreferencesContext) -> Self:
        raise NotImplementedError

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        await interaction.response.defer()
        typed = {}
        for custom_id, value in values.items():
            name, _, digest = custom_id.partition(":")
            if name in LABELS and isinstance(value, str) and digest_of(value) != digest:
                typed[name] = value.strip()
        if not typed:
            await show(interaction, "defaults", say(UNCHANGED))
            return
        try:
            changes = parse(typed, await PreferencesContext.of(interaction))
        except InvalidForm as error:
            draft_id = await save_draft(interaction, self, values)
            await show(interaction, "defaults", f"{say(NOT_SAVED)} {error}", draft_id=draft_id)
            return
        await _change(interaction, changes)
        await show(interaction, "defaults", say(SAVED))

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self:
        return self.of(await PreferencesContext.of(interaction))


class NumbersForm(DefaultsForm):
    name = "anima:preferences:numbers"

    @classmethod
    def of(cls, context: PreferencesContext) -> Self:
        return cls(say("Size, steps, CFG"), number_fields(context))


class WordsForm(DefaultsForm):
    name = "anima:preferences:words"

    @classmethod
    def of(cls, context: PreferencesContext) -> Self:
        return cls(say("Prompt"), word_fields(context))


class LorasForm(DefaultsForm):
    name = "anima:preferences:loras"

    @classmethod
    def of(cls, context: PreferencesContext) -> Self:
        return cls(say("LoRAs"), lora_fields(context))


DEFAULTS_FORMS: Mapping[str, type[DefaultsForm]] = {"numbers": NumbersForm, "words": WordsForm, "loras": LorasForm}


class DefaultsAsPresetForm(Modal):
    name = "anima:preferences:preset"
    open_to_blocked = True

    @classmethod
    def empty(cls) -> Self:
        return cls(say("Save my defaults as a preset"), [name_field("name")])

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        await interaction.response.defer()
        own = without_seed(await interaction.client.submitter.preferences(interaction.user.id))
        name = str(values["name"])
        key, draft_id = key_of(on_one_line(name)), None
        try:
            notice = say(NO_DEFAULTS) if own == Options() else await save_preset(interaction, name, own)
        except InvalidForm as error:
            notice, draft_id = str(error), await save_draft(interaction, self, values)
        await show(interaction, "presets", notice, key, draft_id)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self:
        return self.empty()


HANDLERS = (
    DefaultSelect,
    ToggleButton,
    ResetSelect,
    PageButton,
    FormButton,
    PresetSelect,
    ApplyPresetButton,
    DeletePresetButton,
)
MODALS = (*DEFAULTS_FORMS.values(), DefaultsAsPresetForm)
