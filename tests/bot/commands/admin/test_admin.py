"""`/anima-admin`: every control, who may use it, what is written and logged, and that all of it outlives a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from discord import ui

from bot.commands.admin import ACTIONS, FORMS, PAGES, context
from bot.commands.admin.actions import OTHER_VERSION
from bot.commands.admin.context import NOT_ADMIN, SAVED, UNCHANGED
from bot.commands.admin.forms import CHANGED_MEANWHILE
from bot.commands.admin.summaries import LABELS
from bot.generation.compose import ModelInfo
from bot.rules.server_settings import (
    Access,
    Quota,
    Safety,
    ServerDefaults,
    ServerLimits,
    ServerSettings,
    load_server_settings,
)
from bot.sandbox import ClientModal, ClientRefused, FakeDiscord, Message, User
from bot.sandbox.model.interactions import COMPONENT, MODAL_SUBMIT
from storage.jobs import Allowance, NewJob
from storage.servers import AuditEntry
from tests.bot.harness import Stage, until


class AdminPanel:
    """The panel of one admin, as it is now."""

    def __init__(self, stage: Stage, user: User | None = None) -> None:
        self.stage = stage
        self.discord = stage.discord
        self.world = stage.discord.world
        self.user = user or self.world.bob
        self.message: Message

    async def open(self, page: str = "overview") -> AdminPanel:
        sent = await self.discord.slash(self.user, self.world.general, "anima-admin")
        self.message = await sent.response()
        return self if page == "overview" else await self.turn_to(page)

    async def turn_to(self, page: str) -> AdminPanel:
        return await self.choose("open", page)

    async def choose(self, action: str, *values: object) -> AdminPanel:
        sent = await self.discord.choose(self.user, self.message, f"anima-admin:{action}", values)
        self.message = await sent.response()
        return self

    async def press(self, label: str) -> AdminPanel:
        self.message = await (await self.discord.press(self.user, self.message, label=label)).response()
        return self

    async def form(self, label: str) -> ClientModal:
        return await (await self.discord.press(self.user, self.message, label=label)).modal()

    async def fill(self, label: str, **values: object) -> AdminPanel:
        """Opens a form by its button, fills in what `values` say by the fields' keys, and sends it."""
        return await self.send(await self.form(label), **values)

    async def send(self, form: ClientModal, **values: object) -> AdminPanel:
        ids = {field["custom_id"].partition(":")[0]: field["custom_id"] for _, field in form.inputs()}
        sent = await self.discord.submit(self.user, form, {ids[key]: value for key, value in values.items()})
        self.message = await sent.response()
        return self

    @property
    def text(self) -> str:
        return self.message.text

    async def settings(self) -> ServerSettings:
        return await load_server_settings(self.stage.database.servers, self.world.guild.id)

    async def log(self) -> tuple[AuditEntry, ...]:
        return await self.stage.database.servers.audit_log(self.world.guild.id)


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


@pytest.fixture
async def panel(stage: Stage) -> AdminPanel:
    return await AdminPanel(stage).open()


# --- What is there ---


async def test_the_panel_opens_only_for_admins_and_shows_the_settings(panel: AdminPanel) -> None:
    assert panel.message.is_ephemeral
    assert panel.message.is_v2
    assert "**Drawing** is on." in panel.text
    assert "Everyone: 50 credits per day" in panel.text
    assert "everyone in all channels" in panel.text


async def test_every_page_opens_on_an_untouched_server(panel: AdminPanel) -> None:
    for name in [*PAGES][::-1]:
        await panel.turn_to(name)
        (menu,) = [c for c in panel.message.inputs() if c["custom_id"] == "anima-admin:open"]
        assert [option["value"] for option in menu["options"] if option.get("default")] == [name]


async def test_every_page_fits_with_the_longest_settings(stage: Stage) -> None:
    guild = stage.discord.world.guild.id
    ids = tuple(10**18 + number for number in range(25))
    settings = ServerSettings(
        ServerDefaults(
            *((4096, 4096), 1000, 99.5, "dpmpp_2m_sde_gpu", "linear_quadratic", True, "_" * 1000, True, "*" * 1000),
            artist="*" * 200,
            loras=tuple(("_" * 100, -9.75 + number) for number in range(4)),
            denoise=0.375,
            model="_" * 400,
        ),
        ServerLimits(4096, 16.0, 1000, 4, 500, 16),
        Quota(1e6, dict.fromkeys(range(10**18, 10**18 + 200), 999999.5), ids),
        Access(ids, ids, tuple(f"{number:*<400}" for number in range(50))),
        Safety(False, ids, tuple(f"{number:*<13}" for number in range(300))),
        True,
    )
    servers = stage.database.servers
    for number in range(20):
        await servers.block(guild, 10**18 + number, by=1, reason="@everyone *" * 27)
        await servers.change(guild, {"safety": {"blocked_words": ["x_" * 30] * number}}, by=10**18)
    await servers.change(guild, settings.as_json(), by=1)
    panel = await AdminPanel(stage).open()
    for name in [*PAGES][1:]:
        await panel.turn_to(name)
    for label in ("Size, steps, sampler", "Artists and LoRAs", "Prefix and negative", "Posting"):
        await panel.turn_to("defaults")
        assert (await panel.form(label)).inputs()


def test_every_control_and_form_leads_somewhere() -> None:
    assert {f"form-{name}" for name in FORMS} == {name for name in ACTIONS if name.startswith("form-")}
    assert {form.page for form in FORMS.values()} <= set(PAGES)


def test_everything_that_can_be_set_has_a_name() -> None:
    groups = (ServerDefaults, ServerLimits, Quota, Access, Safety)
    assert {field.name for group in groups for field in fields(group)} <= set(LABELS)


def test_every_default_and_limit_can_be_set_in_some_form() -> None:
    asked = {field.key for form in FORMS.values() for field in form.fields(ServerSettings())}
    asked.add("model")  # on a page of its own, which lists the models
    assert {field.name for group in (ServerDefaults, ServerLimits) for field in fields(group)} <= asked


# --- Every control ---


async def test_pause_and_resume(panel: AdminPanel) -> None:
    await panel.press("Pause drawing")
    assert "is paused" in panel.text
    assert (await panel.settings()).paused
    await panel.press("Resume drawing")
    assert "is on" in panel.text
    assert not (await panel.settings()).paused
    await panel.turn_to("log")
    assert f"<@{panel.user.id}> resumed drawing" in panel.text
    assert f"<@{panel.user.id}> paused drawing" in panel.text


async def test_defaults_for_drawing(panel: AdminPanel) -> None:
    await panel.turn_to("defaults")
    filled = {"size": "832 X 1216", "steps": "24", "cfg_scale": "4.5", "sampler": ["euler_a"], "scheduler": ["beta57"]}
    await panel.fill("Size, steps, sampler", **filled)
    assert SAVED in panel.text
    assert "Size 832x1216, Steps 24, CFG scale 4.5, Sampler euler_a, Scheduler beta57" in panel.text
    settings = await panel.settings()
    assert settings == ServerSettings(ServerDefaults((832, 1216), 24, 4.5, "euler_a", "beta57"))

    form = await panel.form("Size, steps, sampler")
    shown = {label: field.get("value") for label, field in form.inputs()}
    assert (shown["Size"], shown["Steps"], shown["CFG scale"]) == ("832x1216", "24", "4.5")
    await panel.send(form)
    assert UNCHANGED in panel.text
    await panel.fill("Size, steps, sampler", size="", steps="", sampler=[])
    assert await panel.settings() == ServerSettings(ServerDefaults(cfg_scale=4.5, scheduler="beta57"))


async def test_artists_loras_and_denoise(panel: AdminPanel) -> None:
    await panel.turn_to("defaults")
    await panel.fill("Artists and LoRAs", artist=" nnn yryr ,@hammer、", loras="style：０.8, turbo\n", denoise="０.6")  # noqa: RUF001
    defaults = ServerDefaults(artist="nnn yryr, @hammer", loras=(("style", 0.8), ("turbo", 1.0)), denoise=0.6)
    assert await panel.settings() == ServerSettings(defaults)
    assert "Artists nnn yryr, @hammer, LoRAs style:0.8, turbo, Denoise 0.6" in panel.text

    form = await panel.form("Artists and LoRAs")
    shown = {label: field.get("value") for label, field in form.inputs()}
    assert shown == {"Artists": "nnn yryr, @hammer", "LoRAs": "style:0.8, turbo", "Denoise": "0.6"}
    await panel.send(form)
    assert UNCHANGED in panel.text
    await panel.fill("Artists and LoRAs", artist="", loras="", denoise="")
    assert await panel.settings() == ServerSettings()


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"loras": "style:strong"}, "**LoRAs**: style:strong needs a strength from -10 to 10"),
        ({"loras": "style:nan"}, "**LoRAs**: style:nan needs a strength from -10 to 10"),
        ({"loras": "style:10.5"}, "**LoRAs** must be 10 or less."),
        ({"loras": "style:-11"}, "**LoRAs** must be -10 or more."),
        ({"loras": ":0.5"}, "**LoRAs**: a name is missing."),
        ({"loras": "a, b, c, d, e"}, "**LoRAs** can have at most 4 entries."),
        ({"denoise": "0"}, "**Denoise** must be 0.05 or more."),
        ({"denoise": "1.5"}, "**Denoise** must be 1 or less."),
    ],
)
async def test_invalid_loras_and_denoise_are_not_saved(panel: AdminPanel, typed: dict[str, str], sentence: str) -> None:
    await panel.turn_to("defaults")
    await panel.fill("Artists and LoRAs", **typed)
    assert f"Nothing was saved. {sentence}" in panel.text
    assert await panel.settings() == ServerSettings()


async def test_prefix_and_negative(panel: AdminPanel) -> None:
    await panel.turn_to("defaults")
    await panel.fill("Prefix and negative", prefix="newest, safe", negative_on=False)
    settings = await panel.settings()
    assert settings == ServerSettings(ServerDefaults(prefix="newest, safe", negative_on=False))
    assert "**Prefix** newest, safe" in panel.text
    assert "**Negative prompt** off" in panel.text
    await panel.fill("Prefix and negative", prefix="", negative_on=True)
    assert await panel.settings() == ServerSettings()


async def test_negatives_at_cfg_1_can_be_switched_off(panel: AdminPanel) -> None:
    await panel.turn_to("defaults")
    assert "CFG 1" not in panel.text
    await panel.fill("Prefix and negative", nag=False)
    assert not (await panel.settings()).defaults.nag
    assert "Negative prompts have no effect at CFG 1" in panel.text


async def test_defaults_for_posting(panel: AdminPanel) -> None:
    await panel.turn_to("defaults")
    await panel.fill("Posting", count="4", spoiler=True, turbo=True)
    assert await panel.settings() == ServerSettings(ServerDefaults(count=4, spoiler=True, turbo=True))
    await panel.fill("Posting", count="5")
    assert "Nothing was saved. **Pictures** must be 4 or less." in panel.text
    assert (await panel.settings()).defaults.count == 4


async def test_limits(panel: AdminPanel) -> None:
    await panel.turn_to("limits")
    await panel.fill("Size and steps", side="1536", megapixels="1.5", steps="40")
    await panel.fill("Pictures and queue", count="2", waiting="3", compared="6")
    assert await panel.settings() == ServerSettings(limits=ServerLimits(1536, 1.5, 40, 2, 3, 6))
    assert (
        "up to 1536 pixels per side, up to 1.5 MP, 40 steps, 2 pictures at once, 3 queued jobs per person" in panel.text
    )
    assert "6 pictures per comparison" in panel.text
    assert "upscales up to" not in panel.text, "they follow the limit in megapixels"
    await panel.fill("Size and steps", upscaled_times_native="11.4")
    assert (await panel.settings()).limits == ServerLimits(1536, 1.5, 40, 2, 3, 6, upscaled_times_native=11.4)
    assert "upscales up to 11.4 times the model's default size" in panel.text
    await panel.fill("Size and steps", upscaled_times_native="65")
    assert "**Upscales: times the model's size** must be 64 or less." in panel.text


async def test_compare_can_be_switched_off_and_has_a_limit(panel: AdminPanel) -> None:
    await panel.turn_to("limits")
    assert "12 pictures per comparison" in panel.text
    await panel.fill("Pictures and queue", compared="0")
    assert await panel.settings() == ServerSettings(limits=ServerLimits(compared=0))
    assert "comparisons off" in panel.text
    await panel.fill("Pictures and queue", compared="17")
    assert "Nothing was saved. **Pictures per comparison** must be 16 or less." in panel.text
    await panel.fill("Pictures and queue", compared="")
    assert await panel.settings() == ServerSettings()


async def test_mistakes_in_a_form_are_named_and_nothing_is_saved(panel: AdminPanel) -> None:
    await panel.turn_to("limits")
    await panel.fill("Size and steps", side="1004", megapixels="much", steps="many")
    assert "Nothing was saved." in panel.text
    assert "**Longest side** must be a multiple of 8." in panel.text
    assert "**Megapixels** must be a number." in panel.text
    assert "**Steps** must be a whole number." in panel.text
    await panel.turn_to("defaults")
    await panel.fill("Size, steps, sampler", size="large")
    assert "**Size**: large is not a size. Write it like 64x64." in panel.text
    await panel.fill("Size, steps, sampler", size="833x1216")
    assert "**Size** must be a multiple of 8." in panel.text
    assert await panel.settings() == ServerSettings()
    assert await panel.log() == ()


async def test_defaults_above_the_limits_are_saved_with_a_warning(panel: AdminPanel) -> None:
    await panel.turn_to("limits")
    await panel.fill("Size and steps", side="1024", megapixels="1.5", steps="20")
    await panel.fill("Pictures and queue", count="1")
    assert "above the limits" not in panel.text
    await panel.turn_to("defaults")
    await panel.fill("Posting", count="2")
    await panel.fill("Size, steps, sampler", size="1152x896", steps="21")
    assert "above the limits, so requests that use them are refused: Size, Steps, Pictures." in panel.text
    await panel.fill("Size, steps, sampler", size="1024x896", steps="20")
    assert "are refused: Pictures." in panel.text


async def test_a_default_size_above_the_models_limit_is_a_warning(panel: AdminPanel) -> None:
    await panel.turn_to("defaults")
    await panel.fill("Size, steps, sampler", size="96x96")
    assert "above the limits" not in panel.text
    await panel.fill("Size, steps, sampler", size="112x96")
    assert "above the limits, so requests that use them are refused: Size." in panel.text


async def test_settings_are_saved_while_the_engine_still_starts(
    panel: AdminPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def model() -> ModelInfo:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(panel.stage.client, "model", model)
    monkeypatch.setattr(context, "MODEL_TIMEOUT", 0.01)
    await panel.turn_to("defaults")
    await panel.fill("Size, steps, sampler", steps="101")
    assert "are refused: Steps." in panel.text
    assert (await panel.settings()).defaults.steps == 101


async def test_quotas_of_everyone_and_of_roles(panel: AdminPanel) -> None:
    role = panel.world.moderator
    await panel.turn_to("quota")
    await panel.fill("Everyone", credits="20")
    await panel.fill("Per role", role=[role], credits="62.5")
    assert await panel.settings() == ServerSettings(quota=Quota(20.0, {role.id: 62.5}))
    assert f"<@&{role.id}> 62.5" in panel.text
    await panel.fill("Per role", role=[role], credits="lots")
    assert "**Credits per day** must be a number." in panel.text
    await panel.choose("unlimited", panel.world.bot_role)
    assert (await panel.settings()).quota == Quota(20.0, {role.id: 62.5}, (panel.world.bot_role.id,))
    await panel.fill("Per role", role=[role], credits="")
    await panel.choose("unlimited")
    await panel.fill("Everyone", credits="")
    assert await panel.settings() == ServerSettings(quota=Quota(None)), "empty is without limit"


async def test_channels_and_roles_that_may_draw(panel: AdminPanel) -> None:
    world = panel.world
    await panel.turn_to("access")
    await panel.choose("channels", world.general, world.after_dark)
    await panel.choose("roles", world.moderator)
    access = (await panel.settings()).access
    assert access == Access((world.general.id, world.after_dark.id), (world.moderator.id,))
    defaults = {
        select["custom_id"]: [int(value["id"]) for value in select.get("default_values") or []]
        for select in panel.message.inputs()
    }
    assert defaults["anima-admin:channels"] == [world.general.id, world.after_dark.id]
    assert defaults["anima-admin:roles"] == [world.moderator.id]
    await panel.choose("channels")
    assert (await panel.settings()).access == Access(roles=(world.moderator.id,))


async def test_deleted_channels_are_no_longer_shown_as_chosen(panel: AdminPanel) -> None:
    await panel.turn_to("access")
    await panel.choose("channels", panel.world.gallery, panel.world.general)
    panel.discord.delete_channel(panel.world.gallery)

    async def is_gone() -> bool:
        return panel.stage.client.get_channel(panel.world.gallery.id) is None

    await until(is_gone)
    await panel.turn_to("overview")
    await panel.turn_to("access")
    (select,) = [c for c in panel.message.inputs() if c["custom_id"] == "anima-admin:channels"]
    assert [int(value["id"]) for value in select["default_values"]] == [panel.world.general.id]


async def test_safety_by_channel_and_for_the_whole_server(panel: AdminPanel) -> None:
    await panel.turn_to("safety")
    await panel.choose("safe-channels", panel.world.after_dark)
    assert (await panel.settings()).safety == Safety(safe_channels=(panel.world.after_dark.id,))
    await panel.press("Safe pictures everywhere")
    assert (await panel.settings()).safety == Safety(True, (panel.world.after_dark.id,))
    await panel.press("Follow age restrictions")
    assert (await panel.settings()).safety == Safety(False, (panel.world.after_dark.id,))


async def test_blocked_words(panel: AdminPanel) -> None:
    await panel.turn_to("words")
    await panel.fill("Change", blocked_words="café\n blood sword ,café,\n\n猫、犬")
    assert (await panel.settings()).safety.blocked_words == ("café", "blood sword", "猫", "犬")
    assert "||café, blood sword, 猫, 犬||" in panel.text
    await panel.fill("Change", blocked_words="x" * 61)
    assert "Nothing was saved. **Words and phrases**" in panel.text
    await panel.fill("Change", blocked_words="")
    assert await panel.settings() == ServerSettings()


async def test_block_and_unblock_a_person(panel: AdminPanel) -> None:
    alice, servers, guild = panel.world.alice, panel.stage.database.servers, panel.world.guild.id
    await panel.turn_to("people")
    await panel.fill("Block a person", person=[alice], reason="@everyone **spam**")
    block = await servers.block_of(alice.id, guild)
    assert block is not None
    assert (block.reason, block.blocked_by) == ("@everyone **spam**", panel.user.id)
    assert f"1. <@{alice.id}>" in panel.text
    assert "**spam**" not in panel.text
    assert panel.message.mentions.users == ()
    await panel.fill("Block a person", person=[alice], reason="again")
    assert "is already blocked" in panel.text
    await panel.fill("Block a person", person=[panel.user])
    assert "You can't block yourself." in panel.text
    await panel.choose("unblock", f"1. {alice.id}")
    assert "can draw again" in panel.text
    assert await servers.block_of(alice.id, guild) is None
    assert [(entry.what, entry.subject_id) for entry in await panel.log()] == [
        ("unblock", alice.id),
        ("block", alice.id),
    ]


async def test_the_log_says_who_changed_what_and_comes_in_pages(panel: AdminPanel) -> None:
    servers, guild = panel.stage.database.servers, panel.world.guild.id
    for steps in range(1, 21):
        await servers.change(guild, {"limits": {"steps": steps}}, by=panel.user.id)
    await panel.turn_to("log")
    assert f"<@{panel.user.id}> changed **Limits**: Steps 19 → 20" in panel.text
    assert panel.text.count("changed **Limits**") == 8
    await panel.press("Older")
    assert "Steps 11 → 12" in panel.text
    assert "Steps 12 → 13" not in panel.text
    await panel.press("Older")
    assert "Steps default → 1" in panel.text
    with pytest.raises(ClientRefused):
        await panel.press("Older")
    await panel.press("Newest")
    assert "Steps 19 → 20" in panel.text


async def test_statistics(panel: AdminPanel) -> None:
    world, jobs = panel.world, panel.stage.database.jobs
    for number in range(3):
        new = NewJob(
            interaction_id=number + 1,
            user_id=world.alice.id,
            guild_id=world.guild.id if number else world.elsewhere.id,
            channel_id=world.general.id,
            kind="imagine",
            cost=1.5,
            prompt="1girl",
        )
        accepted = await jobs.accept(new, Allowance())
        await jobs.cancel(accepted.job.id, by=world.alice.id)  # type: ignore[union-attr]
    await panel.turn_to("statistics")
    assert "**24 hours** 0 pictures, 0 credits, 1 person, 2 cancelled" in panel.text
    assert "**30 days**" in panel.text


# --- Changes are logged, last through a restart, and do not undo each other ---


async def test_every_change_is_logged_with_its_actor_before_and_after(panel: AdminPanel) -> None:
    await panel.turn_to("limits")
    await panel.fill("Size and steps", steps="40")
    await panel.fill("Size and steps", steps="50")
    entries = [(entry.actor_id, entry.what, entry.before, entry.after) for entry in await panel.log()]
    assert entries == [
        (panel.user.id, "limits", {"steps": 40}, {"steps": 50}),
        (panel.user.id, "limits", None, {"steps": 40}),
    ]


async def test_simultaneous_clicks_do_not_undo_each_other(panel: AdminPanel) -> None:
    press, choose = panel.discord.press, panel.discord.choose
    pauses = await asyncio.gather(*(press(panel.user, panel.message, label="Pause drawing") for _ in range(2)))
    for sent in pauses:
        panel.message = await sent.response()
        assert "is paused" in panel.text
    assert [entry.what for entry in await panel.log()] == ["paused"]
    await panel.open("access")
    both = await asyncio.gather(
        choose(panel.user, panel.message, "anima-admin:channels", [panel.world.general]),
        choose(panel.user, panel.message, "anima-admin:roles", [panel.world.moderator]),
    )
    assert len(both) == 2

    async def both_are_kept() -> bool:
        access = (await panel.settings()).access
        return bool(access.channels and access.roles)

    await until(both_are_kept)


async def test_settings_and_the_open_panel_survive_a_restart(panel: AdminPanel) -> None:
    await panel.turn_to("limits")
    await panel.fill("Size and steps", steps="40")
    await panel.stage.restart()
    assert await panel.settings() == ServerSettings(limits=ServerLimits(steps=40))
    await panel.fill("Size and steps", steps="50")
    await panel.turn_to("access")
    await panel.stage.restart()
    await panel.choose("channels", panel.world.general)
    await panel.turn_to("overview")
    assert "50 steps" in panel.text
    assert await panel.settings() == ServerSettings(
        limits=ServerLimits(steps=50), access=Access(channels=(panel.world.general.id,))
    )


async def test_a_form_that_was_open_during_a_restart_is_taken(panel: AdminPanel) -> None:
    await panel.turn_to("limits")
    form = await panel.form("Size and steps")
    await panel.stage.restart()
    await panel.send(form, steps="40")
    assert SAVED in panel.text
    assert await panel.settings() == ServerSettings(limits=ServerLimits(steps=40))


async def test_a_form_that_shows_old_settings_undoes_nothing(panel: AdminPanel) -> None:
    olivia = await AdminPanel(panel.stage, panel.world.owner).open("limits")
    await panel.turn_to("limits")
    form = await panel.form("Size and steps")
    hers = await olivia.form("Size and steps")
    await olivia.send(hers, steps="40")
    await panel.send(form, steps="30")
    assert CHANGED_MEANWHILE in panel.text
    assert "40 steps" in panel.text
    assert await panel.settings() == ServerSettings(limits=ServerLimits(steps=40))
    await panel.fill("Pictures and queue", count="2")
    assert await panel.settings() == ServerSettings(limits=ServerLimits(steps=40, count=2))


# --- Who may ---


async def test_the_command_is_offered_to_admins_in_servers_alone(stage: Stage) -> None:
    world = stage.discord.world
    with pytest.raises(ClientRefused, match="does not have the permissions"):
        await stage.discord.slash(world.alice, world.general, "anima-admin")
    with pytest.raises(ClientRefused, match=r"isn't available|installed neither"):
        await stage.discord.slash(world.bob, stage.discord.dm(world.bob), "anima-admin")


async def test_a_member_who_may_use_the_command_in_discord_is_still_refused(stage: Stage) -> None:
    """A server's owner can offer a command to everyone; what it changes stays with admins."""
    world = stage.discord.world
    for command in stage.discord.commands.of(None):
        if command["name"] == "anima-admin":
            command["default_member_permissions"] = None
    sent = await stage.discord.slash(world.alice, world.general, "anima-admin")
    answer = await sent.response()
    assert answer.is_ephemeral
    assert answer.text == NOT_ADMIN


async def test_a_member_who_forges_a_custom_id_is_refused(stage: Stage) -> None:
    """Any custom_id, on a message of the bot that really has such a button, from somebody without Manage Server."""
    servers, alice, guild = stage.database.servers, stage.discord.world.alice, stage.discord.world.guild
    forged = [f"anima-admin:{action}:{alice.id}" for action in (*ACTIONS, "no-such-action")]
    for row in (forged[start : start + 5] for start in range(0, len(forged), 5)):
        source = await show_buttons(stage, *row)
        for custom_id in row:
            answer = await (await stage.discord.press(alice, source, custom_id=custom_id)).response()
            assert answer.is_ephemeral
            assert answer.text == NOT_ADMIN
    assert (await servers.settings(guild.id)).version == 0
    assert await servers.audit_log(guild.id) == ()


async def test_a_member_who_forges_a_form_is_refused(panel: AdminPanel) -> None:
    world, discord = panel.world, panel.discord
    source = await show_buttons(panel.stage, "anima-admin:no-such-form")
    press = {"component_type": 2, "custom_id": "anima-admin:no-such-form", "id": 2}
    for name in FORMS:
        opened_by = discord.interactions.send(COMPONENT, world.alice, world.general, press, source=source)
        typed = {"type": 4, "id": 2, "custom_id": "steps:0", "value": "1000"}
        data = {
            "custom_id": f"anima-admin:form:{name}",
            "components": [{"type": 18, "id": 1, "component": typed}],
        }
        sent = discord._handle_of(
            discord.interactions.send(
                MODAL_SUBMIT, world.alice, world.general, data, source=source, opened_by=opened_by
            )
        )
        assert (await sent.response()).text == NOT_ADMIN
    assert await panel.settings() == ServerSettings()


async def test_an_admin_who_lost_the_permission_is_refused_by_the_open_panel_and_form(panel: AdminPanel) -> None:
    await panel.turn_to("limits")
    form = await panel.form("Size and steps")
    panel.world.guild.members[panel.user.id].roles.clear()
    await panel.send(form, steps="40")
    assert panel.text == NOT_ADMIN
    assert await panel.settings() == ServerSettings()


# --- When something goes wrong ---


async def show_buttons(stage: Stage, *custom_ids: str) -> Message:
    """A message of the bot with buttons of these custom_ids, as an older version could have left it."""
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.ActionRow(*(ui.Button[Any](label="old", custom_id=custom_id) for custom_id in custom_ids)))
    channel = stage.client.get_partial_messageable(stage.general.id, guild_id=stage.general.guild.id)
    sent = await channel.send(view=view)
    view.stop()
    message = stage.discord.messages.get(sent.id)
    assert message is not None
    return message


async def test_a_control_of_another_version_says_so(stage: Stage) -> None:
    source = await show_buttons(stage, "anima-admin:teleport")
    sent = await stage.discord.press(stage.bob, source, custom_id="anima-admin:teleport")
    assert (await sent.response()).text == OTHER_VERSION


async def test_a_control_with_invalid_data_is_answered_with_an_explanation(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    source = await show_buttons(stage, "anima-admin:unblock")
    sent = await stage.discord.press(stage.bob, source, custom_id="anima-admin:unblock")
    assert "went wrong on my side" in (await sent.followup()).text
    assert "anima-admin:unblock" in caplog.text


async def test_unreadable_settings_are_answered_with_an_explanation(
    panel: AdminPanel, caplog: pytest.LogCaptureFixture
) -> None:
    await panel.turn_to("limits")
    await panel.stage.database.servers.change(panel.world.guild.id, {"limits": {"steps": "many"}}, by=1)
    sent = await panel.discord.press(panel.user, panel.message, label="Size and steps")
    assert "went wrong on my side" in (await sent.response()).text
    sent = await panel.discord.slash(panel.user, panel.world.general, "anima-admin")
    await sent.acknowledged()
    assert "went wrong on my side" in (await sent.followup()).text
    assert "went wrong" in caplog.text


async def test_a_refused_form_reopens_with_everything_as_it_was_typed(panel: AdminPanel) -> None:
    await panel.turn_to("defaults")
    await panel.fill("Size, steps, sampler", size="huge", steps="24", sampler=["euler_a"])
    assert "Nothing was saved." in panel.text
    await panel.stage.restart()
    form = await panel.form("Edit again…")
    shown = {field["custom_id"].partition(":")[0]: field for _, field in form.inputs()}
    assert (shown["size"]["value"], shown["steps"]["value"]) == ("huge", "24")
    assert [option["value"] for option in shown["sampler"]["options"] if option.get("default")] == ["euler_a"]
    await panel.send(form, size="832x1216")
    defaults = (await panel.settings()).defaults
    assert (defaults.size, defaults.steps, defaults.sampler) == ((832, 1216), 24, "euler_a")
