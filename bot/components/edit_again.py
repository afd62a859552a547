"""*Edit again*: reopens a refused form with what was typed.

What was typed is stored in the database, so the button works after a restart; only each user's newest few are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import discord
from discord import ui

from bot.components.base import AnimaInteraction, Component, Modal, Submitted, open_form, save_draft
from bot.messages.buttons import EDIT_AGAIN_TEMPLATE
from bot.messages.replies import refused_form, reply_privately
from bot.text.translation import N_, say

NO_DRAFT = N_("What you typed is no longer saved. Open the form again.")

#: The forms that can be reopened, by name.
FORMS: dict[str, Modal] = {}


class EditAgain(Component, template=EDIT_AGAIN_TEMPLATE):
    open_to_blocked = True

    def __init__(self, item: ui.Item[Any], draft_id: int) -> None:
        super().__init__(item)
        self.draft_id = draft_id

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await open_form(interaction, self._reopened(interaction))

    async def _reopened(self, interaction: AnimaInteraction) -> Modal | str:
        draft = await interaction.client.database.preferences.draft(interaction.user.id, self.draft_id)
        if draft is None or draft.form not in FORMS:
            return say(NO_DRAFT)
        fields: Submitted = dict(draft.fields)
        form = await FORMS[draft.form].reopened(interaction, fields)
        if isinstance(form, Modal):
            fill(form, fields)
        return form


async def refuse_form(interaction: AnimaInteraction, form: Modal, fields: Submitted, sentence: str) -> None:
    """Tells the user privately why a form was refused, with a button that reopens it."""
    draft_id = await save_draft(interaction, form.name, fields)
    await reply_privately(interaction, refused_form(sentence, draft_id))


def fill(form: Modal, fields: Mapping[str, Any]) -> None:
    """Fills a form's inputs with what was typed and chosen, matching them by the start of their custom_ids."""
    typed = {custom_id.partition(":")[0]: value for custom_id, value in fields.items()}
    for item in _inputs(form):
        value = typed.get(item.custom_id.partition(":")[0])
        if isinstance(item, ui.TextInput) and isinstance(value, str):
            item.default = value[: item.max_length] or None
        elif isinstance(item, ui.Select) and isinstance(value, list):
            for option in item.options:
                option.default = option.value in value
        elif isinstance(item, ui.Checkbox) and isinstance(value, bool):
            item.default = value
        elif isinstance(item, ui.RoleSelect) and isinstance(value, list):
            item.default_values = [discord.SelectDefaultValue.from_role(discord.Object(int(id))) for id in value]
        elif isinstance(item, ui.UserSelect) and isinstance(value, list):
            item.default_values = [discord.SelectDefaultValue.from_user(discord.Object(int(id))) for id in value]


def _inputs(form: Modal) -> Iterator[Any]:
    for child in form.children:
        item = child.component if isinstance(child, ui.Label) else child
        if hasattr(item, "custom_id"):
            yield item


HANDLERS = (EditAgain,)
