"""The admin panel's forms: their fields, checks, and saving.

An empty field resets a setting to the bot's default.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import discord
from discord import ui
from pydantic import TypeAdapter, ValidationError

from bot.commands.admin.context import AdminContext, ChangedMeanwhile, is_admin, load_context, save, why_not_admin
from bot.commands.admin.pages import show
from bot.commands.admin.summaries import LABELS, describe_errors, inline_or_empty, of_loras, of_size
from bot.commands.panel import list_entries
from bot.components.base import AnimaInteraction, Modal, Submitted, defer_update, save_draft
from bot.components.moderation.panel import block_in_server
from bot.generation.errors import InvalidForm
from bot.generation.values import MAX_ARTISTS_LENGTH, MAX_COMPARED, MAX_LORA_STRENGTH, MAX_LORAS, offered
from bot.messages.limits import MAX_CHOICES
from bot.rules.policy import DEFAULT_MAX_STEPS, MAX_REASON_LENGTH
from bot.rules.server_settings import (
    MAX_BLOCKED_WORD_LENGTH,
    MAX_PREFIX_LENGTH,
    TIMES_NATIVE,
    UPSCALED_TIMES_NATIVE,
    Quota,
    Safety,
    ServerDefaults,
    ServerLimits,
    ServerSettings,
)
from bot.text.numbers import half_width, number
from bot.text.translation import N_, say
from inference.request import SAMPLERS, SCHEDULERS

MAX_NUMBER_LENGTH = 20
MAX_LORAS_LENGTH = 500

CHANGED_MEANWHILE = N_(
    "Someone else changed the settings while your form was open, so nothing was saved. Check them and try again."
)
NOTHING_SAVED = N_("Nothing was saved.")
BY_THE_MODEL = N_("Empty: model default")
RECOMMENDED = N_("Empty: recommended text")

#: Stands for one of the model's own sizes in what is said about a field.
EXAMPLE_SIZE = "<size>"

#: What was typed, by the key of the field: a text, a list of chosen values, or whether a box is ticked.
Values = dict[str, Any]


@dataclass(frozen=True)
class Field:
    key: str
    about: str
    #: Makes the input, with a custom_id.
    input_for: Callable[[str], ui.Item[Any]]


@dataclass(frozen=True)
class FormSpec:
    """What one form asks.

    page: shown when the form was sent. submit: says what has come of it, or raises InvalidForm.
    """

    title: str
    page: str
    fields: Callable[[ServerSettings], Sequence[Field]]
    submit: Callable[[AnimaInteraction, AdminContext, Values], Awaitable[str]]


class AdminForm(Modal):
    open_to_blocked = True

    def __init__(self, form: str, title: str = "-", fields: Sequence[ui.Item[Any]] = ()) -> None:
        self.name = f"anima-admin:form:{form}"
        self.form = form
        super().__init__(title, fields)

    @classmethod
    def at(cls, context: AdminContext, form: str) -> Self:
        """The form with what is set now."""
        fields = [
            ui.Label[Any](
                text=say(LABELS[field.key]),
                description=field.about.replace(EXAMPLE_SIZE, context.example_size),
                component=field.input_for(f"{field.key}:{context.version}"),
            )
            for field in FORMS[form].fields(context.settings)
        ]
        return cls(form, say(FORMS[form].title), fields)

    @classmethod
    async def now(cls, interaction: AnimaInteraction, form: str) -> Self:
        return cls.at(await load_context(interaction), form)

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        if not await is_admin(interaction):
            return
        await defer_update(interaction)
        answers, version = _read(values)
        context = await load_context(interaction)
        spec = FORMS[self.form]
        try:
            if version != context.version:
                raise ChangedMeanwhile
            await show(interaction, spec.page, await spec.submit(interaction, context, answers))
        except (ChangedMeanwhile, InvalidForm) as error:
            mistake = f"{say(NOTHING_SAVED)} {error}"
            notice = say(CHANGED_MEANWHILE) if isinstance(error, ChangedMeanwhile) else mistake
            draft_id = await save_draft(interaction, self.name, values)
            await show(interaction, spec.page, notice, draft_id=draft_id)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self | str:
        return why_not_admin(interaction) or await self.now(interaction, self.form)


def admin_forms() -> list[AdminForm]:
    """Each for `Client.add_view`, so that forms opened before a restart can be sent after it."""
    return [AdminForm(name) for name in FORMS]


def _read(values: Submitted) -> tuple[Values, int | None]:
    """What was typed, and the version of the settings that the form showed."""
    parts = {custom_id.partition(":"): value for custom_id, value in values.items()}
    versions = {int(version) for _, _, version in parts if version.isdecimal()}
    return {key: value for (key, _, _), value in parts.items()}, versions.pop() if len(versions) == 1 else None


# --- What each form asks ---


def _drawing(settings: ServerSettings) -> list[Field]:
    defaults = settings.defaults
    size = say("Width x height, such as {size}. Empty: model default", size=EXAMPLE_SIZE)
    own = say("None selected: model default")
    return [
        Field("size", size, _text_input(of_size(defaults.size))),
        Field("steps", say(BY_THE_MODEL), _text_input(defaults.steps)),
        Field("cfg_scale", say(BY_THE_MODEL), _text_input(defaults.cfg_scale)),
        Field("sampler", own, _select(defaults.sampler, SAMPLERS)),
        Field("scheduler", own, _select(defaults.scheduler, SCHEDULERS)),
    ]


def _style(settings: ServerSettings) -> list[Field]:
    defaults = settings.defaults
    loras = say("With strengths, such as style:0.8, turbo. At most {most}", most=MAX_LORAS)
    denoise = say("How much a source picture is changed: above 0, up to 1. Empty: default")
    return [
        Field("artist", say("Names, separated by commas"), _text_input(defaults.artist, max_length=MAX_ARTISTS_LENGTH)),
        Field("loras", loras, _text_input(of_loras(defaults.loras), max_length=MAX_LORAS_LENGTH)),
        Field("denoise", denoise, _text_input(defaults.denoise)),
    ]


def _prefixes(settings: ServerSettings) -> list[Field]:
    defaults = settings.defaults
    negative = _text_input(defaults.negative, max_length=MAX_PREFIX_LENGTH, long=True)
    return [
        Field("prefix_on", say("Put in front of every prompt"), _checkbox(defaults.prefix_on)),
        Field("prefix", say(RECOMMENDED), _text_input(defaults.prefix, max_length=MAX_PREFIX_LENGTH, long=True)),
        Field("negative_on", say("Added to every negative prompt"), _checkbox(defaults.negative_on)),
        Field("negative", say(RECOMMENDED), negative),
        Field("nag", say("Turbo pictures take a little longer with it"), _checkbox(defaults.nag)),
    ]


def _posting(settings: ServerSettings) -> list[Field]:
    defaults = settings.defaults
    return [
        Field("count", say("Pictures at once, 1 to 4"), _text_input(defaults.count)),
        Field("turbo", say("Fewer steps, if there is a turbo LoRA"), _checkbox(defaults.turbo)),
        Field("fast", say("Leaves out what would change little; pictures differ slightly"), _checkbox(defaults.fast)),
        Field("spoiler", say("Hide pictures until they are clicked"), _checkbox(defaults.spoiler)),
        Field("private", say("Only the person who asked sees the pictures"), _checkbox(defaults.private)),
    ]


def _limits(settings: ServerSettings) -> list[Field]:
    limits = settings.limits
    megapixels = say("1024x1024 is 1. Empty: the next field applies")
    times_native = say("1 is the model's own size. Empty: {default}", default=TIMES_NATIVE)
    upscaled = say("2.25 allows one upscale by 1.5. Empty: {default}", default=UPSCALED_TIMES_NATIVE)
    if replace(limits, upscaled_times_native=None).upscaled_or_default is None:
        upscaled = say("2.25 allows one upscale by 1.5. Empty: same as other pictures")
    return [
        Field("side", say("In pixels. Empty: the most the model can do"), _text_input(limits.side)),
        Field("megapixels", megapixels, _text_input(limits.megapixels)),
        Field("times_native", times_native, _text_input(limits.times_native)),
        Field("upscaled_times_native", upscaled, _text_input(limits.upscaled_times_native)),
        Field("steps", say("Empty: {default}", default=DEFAULT_MAX_STEPS), _text_input(limits.steps)),
    ]


def _amounts(settings: ServerSettings) -> list[Field]:
    limits = settings.limits
    compared = say("In one `/anima compare`, up to {most}. 0 switches it off", most=MAX_COMPARED)
    return [
        Field("count", say("Pictures at once, 1 to 4"), _text_input(limits.count)),
        Field("compared", compared, _text_input(limits.compared)),
        Field("waiting", say("Jobs that one person can have in the queue"), _text_input(limits.waiting)),
    ]


def _quota(settings: ServerSettings) -> list[Field]:
    return [Field("credits", say("Empty: no limit"), _text_input(settings.quota.credits))]


def _role_quota(settings: ServerSettings) -> list[Field]:
    return [
        Field("role", say("Members with this role get it"), lambda id: ui.RoleSelect(custom_id=id, required=True)),
        Field("credits", say("Empty: no separate quota for this role"), _text_input(None)),
    ]


def _words(settings: ServerSettings) -> list[Field]:
    words = "\n".join(settings.safety.blocked_words)
    about = say("One per line, up to {longest} characters each", longest=MAX_BLOCKED_WORD_LENGTH)
    return [Field("blocked_words", about, _text_input(words, max_length=4000, long=True))]


def _block(settings: ServerSettings) -> list[Field]:
    return [
        Field("person", say("Who may not draw here"), lambda id: ui.UserSelect(custom_id=id, required=True)),
        Field("reason", say("Shown in the change log (optional)"), _text_input(None, max_length=MAX_REASON_LENGTH)),
    ]


def _text_input(
    now: object, *, max_length: int = MAX_NUMBER_LENGTH, long: bool = False
) -> Callable[[str], ui.Item[Any]]:
    """A text field with the current value; empty if it is the bot's default."""
    style = discord.TextStyle.paragraph if long else discord.TextStyle.short
    text = "" if now is None else f"{now:g}" if isinstance(now, float) else str(now)
    return lambda id: ui.TextInput(
        custom_id=id, style=style, default=text[:max_length] or None, required=False, max_length=max_length
    )


def _select(now: str | None, names: Sequence[str]) -> Callable[[str], ui.Item[Any]]:
    shown = offered(names, now, MAX_CHOICES)
    options = [discord.SelectOption(label=name, value=name, default=name == now) for name in shown]
    own = say("Model default")
    return lambda id: ui.Select(custom_id=id, options=options, placeholder=own, min_values=0, required=False)


def _checkbox(now: bool) -> Callable[[str], ui.Item[Any]]:
    return lambda id: ui.Checkbox(custom_id=id, default=now)


# --- Saving ---


def _saves(group: str, kind: type[Any]) -> Callable[[AnimaInteraction, AdminContext, Values], Awaitable[str]]:
    """Saves the fields of one group of settings; settings without a field keep their values."""
    adapter = TypeAdapter(kind)

    async def submit(interaction: AnimaInteraction, context: AdminContext, values: Values) -> str:
        now: dict[str, Any] = adapter.dump_python(getattr(context.settings, group), mode="python")
        given = {key: _plain(value) for key, value in values.items()}
        kept = {key: value for key, value in now.items() if key not in given}
        filled = {key: value for key, value in given.items() if value not in ("", None)}
        try:
            changed = adapter.validate_python({**kept, **filled})
        except ValidationError as error:
            raise InvalidForm(describe_errors(error)) from None
        return await save(interaction, context, replace(context.settings, **{group: changed}))

    return submit


async def _save_drawing(interaction: AnimaInteraction, context: AdminContext, values: Values) -> str:
    size = half_width(values["size"]).strip()
    if size:
        sides = re.fullmatch(r"(\d{1,5})\s*[x×*,]\s*(\d{1,5})", size, re.IGNORECASE)  # noqa: RUF001
        if sides is None:
            name = say(LABELS["size"])
            raise InvalidForm(
                say(
                    "**{field}**: {typed} is not a size. Write it like {size}.",
                    size=context.example_size,
                    field=name,
                    typed=inline_or_empty(size, 20),
                )
            )
        values = {**values, "size": (int(sides[1]), int(sides[2]))}
    return await _saves("defaults", ServerDefaults)(interaction, context, values)


async def _save_style(interaction: AnimaInteraction, context: AdminContext, values: Values) -> str:
    artists = ", ".join(list_entries(values["artist"]))
    here = await interaction.client.model_info.loras()
    loras = tuple(_lora(entry, here) for entry in list_entries(values["loras"]))
    return await _saves("defaults", ServerDefaults)(interaction, context, {**values, "artist": artists, "loras": loras})


def _lora(typed: str, here: Collection[str]) -> tuple[str, float]:
    name, colon, strength = typed.replace("：", ":").rpartition(":")  # noqa: RUF001
    if not colon or typed in here:
        return typed, 1.0
    if (read := number(strength)) is not None:
        return name.strip(), read
    raise InvalidForm(
        say(
            "**{field}**: {typed} needs a strength from -{strongest} to {strongest}, such as style:0.8.",
            field=say(LABELS["loras"]),
            typed=inline_or_empty(typed, 50),
            strongest=MAX_LORA_STRENGTH,
        )
    )


async def _save_quota(interaction: AnimaInteraction, context: AdminContext, values: Values) -> str:
    now = context.settings.quota
    credits = values["credits"].strip() or None
    changed = _validated(Quota, "credits", credits=credits, roles=now.roles, unlimited_roles=now.unlimited_roles)
    return await save(interaction, context, replace(context.settings, quota=changed))


async def _save_role_quota(interaction: AnimaInteraction, context: AdminContext, values: Values) -> str:
    role, credits = int(values["role"][0]), values["credits"].strip()
    now = context.settings.quota
    roles: dict[int, Any] = {id: kept for id, kept in now.roles.items() if id != role}
    if credits:
        roles[role] = credits
    changed = _validated(Quota, "credits", credits=now.credits, roles=roles, unlimited_roles=now.unlimited_roles)
    return await save(interaction, context, replace(context.settings, quota=changed))


async def _save_words(interaction: AnimaInteraction, context: AdminContext, values: Values) -> str:
    now = context.settings.safety
    changed = _validated(
        Safety,
        "blocked_words",
        always_safe=now.always_safe,
        safe_channels=now.safe_channels,
        blocked_words=tuple(dict.fromkeys(list_entries(values["blocked_words"]))),
    )
    return await save(interaction, context, replace(context.settings, safety=changed))


async def _save_block(interaction: AnimaInteraction, context: AdminContext, values: Values) -> str:
    return await block_in_server(interaction, context.guild_id, int(values["person"][0]), values["reason"].strip())


def _validated(kind: type[Any], key: str, **values: Any) -> Any:
    """A group of settings; its problems are reported for the field `key`."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise InvalidForm(describe_errors(error, key)) from None


def _plain(value: Any) -> Any:
    """What a field says: of a select the one that was chosen, if any."""
    if isinstance(value, list):
        return value[0] if value else None
    if isinstance(value, str):
        return half_width(value).strip() if number(value) is not None else value.strip()
    return value


FORMS: Mapping[str, FormSpec] = {
    "drawing": FormSpec(N_("Defaults: size, steps, sampler"), "defaults", _drawing, _save_drawing),
    "style": FormSpec(N_("Artists and LoRAs"), "defaults", _style, _save_style),
    "house-texts": FormSpec(N_("Prefix and negative"), "defaults", _prefixes, _saves("defaults", ServerDefaults)),
    "posting": FormSpec(N_("Defaults: posting"), "defaults", _posting, _saves("defaults", ServerDefaults)),
    "limits": FormSpec(N_("Size and steps"), "limits", _limits, _saves("limits", ServerLimits)),
    "amounts": FormSpec(N_("Pictures and queue"), "limits", _amounts, _saves("limits", ServerLimits)),
    "quota": FormSpec(N_("Everyone's quota"), "quota", _quota, _save_quota),
    "role-quota": FormSpec(N_("Role quota"), "quota", _role_quota, _save_role_quota),
    "words": FormSpec(N_("Blocked words"), "words", _words, _save_words),
    "block": FormSpec(N_("Block a person"), "people", _block, _save_block),
}
