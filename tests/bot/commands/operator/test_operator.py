"""`/anima-operator`: for operators alone, in servers and DMs, and everything that it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal

import discord
import pytest

from bot.commands.operator.access import NOT_OPERATOR
from bot.commands.operator.actions import CHANGED_MEANWHILE, OPERATOR_ACTIONS
from bot.commands.operator.forms import FORMS
from bot.commands.operator.pages import PAGES
from bot.jobs import announcements
from bot.jobs.delivery import outbox
from bot.rules.server_settings import load_server_settings
from bot.sandbox import Channel, FakeDiscord, Message, User
from storage.schema import JobState
from storage.servers import EVERYWHERE
from tests.bot.harness import Stage, until


class OperatorPanel:
    """The panel of one operator, as it is now."""

    def __init__(self, stage: Stage, user: User, where: Channel | None = None) -> None:
        self.stage, self.user = stage, user
        self.where = where or stage.general
        self.message: Message

    async def open(self, page: str = "overview") -> OperatorPanel:
        sent = await self.stage.discord.slash(self.user, self.where, "anima-operator")
        self.message = await sent.response()
        return self if page == "overview" else await self.choose("open", page)

    async def choose(self, action: str, value: object) -> OperatorPanel:
        sent = await self.stage.discord.choose(self.user, self.message, f"anima-operator:{action}", [value])
        self.message = await sent.response()
        return self

    async def press(self, label: str) -> OperatorPanel:
        self.message = await (await self.stage.discord.press(self.user, self.message, label=label)).response()
        return self

    async def fill(self, label: str, **values: str) -> OperatorPanel:
        form = await (await self.stage.discord.press(self.user, self.message, label=label)).modal()
        self.message = await (await self.stage.discord.submit(self.user, form, values)).response()
        return self

    @property
    def text(self) -> str:
        return self.message.text


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    stage.settings["operators"] = str(stage.bob.id)
    await stage.start()
    yield stage
    await stage.stop()


@pytest.fixture
def panel(stage: Stage) -> OperatorPanel:
    return OperatorPanel(stage, stage.bob)


async def test_only_operators_may_use_it(stage: Stage, panel: OperatorPanel) -> None:
    for where in (stage.general, stage.discord.dm(stage.alice)):
        answer = await (await stage.discord.slash(stage.alice, where, "anima-operator")).response()
        assert answer.is_ephemeral and answer.content == NOT_OPERATOR
    await panel.open()
    assert panel.message.is_ephemeral and "**Drawing** is on." in panel.text
    for custom_id in ("anima-operator:resume", "anima-operator:send:1", "anima-operator:form-pause"):
        pressed = await stage.press_forged(panel.message, custom_id, stage.alice)
        assert (await pressed.response()).content == NOT_OPERATOR
    assert "**Drawing** is on." in (await OperatorPanel(stage, stage.bob, stage.discord.dm(stage.bob)).open()).text


async def test_without_operators_there_is_no_such_command(stage: Stage) -> None:
    stage.settings["operators"] = ""
    await stage.restart()
    names = {command.name for command in stage.client.tree.get_commands()}
    assert "anima-admin" in names and "anima-operator" not in names


async def test_every_page_opens_and_every_control_leads_somewhere(panel: OperatorPanel) -> None:
    await panel.open()
    for page in [*PAGES][::-1]:
        await panel.choose("open", page)
        ids = [control["custom_id"] for control in panel.message.inputs()]
        assert {id.split(":")[1] for id in ids} <= set(OPERATOR_ACTIONS)
    assert {form.page for form in FORMS.values()} <= set(PAGES)


async def test_a_pause_of_everything_gives_the_reason_and_lasts_through_a_restart(
    stage: Stage, panel: OperatorPanel
) -> None:
    stage.engine.hold()
    running = await stage.in_state((await stage.ask("running")).id, JobState.RUNNING)
    waiting = await stage.ask("waiting", stage.alice)
    private = await stage.ask("private", stage.alice, stage.discord.dm(stage.alice))
    await (await panel.open()).fill("Pause everything", reason="the *GPU* is being replaced")
    assert "2 queued jobs were cancelled" in panel.text
    for job in (waiting, private):
        await stage.in_state(job.id, JobState.CANCELLED)
    stage.engine.let_go()
    await stage.in_state(running.id, JobState.DELIVERED)
    await stage.restart()
    for where in (stage.general, stage.discord.dm(stage.alice)):
        asked = await stage.slash("imagine", stage.alice, where, prompt="later")
        assert r"paused everywhere at the moment: the \*GPU\* is being replaced" in (await asked.followup()).text
    await (await panel.open()).press("Resume drawing")
    await stage.draw("again")


async def test_a_user_blocked_everywhere_draws_nowhere(stage: Stage, panel: OperatorPanel) -> None:
    stage.engine.hold()
    await stage.ask("first", stage.emi)
    waiting = await stage.ask("waiting", stage.alice)
    await panel.open("people")
    await panel.fill("Block a person", person=f"<@{stage.alice.id}>", reason="spam")
    await stage.in_state(waiting.id, JobState.CANCELLED)
    stage.engine.let_go()
    for where in (stage.general, stage.discord.dm(stage.alice)):
        refused = await stage.slash("imagine", stage.alice, where, prompt="again")
        assert "You can't draw here at the moment" in (await refused.response()).text
    await panel.choose("unblock", str(stage.alice.id))
    await stage.draw("again", stage.alice)


@pytest.mark.parametrize("person", ["nobody", "0", "9" * 19, "{operator}"])
async def test_blocking_an_invalid_user_explains_why(stage: Stage, panel: OperatorPanel, person: str) -> None:
    await panel.open("people")
    await panel.fill("Block a person", person=person.format(operator=stage.bob.id))
    assert "Nothing was changed" in panel.text
    assert await stage.database.servers.blocks(EVERYWHERE) == ()


async def test_servers_are_listed_with_what_they_use(stage: Stage, panel: OperatorPanel) -> None:
    await stage.draw("one")
    await stage.draw("two")
    await panel.open("servers")
    guild = stage.discord.world.guild
    assert f"**{guild.name}** `{guild.id}` {len(guild.members)} members" in panel.text
    assert "24 hours: 2 jobs, 2 credits, 30 days: 2 jobs, 2 credits" in panel.text


async def test_an_announcement_is_previewed_and_sent_once(stage: Stage, panel: OperatorPanel) -> None:
    stage.discord.world.guild.system_channel = stage.general
    await stage.restart()
    await panel.open("announce")
    await panel.fill("Write a message", text="Maintenance at *noon*")
    assert "Nothing was sent yet" in panel.text and "Maintenance" in panel.text

    async def sent() -> list[Message]:
        return [message for message in stage.discord.messages_in(stage.general) if not message.is_ephemeral]

    assert await sent() == []
    stale = panel.message
    await panel.press("Send")
    assert "being sent to 1 server" in panel.text

    [message] = await until(sent)
    assert message.content == "Maintenance at *noon*"
    [send] = [each["custom_id"] for each in stale.inputs() if ":send:" in each["custom_id"]]
    again = await stage.press_forged(panel.message, send, stage.bob)
    assert CHANGED_MEANWHILE in (await again.response()).text
    assert len(await sent()) == 1


async def test_an_announcement_needs_a_channel_where_it_may_be_posted(stage: Stage, panel: OperatorPanel) -> None:
    await panel.open("announce")
    await panel.fill("Write a message", text="hello")
    await panel.press("Send")
    assert not stage.discord.request_log.find("POST", "^/channels/")


async def test_the_rules_of_private_messages_are_the_operators(stage: Stage, panel: OperatorPanel) -> None:
    await panel.open("private")
    await panel.fill("Blocked words", blocked_words="spider")
    await panel.press("Follow age restrictions")
    kept = (await load_server_settings(stage.database.servers, None)).safety
    assert (kept.always_safe, kept.blocked_words) == (False, ("spider",))
    asked = await stage.slash("imagine", stage.alice, stage.discord.dm(stage.alice), prompt="a spider")
    assert "spider" in (await asked.followup()).text
    await stage.draw("a spider")
    nude = await stage.slash("imagine", stage.alice, stage.discord.dm(stage.alice), prompt="nude")
    assert "isn't allowed" in (await nude.followup()).text, "private messages are never age-restricted"
    await panel.press("Safe pictures everywhere")
    assert (await load_server_settings(stage.database.servers, None)).safety.always_safe


async def test_a_form_that_was_refused_reopens_as_it_was_typed(stage: Stage, panel: OperatorPanel) -> None:
    await panel.open("people")
    form = await (await stage.discord.press(stage.bob, panel.message, label="Block a person")).modal()
    refused = await (await stage.discord.submit(stage.bob, form, {"User ID": "nobody", "Reason": "spam"})).response()
    again = await (await stage.press(refused, "Edit again…", stage.bob)).modal()
    assert {field["custom_id"]: field["value"] for _, field in again.inputs()} == {"person": "nobody", "reason": "spam"}
    stage.client.operators = frozenset()
    answer = await (await stage.press(refused, "Edit again…", stage.bob)).response()
    assert answer.content == NOT_OPERATOR


async def test_one_server_that_cannot_be_reached_keeps_an_announcement_from_no_other(
    stage: Stage, panel: OperatorPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    guild = stage.discord.world.guild
    guild.system_channel = stage.general
    await stage.restart()
    lookup, server, [known] = stage.client.server_lookup, stage.client.server_lookup.server, stage.client.guilds

    async def each() -> AsyncIterator[discord.abc.Snowflake]:
        for listed in (discord.Object(1), known):
            yield listed

    async def broken(guild_id: int, *thread_ids: int) -> discord.Guild | None:
        if guild_id == 1:
            raise RuntimeError("as little of a server as can be")
        return await server(guild_id, *thread_ids)

    monkeypatch.setattr(announcements, "PAUSE", 0.0)
    monkeypatch.setattr(lookup, "each", each)
    monkeypatch.setattr(lookup, "server", broken)
    stage.client.announcements.send("hello")

    async def sent() -> list[Message]:
        return stage.discord.messages_in(stage.general)

    [message] = await until(sent)
    assert message.content == "hello"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_announcement_waits_while_discord_cannot_be_reached(
    stage: Stage, panel: OperatorPanel, when: Literal["before", "after"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MIN_RETRY_DELAY", 0.01)
    stage.discord.world.guild.system_channel = stage.general
    await stage.restart()
    stage.discord.faults.drop("POST", "^/channels/.*/messages", when=when, times=3)
    stage.client.announcements.send("hello")
    await stage.client.announcements._sending.finish()
    assert [each.content for each in stage.discord.messages_in(stage.general)] == ["hello"]


async def test_an_announcement_continues_after_a_restart_and_reaches_no_server_twice(
    stage: Stage, panel: OperatorPanel
) -> None:
    stage.discord.world.guild.system_channel = stage.general
    await stage.restart()
    [guild] = stage.client.guilds
    servers = stage.database.servers
    to_come = announcements.unfinished(1, "to come", after=guild.id - 1)
    done = announcements.unfinished(2, "was there", after=guild.id)
    await servers.change(EVERYWHERE, {**to_come, **done}, by=stage.bob.id)
    version = (await servers.settings(EVERYWHERE)).version
    await stage.restart()

    async def finished() -> bool:
        stored = await servers_of(stage)
        return not any(key.startswith(announcements.UNFINISHED) for key in stored)

    await until(finished)
    assert [each.content for each in stage.discord.messages_in(stage.general)] == ["to come"]
    assert (await stage.database.servers.settings(EVERYWHERE)).version == version, "open panels stay valid"


async def servers_of(stage: Stage) -> Mapping[str, Any]:
    return (await stage.database.servers.settings(EVERYWHERE)).settings


async def test_an_announcement_sent_just_before_a_crash_is_not_repeated(stage: Stage, panel: OperatorPanel) -> None:
    stage.discord.world.guild.system_channel = stage.general
    await stage.restart()
    for _ in range(2):
        stage.client.announcements.send("once", number=3)
        await stage.client.announcements._sending.finish()
    assert [each.content for each in stage.discord.messages_in(stage.general)] == ["once"]
