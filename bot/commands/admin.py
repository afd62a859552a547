"""`/anima-admin`: one private panel in which a server's admins look after drawing.

Every control says in its custom_id what it does and the database knows the rest, so a panel works for as long as its
message is there, after restarts too. The same goes for open forms: their fields carry the version of the settings that
they showed. A custom_id is input like any other: who uses it is checked each time.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import discord
from discord import app_commands, ui
from pydantic import TypeAdapter, ValidationError

from bot.policy import MEGAPIXEL, MOST_STEPS_UNLESS_SET
from bot.prompting import RECOMMENDED_NEGATIVE, RECOMMENDED_PREFIX
from bot.server_settings import (
    LONGEST_BLOCKED_WORD,
    LONGEST_HOUSE_TEXT,
    Access,
    Defaults,
    Limits,
    Quota,
    Safety,
    ServerSettings,
)
from inference.request import SAMPLERS, SCHEDULERS
from storage.database import Database
from storage.jobs import Statistics
from storage.servers import AuditEntry

if TYPE_CHECKING:
    from bot.client import AnimaClient

    Interaction = discord.Interaction[AnimaClient]

logger = logging.getLogger(__name__)

MOST_CHOSEN = 25
"""Values that Discord's selects take."""
LOG_PAGE = 8
LONGEST_REASON = 300
LONGEST_LINE = 350
LONGEST_TEXT, LONGEST_NOTICE = 3000, 900
"""Of the 4,000 characters that a message with components may have."""

NOT_ADMIN = "This is for people with the permission **Manage Server**."
ONLY_IN_SERVERS = "Servers have admins, private channels have none. Use this in your server."
OTHER_VERSION = "This panel is from another version of the bot. Open a new one with `/anima-admin`."
CHANGED_MEANWHILE = "Somebody changed the settings while your form was open, so nothing was saved. Please look again."
WENT_WRONG = "Something went wrong. Open a new panel with `/anima-admin` to see what holds now."
SAVED = "Saved."
BEYOND_LIMITS = "But these defaults are above the limits, so whoever relies on them is refused: {}."
UNCHANGED = "Nothing was changed."


@app_commands.command(name="anima-admin", description="What this server allows: limits, quotas, channels, safety")
@app_commands.default_permissions(manage_guild=True)
@app_commands.guild_only()
@app_commands.guild_install()
async def admin(interaction: Interaction) -> None:
    if not await _is_admin(interaction):
        return
    await interaction.response.defer(ephemeral=True)
    try:
        await _show(interaction, "overview")
    except Exception:
        await _apologise(interaction, "overview")


class AdminItem(
    ui.DynamicItem[ui.Item[Any]], template=r"anima-admin:(?P<action>[a-z-]+)(?::(?P<argument>[0-9]{1,19}))?"
):
    """Any button or select of the panel."""

    def __init__(self, item: ui.Item[Any], action: str, argument: int | None = None) -> None:
        super().__init__(item)
        self.action = action
        self.argument = argument

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(item, match["action"], int(match["argument"]) if match["argument"] else None)

    async def callback(self, interaction: Interaction) -> None:  # type: ignore[override]
        if not await _is_admin(interaction):
            return
        act = ACTIONS.get(self.action)
        if act is None:
            await interaction.response.send_message(OTHER_VERSION, ephemeral=True)
            return
        data: Any = interaction.data
        chosen: list[str] = data.get("values", [])
        try:
            await act(interaction, chosen, self.argument)
        except Exception:
            await _apologise(interaction, self.action)


class AdminForm(ui.Modal):
    """A form without a memory: all of one name are the same to discord.py, whichever admin has it open.

    So it never stops listening, and what was typed is read from the interaction. An empty one that is given to
    `Client.add_view` at the start takes the forms that were open during a restart.
    """

    def __init__(self, name: str, fields: Sequence[ui.Label[Any]] = ()) -> None:
        super().__init__(title=FORMS[name].title, custom_id=f"anima-admin:form:{name}", timeout=None)
        self.name = name
        for each in fields:
            self.add_item(each)

    def stop(self) -> None:
        pass

    async def on_submit(self, interaction: Interaction) -> None:  # type: ignore[override]
        if not await _is_admin(interaction):
            return
        values, version = _submitted(interaction)
        await interaction.response.defer()
        desk = await _desk(interaction)
        form = FORMS[self.name]
        if version != desk.version:
            await _show(interaction, form.page, CHANGED_MEANWHILE)
            return
        try:
            notice = await form.submit(interaction, desk, values)
        except Mistake as mistake:
            notice = f"Nothing was saved. {mistake}"
        await _show(interaction, form.page, notice)

    async def on_error(self, interaction: Interaction, error: Exception, /) -> None:  # type: ignore[override]
        await _apologise(interaction, self.name)


ADMIN_ITEMS = (AdminItem,)
"""For `Client.add_dynamic_items`."""


def admin_forms() -> list[AdminForm]:
    """For `Client.add_view`, each: forms that were open while the bot restarted can then be sent as well."""
    return [AdminForm(name) for name in FORMS]


async def _is_admin(interaction: Interaction) -> bool:
    """Whether the person may do this; if not, they are told. Discord hides the command only by default."""
    if interaction.guild_id is None:
        await interaction.response.send_message(ONLY_IN_SERVERS, ephemeral=True)
        return False
    if not (interaction.permissions.manage_guild or interaction.permissions.administrator):
        await interaction.response.send_message(NOT_ADMIN, ephemeral=True)
        return False
    return True


async def _apologise(interaction: Interaction, what: str) -> None:
    logger.exception("the admin panel's %r went wrong", what)
    try:
        if interaction.response.is_done():
            await interaction.followup.send(WENT_WRONG, ephemeral=True)
        else:
            await interaction.response.send_message(WENT_WRONG, ephemeral=True)
    except discord.HTTPException as error:
        logger.info("nobody could be told: %s", error)


# --- The panel ---


@dataclass(frozen=True)
class Desk:
    """One server as the database and Discord's cache have it: what a page is made of."""

    database: Database
    guild_id: int
    guild: discord.Guild | None
    settings: ServerSettings
    version: int


Items = list[ui.Item[Any]]


@dataclass(frozen=True)
class Page:
    label: str
    about: str
    build: Callable[[Desk, int | None], Awaitable[Items]]
    """The second argument is where a page of several begins."""


async def _desk(interaction: Interaction) -> Desk:
    assert interaction.guild_id is not None
    database = interaction.client.database
    stored = await database.servers.settings(interaction.guild_id)
    settings = ServerSettings.of(stored.settings)
    return Desk(database, interaction.guild_id, interaction.guild, settings, stored.version)


async def _show(interaction: Interaction, name: str, notice: str = "", begin: int | None = None) -> None:
    """Puts a page into the panel of an acknowledged interaction."""
    desk = await _desk(interaction)
    page = PAGES[name]
    container: ui.Container[Any] = ui.Container()
    if notice:
        container.add_item(ui.TextDisplay(f"-# {notice[:LONGEST_NOTICE]}"))
    for item in await page.build(desk, begin):
        container.add_item(item)
    container.add_item(ui.Separator())
    container.add_item(_row(_page_select(name)))
    panel = ui.LayoutView(timeout=None)
    panel.add_item(container)
    await interaction.edit_original_response(view=panel)


def _page_select(current: str) -> AdminItem:
    options = [
        discord.SelectOption(label=page.label, value=name, description=page.about, default=name == current)
        for name, page in PAGES.items()
    ]
    return AdminItem(ui.Select(custom_id="anima-admin:open", options=options), "open")


async def _overview(desk: Desk, begin: int | None) -> Items:
    settings = desk.settings
    blocked = len(await desk.database.servers.blocks(desk.guild_id))
    words = len(settings.safety.blocked_words)
    lines = [
        "### Anima in this server",
        "**Drawing** is paused: new requests are refused." if settings.paused else "**Drawing** is on.",
        f"**Defaults** {_defaults_in_words(settings.defaults)}",
        f"**Limits** {_limits_in_words(settings.limits)}",
        f"**Quota** {_quota_in_words(settings.quota)}",
        f"**Who and where** {_access_in_words(settings.access)}",
        f"**Safety** {_safety_in_words(settings.safety)}",
        f"**Blocked** {_counted(words, 'word')}, {_counted(blocked, 'person', 'people')}",
    ]
    if settings.paused:
        pause = _button("resume", "Resume drawing", discord.ButtonStyle.success)
    else:
        pause = _button("pause", "Pause drawing", discord.ButtonStyle.danger)
    return [_text(lines), _row(pause)]


async def _defaults(desk: Desk, begin: int | None) -> Items:
    defaults = desk.settings.defaults
    lines = [
        "### Defaults",
        "What is drawn where neither the person nor their own preferences say otherwise.",
        _defaults_in_words(defaults),
        f"**Prefix** {_house_text(defaults.prefix_on, defaults.prefix, RECOMMENDED_PREFIX)}",
        f"**Negative** {_house_text(defaults.negative_on, defaults.negative, RECOMMENDED_NEGATIVE)}",
    ]
    buttons = [_form_button("drawing", "Drawing"), _form_button("house-texts", "Prefix and negative")]
    return [_text(lines), _row(*buttons, _form_button("posting", "Posting"))]


async def _limits(desk: Desk, begin: int | None) -> Items:
    lines = ["### Limits", "The most that one request may ask for.", _limits_in_words(desk.settings.limits)]
    return [_text(lines), _row(_form_button("limits", "Change"))]


async def _quota(desk: Desk, begin: int | None) -> Items:
    quota = desk.settings.quota
    lines = [
        "### Quotas",
        "In credits a day; a picture with the model's own settings costs 1. A person has the best of their roles.",
        _quota_in_words(quota),
        *(f"<@&{role}> {credits:g}" for role, credits in list(quota.roles.items())[:50]),
        "Roles without any limit:",
    ]
    return [
        _text(lines),
        _row(_role_select("unlimited", "No role", desk, quota.unlimited_roles)),
        _row(_form_button("quota", "Everyone"), _form_button("role-quota", "A role")),
    ]


async def _access(desk: Desk, begin: int | None) -> Items:
    access = desk.settings.access
    return [
        _text(["### Who and where", "Channels in which may be drawn, threads included. None chosen: all."]),
        _row(_channel_select("channels", "Every channel", desk, access.channels)),
        _text(["Roles that may draw. None chosen: everyone. Admins always may."]),
        _row(_role_select("roles", "Everyone", desk, access.roles)),
    ]


async def _safety(desk: Desk, begin: int | None) -> Items:
    safety = desk.settings.safety
    lines = [
        "### Safety",
        "In age-restricted channels more than safe pictures may be drawn; in all others they are kept safe.",
        "Sexual content about minors is refused everywhere. That cannot be switched off.",
    ]
    if safety.always_safe:
        button = _button("follow-channels", "Follow the age restriction of channels")
        return [_text([*lines, "**Now: safe in the whole server.**"]), _row(button)]
    return [
        _text([*lines, "Channels to keep safe even if they are age-restricted:"]),
        _row(_channel_select("safe-channels", "None: each follows its age restriction", desk, safety.safe_channels)),
        _row(_button("keep-safe", "Keep the whole server safe")),
    ]


async def _words(desk: Desk, begin: int | None) -> Items:
    words = ", ".join(desk.settings.safety.blocked_words)
    lines = [
        "### Blocked words",
        "Whole words and phrases, whatever their case and accents. Who asks for one is told so, privately.",
        f"||{_inert(words, 2500)}||" if words else "None so far.",
    ]
    return [_text(lines), _row(_form_button("words", "Change"))]


async def _people(desk: Desk, begin: int | None) -> Items:
    blocks = (await desk.database.servers.blocks(desk.guild_id))[-MOST_CHOSEN:][::-1]
    lines = ["### Blocked people", "They cannot draw in this server." if blocks else "Nobody is blocked."]
    options = []
    for number, block in enumerate(blocks, start=1):
        reason = _inert(block.reason, 80)
        lines.append(f"{number}. <@{block.user_id}> {_when(block.blocked_at)} {reason}".rstrip())
        options.append(discord.SelectOption(label=f"{number}. {block.user_id}", value=str(block.user_id)))
    items: Items = [_text(lines), _row(_form_button("block", "Block a person"))]
    if options:
        select = ui.Select[Any](custom_id="anima-admin:unblock", placeholder="Unblock a person", options=options)
        items.append(_row(AdminItem(select, "unblock")))
    return items


async def _log(desk: Desk, begin: int | None) -> Items:
    entries = await desk.database.servers.audit_log(desk.guild_id, before=begin, limit=LOG_PAGE + 1)
    shown = entries[:LOG_PAGE]
    lines = ["### Log of changes", *(_entry_in_words(entry) for entry in shown)]
    buttons = []
    if begin is not None:
        buttons.append(_button("log", "Newest"))
    if len(entries) > len(shown):
        buttons.append(_button("log", "Older", argument=shown[-1].id))
    return [_text(lines if shown else [*lines, "Nothing was changed so far."]), *([_row(*buttons)] if buttons else [])]


async def _statistics(desk: Desk, begin: int | None) -> Items:
    now = datetime.now(UTC)
    lines = ["### Statistics"]
    for name, period in (
        ("24 hours", timedelta(days=1)),
        ("7 days", timedelta(days=7)),
        ("30 days", timedelta(days=30)),
    ):
        statistics = await desk.database.jobs.statistics(now - period, desk.guild_id)
        lines.append(f"**{name}** {_statistics_in_words(statistics)}")
    return [_text(lines)]


PAGES: Mapping[str, Page] = {
    "overview": Page("Overview", "Everything at a glance; pause and resume", _overview),
    "defaults": Page("Defaults", "Size, steps, sampler, prefix, negative", _defaults),
    "limits": Page("Limits", "Largest size, steps, pictures, waiting jobs", _limits),
    "quota": Page("Quotas", "Credits a day, for everyone and by role", _quota),
    "access": Page("Who and where", "Channels and roles that may draw", _access),
    "safety": Page("Safety", "What channels are kept safe", _safety),
    "words": Page("Blocked words", "What must not be asked for here", _words),
    "people": Page("Blocked people", "Block and unblock", _people),
    "log": Page("Log of changes", "Who changed what, and when", _log),
    "statistics": Page("Statistics", "What was drawn lately", _statistics),
}


# --- What buttons and selects do ---

Action = Callable[["Interaction", list[str], int | None], Awaitable[None]]


async def _open(interaction: Interaction, chosen: list[str], argument: int | None) -> None:
    await interaction.response.defer()
    await _show(interaction, chosen[0] if chosen and chosen[0] in PAGES else "overview")


async def _open_log(interaction: Interaction, chosen: list[str], argument: int | None) -> None:
    await interaction.response.defer()
    await _show(interaction, "log", begin=argument)


def _opens(name: str) -> Action:
    async def act(interaction: Interaction, chosen: list[str], argument: int | None) -> None:
        desk = await _desk(interaction)
        fields = [field.label_for(desk.settings, desk.version) for field in FORMS[name].fields]
        await interaction.response.send_modal(AdminForm(name, fields))

    return act


def _sets(page: str, new: Callable[[ServerSettings, tuple[int, ...]], ServerSettings]) -> Action:
    """An action that changes the settings by the ids that were chosen."""

    async def act(interaction: Interaction, chosen: list[str], argument: int | None) -> None:
        await interaction.response.defer()
        desk = await _desk(interaction)
        notice = await _save(interaction, desk, new(desk.settings, tuple(map(int, chosen))))
        await _show(interaction, page, notice)

    return act


async def _unblock(interaction: Interaction, chosen: list[str], argument: int | None) -> None:
    await interaction.response.defer()
    desk = await _desk(interaction)
    user_id = int(chosen[0])
    lifted = await desk.database.servers.unblock(desk.guild_id, user_id, by=interaction.user.id)
    await _show(interaction, "people", f"<@{user_id}> may draw again." if lifted else UNCHANGED)


async def _save(interaction: Interaction, desk: Desk, new: ServerSettings) -> str:
    """Writes the change and its line in the log; returns what to say."""
    changes = desk.settings.changes_to(new)
    if not changes:
        return UNCHANGED
    await desk.database.servers.change(desk.guild_id, changes, by=interaction.user.id)
    beyond = _defaults_beyond_limits(new.defaults, new.limits)
    return f"{SAVED} {BEYOND_LIMITS.format(beyond)}" if beyond else SAVED


ACTIONS: Mapping[str, Action] = {
    "open": _open,
    "log": _open_log,
    "unblock": _unblock,
    "pause": _sets("overview", lambda settings, _: replace(settings, paused=True)),
    "resume": _sets("overview", lambda settings, _: replace(settings, paused=False)),
    "channels": _sets("access", lambda settings, ids: replace(settings, access=replace(settings.access, channels=ids))),
    "roles": _sets("access", lambda settings, ids: replace(settings, access=replace(settings.access, roles=ids))),
    "unlimited": _sets(
        "quota", lambda settings, ids: replace(settings, quota=replace(settings.quota, unlimited_roles=ids))
    ),
    "safe-channels": _sets(
        "safety", lambda settings, ids: replace(settings, safety=replace(settings.safety, safe_channels=ids))
    ),
    "keep-safe": _sets(
        "safety", lambda settings, _: replace(settings, safety=replace(settings.safety, always_safe=True))
    ),
    "follow-channels": _sets(
        "safety", lambda settings, _: replace(settings, safety=replace(settings.safety, always_safe=False))
    ),
    **{
        f"form-{name}": _opens(name)
        for name in ("drawing", "house-texts", "posting", "limits", "quota", "role-quota", "words", "block")
    },
}


# --- Forms ---

Values = dict[str, Any]
"""What was typed, by the key of the field: a text, a list of chosen values, or whether a box is ticked."""


class Mistake(ValueError):
    """Something in a form cannot be; the sentences say what."""


@dataclass(frozen=True)
class Field:
    key: str
    label: str
    description: str
    input_for: Callable[[ServerSettings, str], ui.Item[Any]]
    """Makes the input from the settings as they are and its custom_id."""

    def label_for(self, settings: ServerSettings, version: int) -> ui.Label[Any]:
        component = self.input_for(settings, f"{self.key}:{version}")
        return ui.Label(text=self.label, description=self.description, component=component)


@dataclass(frozen=True)
class Form:
    title: str
    page: str
    fields: Sequence[Field]
    submit: Callable[[Interaction, Desk, Values], Awaitable[str]]


def _submitted(interaction: Interaction) -> tuple[Values, int | None]:
    """What was typed, and the version of the settings that the form showed."""
    values: Values = {}
    version = None
    data: Any = interaction.data
    for label in data["components"]:
        component = label["component"]
        key, _, shown = component["custom_id"].partition(":")
        values[key] = component["values"] if "values" in component else component["value"]
        version = int(shown) if shown.isdecimal() else None
    return values, version


def _typed(value: Callable[[ServerSettings], object], *, longest: int = 20, long: bool = False) -> Any:
    """A text field, empty where the setting is our own."""

    def make(settings: ServerSettings, custom_id: str) -> ui.Item[Any]:
        now = value(settings)
        style = discord.TextStyle.paragraph if long else discord.TextStyle.short
        text = "" if now is None else f"{now:g}" if isinstance(now, float) else str(now)
        return ui.TextInput(
            custom_id=custom_id, style=style, default=text[:longest] or None, required=False, max_length=longest
        )

    return make


def _chosen(value: Callable[[ServerSettings], str | None], names: Sequence[str]) -> Any:
    def make(settings: ServerSettings, custom_id: str) -> ui.Item[Any]:
        options = [discord.SelectOption(label=name, value=name, default=name == value(settings)) for name in names]
        return ui.Select(
            custom_id=custom_id, options=options, placeholder="The model's own", min_values=0, required=False
        )

    return make


def _ticked(value: Callable[[ServerSettings], bool]) -> Any:
    return lambda settings, custom_id: ui.Checkbox(custom_id=custom_id, default=value(settings))


def _saves(group: str, kind: type[Any]) -> Callable[[Interaction, Desk, Values], Awaitable[str]]:
    """Saves the fields of one group of settings; an empty field goes back to what we have by default."""
    adapter = TypeAdapter(kind)

    async def submit(interaction: Interaction, desk: Desk, values: Values) -> str:
        now: dict[str, Any] = adapter.dump_python(getattr(desk.settings, group), mode="python")
        given = {key: _first(value) for key, value in values.items()}
        kept = {key: value for key, value in now.items() if key not in given}
        filled = {key: value for key, value in given.items() if value not in ("", None)}
        try:
            changed = adapter.validate_python({**kept, **filled})
        except ValidationError as error:
            raise Mistake(_mistakes(error)) from None
        return await _save(interaction, desk, replace(desk.settings, **{group: changed}))

    return submit


async def _save_drawing(interaction: Interaction, desk: Desk, values: Values) -> str:
    size = values["size"].strip()
    if size:
        sides = re.fullmatch(r"(\d{1,5})\s*[x×*,]\s*(\d{1,5})", size, re.IGNORECASE)  # noqa: RUF001
        if sides is None:
            raise Mistake(f"**{LABELS['size']}**: {_inert(size, 20)} is no size; write it like 832x1216.")
        values = {**values, "size": (int(sides[1]), int(sides[2]))}
    return await _saves("defaults", Defaults)(interaction, desk, values)


async def _save_role_quota(interaction: Interaction, desk: Desk, values: Values) -> str:
    role, credits = int(values["role"][0]), values["credits"].strip()
    roles = {id: kept for id, kept in desk.settings.quota.roles.items() if id != role}
    if credits:
        roles[role] = credits
    try:
        quota = TypeAdapter(Quota).validate_python(
            {"credits": desk.settings.quota.credits, "roles": roles}
            | {"unlimited_roles": desk.settings.quota.unlimited_roles}
        )
    except ValidationError as error:
        raise Mistake(_mistakes(error, LABELS["credits"])) from None
    return await _save(interaction, desk, replace(desk.settings, quota=quota))


async def _save_words(interaction: Interaction, desk: Desk, values: Values) -> str:
    words = tuple(dict.fromkeys(filter(None, (word.strip() for word in re.split(r"[,\n、，]", values["words"])))))  # noqa: RUF001
    now = desk.settings.safety
    try:
        safety = TypeAdapter(Safety).validate_python(
            {"always_safe": now.always_safe, "safe_channels": now.safe_channels, "blocked_words": words}
        )
    except ValidationError as error:
        raise Mistake(_mistakes(error, LABELS["words"])) from None
    return await _save(interaction, desk, replace(desk.settings, safety=safety))


async def _block(interaction: Interaction, desk: Desk, values: Values) -> str:
    user_id = int(values["person"][0])
    if user_id == interaction.user.id:
        raise Mistake("That is you.")
    blocked = await desk.database.servers.block(
        desk.guild_id, user_id, by=interaction.user.id, reason=values["reason"].strip()
    )
    return f"<@{user_id}> cannot draw here any more." if blocked else f"<@{user_id}> was blocked already."


FORMS: Mapping[str, Form] = {
    "drawing": Form(
        "Defaults for drawing",
        "defaults",
        (
            Field(
                "size", "Size", "Width x height, such as 832x1216. Empty: the model's own", _typed(lambda s: _size(s))
            ),
            Field("steps", "Steps", "Empty: the model's own", _typed(lambda s: s.defaults.steps)),
            Field("cfg_scale", "CFG scale", "Empty: the model's own", _typed(lambda s: s.defaults.cfg_scale)),
            Field(
                "sampler", "Sampler", "None chosen: the model's own", _chosen(lambda s: s.defaults.sampler, SAMPLERS)
            ),
            Field(
                "scheduler",
                "Scheduler",
                "None chosen: the model's own",
                _chosen(lambda s: s.defaults.scheduler, SCHEDULERS),
            ),
        ),
        _save_drawing,
    ),
    "house-texts": Form(
        "Prefix and negative",
        "defaults",
        (
            Field("prefix_on", "Add the prefix", "In front of every prompt", _ticked(lambda s: s.defaults.prefix_on)),
            Field(
                "prefix",
                "Prefix",
                "Empty: the recommended one",
                _typed(lambda s: s.defaults.prefix, longest=LONGEST_HOUSE_TEXT, long=True),
            ),
            Field(
                "negative_on", "Add the negative", "To every negative prompt", _ticked(lambda s: s.defaults.negative_on)
            ),
            Field(
                "negative",
                "Negative",
                "Empty: the recommended one",
                _typed(lambda s: s.defaults.negative, longest=LONGEST_HOUSE_TEXT, long=True),
            ),
        ),
        _saves("defaults", Defaults),
    ),
    "posting": Form(
        "Defaults for posting",
        "defaults",
        (
            Field("count", "Pictures", "How many at a time, 1 to 4", _typed(lambda s: s.defaults.count)),
            Field("turbo", "Turbo", "Few steps, where the model has a turbo LoRA", _ticked(lambda s: s.defaults.turbo)),
            Field("spoiler", "Spoiler", "Pictures are hidden until clicked", _ticked(lambda s: s.defaults.spoiler)),
            Field("private", "Private", "Only who asked sees the pictures", _ticked(lambda s: s.defaults.private)),
        ),
        _saves("defaults", Defaults),
    ),
    "limits": Form(
        "Limits",
        "limits",
        (
            Field("side", "Longest side", "In pixels. Empty: what the model can", _typed(lambda s: s.limits.side)),
            Field(
                "megapixels",
                "Megapixels",
                "1024 x 1024 is 1. Empty: four times the model's own size",
                _typed(lambda s: s.limits.megapixels),
            ),
            Field("steps", "Steps", f"Empty: {MOST_STEPS_UNLESS_SET}", _typed(lambda s: s.limits.steps)),
            Field("count", "Pictures", "At a time, 1 to 4", _typed(lambda s: s.limits.count)),
            Field("waiting", "Waiting jobs", "Of one person in the queue", _typed(lambda s: s.limits.waiting)),
        ),
        _saves("limits", Limits),
    ),
    "quota": Form(
        "Quota of everyone",
        "quota",
        (Field("credits", "Credits a day", "Empty: without limit", _typed(lambda s: s.quota.credits)),),
        _saves("quota", Quota),
    ),
    "role-quota": Form(
        "Quota of a role",
        "quota",
        (
            Field("role", "Role", "Whose members have it", lambda s, id: ui.RoleSelect(custom_id=id, required=True)),
            Field("credits", "Credits a day", "Empty: the role has no quota of its own", _typed(lambda s: None)),
        ),
        _save_role_quota,
    ),
    "words": Form(
        "Blocked words",
        "words",
        (
            Field(
                "words",
                "Words and phrases",
                f"One a line, each up to {LONGEST_BLOCKED_WORD} characters",
                _typed(lambda s: "\n".join(s.safety.blocked_words), longest=4000, long=True),
            ),
        ),
        _save_words,
    ),
    "block": Form(
        "Block a person",
        "people",
        (
            Field(
                "person", "Person", "Who shall not draw here", lambda s, id: ui.UserSelect(custom_id=id, required=True)
            ),
            Field("reason", "Reason", "For the log; optional", _typed(lambda s: None, longest=LONGEST_REASON)),
        ),
        _block,
    ),
}

LABELS = {field.key: field.label for form in FORMS.values() for field in form.fields}


def _first(value: Any) -> Any:
    """What a field says: of a select the one that was chosen, if any."""
    if isinstance(value, list):
        return value[0] if value else None
    return value.strip() if isinstance(value, str) else value


_SAID_PLAINLY = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
}


def _mistakes(error: ValidationError, label: str = "") -> str:
    """A sentence for each mistake, with the name that the field has in the form."""
    sentences = []
    for each in error.errors():
        name = label or LABELS.get(str(each["loc"][0]), str(each["loc"][0]))
        message = each["msg"].removeprefix("Value error, ").replace("Input should", "should")
        sentences.append(f"**{name}** {_SAID_PLAINLY.get(each['type'], _inert(message, 300))}.")
    return " ".join(sentences)


# --- In words ---


def _defaults_in_words(defaults: Defaults) -> str:
    own = {
        "size": "x".join(map(str, defaults.size)) if defaults.size else None,
        "steps": defaults.steps,
        "CFG": None if defaults.cfg_scale is None else f"{defaults.cfg_scale:g}",
        "sampler": defaults.sampler,
        "scheduler": defaults.scheduler,
    }
    said = [f"{name} {value}" for name, value in own.items() if value is not None]
    if len(said) < len(own):
        said.append("all else as the model likes it" if said else "as the model likes it")
    said.append(_counted(defaults.count, "picture"))
    said += [name for name in ("turbo", "spoiler", "private") if getattr(defaults, name)]
    return ", ".join(said)


def _defaults_beyond_limits(defaults: Defaults, limits: Limits) -> str:
    beyond = []
    if defaults.size is not None:
        width, height = defaults.size
        if (limits.side is not None and max(width, height) > limits.side) or (
            limits.megapixels is not None and width * height > limits.megapixels * MEGAPIXEL
        ):
            beyond.append("size")
    if defaults.steps is not None and defaults.steps > (limits.steps or MOST_STEPS_UNLESS_SET):
        beyond.append("steps")
    if defaults.count > limits.count:
        beyond.append("pictures")
    return ", ".join(beyond)


def _limits_in_words(limits: Limits) -> str:
    size = []
    if limits.side is not None:
        size.append(f"{limits.side} pixels a side")
    if limits.megapixels is not None:
        size.append(f"{limits.megapixels:g} megapixels")
    steps = _counted(limits.steps or MOST_STEPS_UNLESS_SET, "step")
    what = [*(size or ["four times the model's own size"]), steps, _counted(limits.count, "picture") + " at a time"]
    return ", ".join([*what, _counted(limits.waiting, "waiting job") + " a person"])


def _quota_in_words(quota: Quota) -> str:
    if quota.credits is None:
        return "everyone without limit"
    more = len(quota.roles) + len(quota.unlimited_roles)
    return f"{quota.credits:g} credits a day for everyone" + (
        f", {_counted(more, 'role')} with their own" if more else ""
    )


def _access_in_words(access: Access) -> str:
    who = _mentions("<@&{}>", access.roles) or "everyone"
    return f"{who} in {_mentions('<#{}>', access.channels) or 'every channel'}"


def _safety_in_words(safety: Safety) -> str:
    if safety.always_safe:
        return "safe in the whole server"
    kept = _mentions("<#{}>", safety.safe_channels)
    return "by the age restriction of each channel" + (f"; always safe in {kept}" if kept else "")


def _statistics_in_words(statistics: Statistics) -> str:
    said = [
        _counted(statistics.pictures, "picture"),
        f"{statistics.credits:g} credits",
        _counted(statistics.people, "person", "people"),
        *(f"{count} {state}" for state, count in statistics.jobs.items()),
    ]
    if statistics.median_wait is not None and statistics.median_drawing is not None:
        wait, drawing = statistics.median_wait.total_seconds(), statistics.median_drawing.total_seconds()
        said.append(f"usually {wait:.0f} s in line and {drawing:.0f} s to draw")
    return ", ".join(said)


def _entry_in_words(entry: AuditEntry) -> str:
    who = f"<@{entry.actor_id}>" if entry.actor_id is not None else "Somebody"
    whom = f"<@{entry.subject_id}>" if entry.subject_id is not None else "somebody"
    match entry.what:
        case "block":
            what = f"blocked {whom}" + (f": {_inert(entry.after, 200)}" if entry.after else "")
        case "unblock":
            what = f"unblocked {whom}"
        case "paused":
            what = "paused drawing" if entry.after else "resumed drawing"
        case _:
            what = f"changed **{_inert(entry.what, 30)}**: {_difference(entry.before, entry.after)}"
    return f"- {_when(entry.at)} {who} {what}"


def _difference(before: Any, after: Any) -> str:
    """The keys in which two groups of settings differ; what is not there is our default."""
    old, new = (value if isinstance(value, dict) else {} for value in (before, after))
    keys = [key for key in old | new if old.get(key) != new.get(key)]
    said = ", ".join(f"{key} {_value_in_words(old.get(key))} → {_value_in_words(new.get(key))}" for key in keys)
    return _inert(said, LONGEST_LINE)


def _value_in_words(value: Any) -> str:
    match value:
        case None:
            return "default"
        case bool():
            return "on" if value else "off"
        case list():
            return " ".join(map(str, value)) or "none"
        case dict():
            return " ".join(f"{key}: {each:g}" for key, each in value.items()) or "none"
        case float():
            return f"{value:g}"
    return str(value)


def _house_text(on: bool, text: str, recommended: str) -> str:
    if not on:
        return "is off"
    return f"{_inert(text, 500)}" + (" (recommended)" if text == recommended else "")


def _size(settings: ServerSettings) -> str | None:
    return "x".join(map(str, settings.defaults.size)) if settings.defaults.size else None


def _mentions(form: str, ids: Sequence[int]) -> str:
    shown = ", ".join(form.format(id) for id in ids[:5])
    return f"{shown} and {len(ids) - 5} more" if len(ids) > 5 else shown


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _when(at: datetime) -> str:
    return f"<t:{int(at.timestamp())}:R>"


def _inert(text: str, longest: int) -> str:
    """Somebody's words without markdown and mentions, cut where they are too long."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return discord.utils.escape_markdown(discord.utils.escape_mentions(cut)).replace("\n", " ")


# --- Components ---


def _text(lines: Sequence[str]) -> ui.TextDisplay[Any]:
    return ui.TextDisplay("\n".join(lines)[:LONGEST_TEXT])


def _row(*items: ui.Item[Any]) -> ui.ActionRow[Any]:
    return ui.ActionRow(*items)


def _button(
    action: str,
    label: str,
    style: discord.ButtonStyle = discord.ButtonStyle.secondary,
    argument: int | None = None,
) -> AdminItem:
    custom_id = f"anima-admin:{action}" if argument is None else f"anima-admin:{action}:{argument}"
    return AdminItem(ui.Button(label=label, style=style, custom_id=custom_id), action, argument)


def _form_button(name: str, label: str) -> AdminItem:
    return _button(f"form-{name}", label, discord.ButtonStyle.primary)


def _channel_select(action: str, placeholder: str, desk: Desk, ids: Sequence[int]) -> AdminItem:
    known = [id for id in ids if desk.guild is None or desk.guild.get_channel_or_thread(id) is not None]
    select = ui.ChannelSelect[Any](
        custom_id=f"anima-admin:{action}",
        channel_types=[
            discord.ChannelType.text,
            discord.ChannelType.news,
            discord.ChannelType.forum,
            discord.ChannelType.voice,
            discord.ChannelType.category,
        ],
        placeholder=placeholder,
        min_values=0,
        max_values=MOST_CHOSEN,
        default_values=[
            discord.SelectDefaultValue(id=id, type=discord.SelectDefaultValueType.channel) for id in known[:MOST_CHOSEN]
        ],
    )
    return AdminItem(select, action)


def _role_select(action: str, placeholder: str, desk: Desk, ids: Sequence[int]) -> AdminItem:
    known = [id for id in ids if desk.guild is None or desk.guild.get_role(id) is not None]
    select = ui.RoleSelect[Any](
        custom_id=f"anima-admin:{action}",
        placeholder=placeholder,
        min_values=0,
        max_values=MOST_CHOSEN,
        default_values=[
            discord.SelectDefaultValue(id=id, type=discord.SelectDefaultValueType.role) for id in known[:MOST_CHOSEN]
        ],
    )
    return AdminItem(select, action)
