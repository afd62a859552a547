"""The forms of the operator's panel."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import discord
from discord import ui
from pydantic import TypeAdapter, ValidationError

from bot.commands.admin.summaries import describe_errors
from bot.commands.operator.access import is_operator, why_no_operator
from bot.commands.operator.pages import DRAFT, show
from bot.commands.panel import list_entries
from bot.components.base import AnimaInteraction, Modal, Submitted, defer_update, save_draft
from bot.generation.errors import InvalidForm
from bot.rules.policy import MAX_REASON_LENGTH
from bot.rules.server_settings import Safety, load_server_settings
from bot.text.translation import N_, say, say_plural
from storage.servers import EVERYWHERE

MAX_ANNOUNCEMENT_LENGTH = 1800
PERSON = re.compile(r"\s*(?:<@!?)?(\d{1,19})>?\s*")


@dataclass(frozen=True)
class TextField:
    label: str
    max_length: int


@dataclass(frozen=True)
class OperatorFormSpec:
    """The fields of one form. `submit` returns the result in a sentence, or raises InvalidForm."""

    title: str
    page: str
    #: By their custom_ids.
    fields: Mapping[str, TextField]
    required: Sequence[str]
    submit: Callable[[AnimaInteraction, Mapping[str, str]], Awaitable[str]]


class OperatorForm(Modal):
    open_to_blocked = True

    def __init__(self, form: str, filled_in: Mapping[str, str] | None = None) -> None:
        self.name = f"anima-operator:form:{form}"
        self.form = form
        spec = FORMS[form]
        fields = [
            ui.Label[Any](
                text=say(FORMS[form].fields[key].label),
                component=ui.TextInput(
                    custom_id=key,
                    style=discord.TextStyle.paragraph if field.max_length > 100 else discord.TextStyle.short,
                    required=key in spec.required,
                    max_length=field.max_length,
                    default=(filled_in or {}).get(key, "")[: field.max_length] or None,
                ),
            )
            for key, field in spec.fields.items()
        ]
        super().__init__(say(FORMS[form].title), fields)

    @classmethod
    async def at(cls, interaction: AnimaInteraction, form: str) -> Self:
        """The form with what is set now."""
        servers = interaction.client.database.servers
        match form:
            case "announce":
                draft = (await servers.settings(EVERYWHERE)).settings.get(DRAFT)
                return cls(form, {"text": draft or ""})
            case "words":
                words = (await load_server_settings(servers, None)).safety.blocked_words
                return cls(form, {"blocked_words": "\n".join(words)})
        return cls(form)

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        if not await is_operator(interaction):
            return
        await defer_update(interaction)
        typed = {key: value.strip() for key, value in values.items() if isinstance(value, str)}
        spec = FORMS[self.form]
        draft_id = None
        try:
            notice = await spec.submit(interaction, typed)
        except InvalidForm as mistake:
            notice, draft_id = str(mistake), await save_draft(interaction, self.name, values)
        await show(interaction, spec.page, notice, draft_id=draft_id)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self | str:
        return why_no_operator(interaction) or await self.at(interaction, self.form)


def operator_forms() -> list[OperatorForm]:
    """Each for `Client.add_view`, so that forms opened before a restart can be sent after it."""
    return [OperatorForm(name) for name in FORMS]


async def _pause(interaction: AnimaInteraction, typed: Mapping[str, str]) -> str:
    client, by = interaction.client, interaction.user.id
    await client.database.servers.change(EVERYWHERE, {"operator_pause": typed["reason"]}, by=by)
    dropped = await client.moderation.drop_all_waiting(by=by)
    return " ".join(
        [
            say("Drawing is paused everywhere."),
            say_plural("{count} queued job was cancelled.", "{count} queued jobs were cancelled.", dropped),
        ]
    )


async def _block(interaction: AnimaInteraction, typed: Mapping[str, str]) -> str:
    found = PERSON.fullmatch(typed["person"])
    if found is None or not 0 < int(found[1]) < 2**63:
        raise InvalidForm(say("Nothing was changed: a user ID is a number, such as 80351110224678912."))
    user_id = int(found[1])
    if user_id in interaction.client.operators:
        raise InvalidForm(say("Nothing was changed: operators can't be blocked."))
    by = interaction.user.id
    blocked = await interaction.client.moderation.block(EVERYWHERE, user_id, by=by, reason=typed["reason"])
    person = f"<@{user_id}>"
    if blocked:
        return say("{person} can no longer draw anywhere.", person=person)
    return say("{person} is already blocked.", person=person)


async def _words(interaction: AnimaInteraction, typed: Mapping[str, str]) -> str:
    servers = interaction.client.database.servers
    now = (await load_server_settings(servers, None)).safety
    words = list(dict.fromkeys(list_entries(typed["blocked_words"])))
    safety = {"always_safe": now.always_safe, "blocked_words": words}
    try:
        TypeAdapter(Safety).validate_python(safety)
    except ValidationError as error:
        raise InvalidForm(describe_errors(error, "blocked_words")) from None
    await servers.change(EVERYWHERE, {"safety": safety}, by=interaction.user.id)
    return say("Saved.")


async def _announce(interaction: AnimaInteraction, typed: Mapping[str, str]) -> str:
    await interaction.client.database.servers.change(EVERYWHERE, {DRAFT: typed["text"]}, by=interaction.user.id)
    return say("This is a preview. Nothing was sent yet.")


FORMS: Mapping[str, OperatorFormSpec] = {
    "pause": OperatorFormSpec(
        N_("Pause everything"),
        "overview",
        {"reason": TextField(N_("Reason (users can see it)"), MAX_REASON_LENGTH)},
        ("reason",),
        _pause,
    ),
    "block": OperatorFormSpec(
        N_("Block everywhere"),
        "people",
        {"person": TextField(N_("User ID"), 30), "reason": TextField(N_("Reason"), MAX_REASON_LENGTH)},
        ("person",),
        _block,
    ),
    "words": OperatorFormSpec(
        N_("Blocked words"), "private", {"blocked_words": TextField(N_("Words and phrases"), 4000)}, (), _words
    ),
    "announce": OperatorFormSpec(
        N_("Announce"), "announce", {"text": TextField(N_("Message"), MAX_ANNOUNCEMENT_LENGTH)}, ("text",), _announce
    ),
}
