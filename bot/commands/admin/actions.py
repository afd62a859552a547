"""What the admin panel's buttons and selects do, by the name in their custom_id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bot.commands.admin import suggestions
from bot.commands.admin.context import UNCHANGED, AdminContext, change, is_admin, load_context
from bot.commands.admin.forms import FORMS, AdminForm
from bot.commands.admin.gallery import set_gallery
from bot.commands.admin.log_channel import set_log_channel
from bot.commands.admin.models import with_default_model, with_offered_models
from bot.commands.admin.pages import PAGES, put, show
from bot.commands.panel import PanelAction, PanelItem, panel_template
from bot.components.base import AnimaInteraction, defer_update, open_form
from bot.rules.server_settings import ServerSettings
from bot.text.translation import N_, say

OTHER_VERSION = N_("This panel is from a different version of the bot. Open a new one with `/anima-admin`.")


async def _open(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await show(interaction, chosen[0] if chosen and chosen[0] in PAGES else "overview")


async def _open_log(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await show(interaction, "log", begin=argument)


def _opens_form(form: str) -> PanelAction:
    """An action that opens a form."""

    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await open_form(interaction, AdminForm.now(interaction, form))

    return act


def _sets(page: str, new: Callable[[ServerSettings, tuple[int, ...]], ServerSettings]) -> PanelAction:
    """An action that changes the settings by the ids that were chosen."""

    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await defer_update(interaction)
        ids = tuple(map(int, chosen))
        await show(interaction, page, await change(interaction, lambda context: new(context.settings, ids)))

    return act


def _chooses_models(new: Callable[[ServerSettings, Sequence[str]], ServerSettings]) -> PanelAction:
    """An action that changes the settings by the names of models that were chosen."""

    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await defer_update(interaction)

        def changed(context: AdminContext) -> ServerSettings:
            known = [name for name in chosen if context.models is not None and name in context.models.models]
            return new(context.settings, known)

        await show(interaction, "models", await change(interaction, changed))

    return act


async def _choose_log_channel(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await show(interaction, "log-channel", await set_log_channel(interaction, chosen))


async def _choose_gallery(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await show(interaction, "gallery", await set_gallery(interaction, chosen))


async def _unblock(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    context = await load_context(interaction)
    user_id = int(chosen[0])
    lifted = await interaction.client.moderation.unblock(context.guild_id, user_id, by=interaction.user.id)
    notice = say("{person} can draw again.", person=f"<@{user_id}>") if lifted else say(UNCHANGED)
    await show(interaction, "people", notice)


def _suggests(name: str) -> PanelAction:
    """An action that shows what a suggestion would change."""

    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await defer_update(interaction)
        await put(interaction, "suggested", suggestions.preview(await load_context(interaction), name))

    return act


def _applies(name: str) -> PanelAction:
    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await defer_update(interaction)
        notice, undoable = await suggestions.apply(interaction, name, argument)
        items = await suggestions.choice(await load_context(interaction), None)
        undo = suggestions.undo_offer(undoable) if undoable is not None else []
        await put(interaction, "suggested", [*items, *undo], notice)

    return act


async def _undo(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await show(interaction, "suggested", await suggestions.undo(interaction, argument))


async def _open_suggestions(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await show(interaction, "suggested")


async def _open_log_channel(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await show(interaction, "log-channel")


ACTIONS: Mapping[str, PanelAction] = {
    "open": _open,
    "log": _open_log,
    "gallery": _choose_gallery,
    "log-channel": _choose_log_channel,
    "unblock": _unblock,
    "default-model": _chooses_models(with_default_model),
    "offered-models": _chooses_models(with_offered_models),
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
    "suggestions": _open_suggestions,
    "open-log-channel": _open_log_channel,
    "undo": _undo,
    **{f"suggest-{name}": _suggests(name) for name in suggestions.SUGGESTIONS},
    **{f"apply-{name}": _applies(name) for name in suggestions.SUGGESTIONS},
    **{f"form-{name}": _opens_form(name) for name in FORMS},
}


class AdminItem(PanelItem, template=panel_template("anima-admin")):
    actions = ACTIONS

    async def is_allowed(self, interaction: AnimaInteraction) -> bool:
        return await is_admin(interaction)

    def say_other_version(self) -> str:
        return say(OTHER_VERSION)
