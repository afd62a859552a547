"""The preferences panel's forms: own defaults as text, and the name of a new preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from bot.commands.preferences.defaults import PreferencesContext, change_defaults, parse
from bot.commands.preferences.fields import digest_of, lora_fields, number_fields, word_fields
from bot.commands.preferences.pages import show
from bot.components.base import AnimaInteraction, Modal, Submitted, defer_update, save_draft
from bot.components.preset_modal import name_field
from bot.components.preset_modal import save as save_preset
from bot.generation.errors import InvalidForm
from bot.generation.options import Options
from bot.generation.presets import key_of, on_one_line, without_seed
from bot.generation.typed.validation_errors import LABELS
from bot.text.translation import N_, say

SAVED = N_("Saved.")
NOT_SAVED = N_("Nothing was saved.")
UNCHANGED = N_("Nothing was changed.")
NO_DEFAULTS = N_("You haven't set any defaults yet, so there is nothing to save.")


class DefaultsForm(Modal):
    """Some of a user's defaults as text; an empty field resets one.

    Each field's custom_id has a digest of the text it showed; unchanged fields are not saved. So an old form undoes
    nothing, and a text too long for its field is not cut.
    """

    open_to_blocked = True

    @classmethod
    def of(cls, context: PreferencesContext) -> Self:
        raise NotImplementedError

    @classmethod
    async def now(cls, interaction: AnimaInteraction) -> Self:
        return cls.of(await PreferencesContext.of(interaction))

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        await defer_update(interaction)
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
            draft_id = await save_draft(interaction, self.name, values)
            await show(interaction, "defaults", f"{say(NOT_SAVED)} {error}", draft_id=draft_id)
            return
        await change_defaults(interaction, changes)
        await show(interaction, "defaults", say(SAVED))

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self:
        return await self.now(interaction)


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
        await defer_update(interaction)
        own = without_seed(await interaction.client.submitter.preferences(interaction.user.id))
        name = str(values["name"])
        key, draft_id = key_of(on_one_line(name)), None
        try:
            if own == Options():
                raise InvalidForm(say(NO_DEFAULTS))
            notice = await save_preset(interaction, name, own)
        except InvalidForm as error:
            notice, draft_id = str(error), await save_draft(interaction, self.name, values)
        await show(interaction, "presets", notice, key, draft_id)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self:
        return self.empty()
