"""In many servers discord.py keeps none of them, and Discord tells nothing: everything works all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.commands.admin.log_channel import NOT_A_LOG_CHANNEL
from bot.jobs.servers import lookup, removals
from bot.messages.job import DROPPED_BY_REMOVAL, NOT_IN_THIS_SERVER
from bot.sandbox import Channel, FakeDiscord, Message
from storage.jobs import Account, Job
from storage.schema import JobState
from tests.bot.commands.admin.test_admin import AdminPanel
from tests.bot.commands.operator.test_operator import OperatorPanel
from tests.bot.components.moderation.test_panel import is_blocked, moderate
from tests.bot.harness import Stage, until

CHANNEL = r"^/channels/\d+$"


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(removals, "ROUND_INTERVAL", 3600.0)
    stage = Stage(standin, tmp_path)
    stage.settings |= {"max_cached_servers": 0, "operators": str(stage.bob.id)}
    await stage.start()
    assert list(stage.client.guilds) == []
    yield stage
    await stage.stop()


def looked_at(stage: Stage) -> list[str]:
    """The channels that Discord was asked about."""
    return [request.path.rpartition("/")[2] for request in stage.discord.request_log.find("GET", CHANNEL)]


async def running(stage: Stage, prompt: str, where: Channel) -> Job:
    stage.engine.hold()
    return await stage.in_state((await stage.ask(prompt, where=where)).id, JobState.RUNNING)


def shown_in(stage: Stage, channel: Channel, *words: str) -> Callable[[], Awaitable[Message | None]]:
    async def found() -> Message | None:
        messages = stage.discord.messages_in(channel)
        return next((each for each in messages if all(word in each.text + each.content for word in words)), None)

    return found


# The last look at a channel's age restriction


async def test_a_channel_that_lost_its_age_restriction_gets_nothing_explicit(stage: Stage) -> None:
    after_dark = stage.discord.world.after_dark
    job = await running(stage, "1girl, nude", after_dark)
    stage.discord.set_age_restricted(after_dark, False)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.REFUSED)
    await until(shown_in(stage, after_dark, "can no longer be shown here"))
    assert looked_at(stage) == [str(after_dark.id)]


async def test_it_is_remembered_for_a_while_and_only_age_restricted_channels_are_asked_about(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        await stage.draw("1girl, nude", where=stage.discord.world.after_dark)
        await stage.draw("1girl")
    assert looked_at(stage) == [str(stage.discord.world.after_dark.id)]
    monkeypatch.setattr(lookup, "CACHE_SECONDS", 0.0)
    await stage.draw("1girl, nude", where=stage.discord.world.after_dark)
    assert len(looked_at(stage)) == 2


async def test_a_thread_has_the_age_restriction_of_its_channel(stage: Stage) -> None:
    thread = stage.discord.world.thread
    await stage.draw("1girl, nude", where=thread)
    job = await running(stage, "1girl, nude", thread)
    stage.discord.set_age_restricted(stage.discord.world.after_dark, False)
    stage.client.server_lookup._channels._answers.clear()
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.REFUSED)


async def test_the_strictest_rules_apply_if_the_channel_cannot_be_seen(stage: Stage) -> None:
    job = await running(stage, "1girl, nude", stage.discord.world.after_dark)
    stage.discord.faults.answer("GET", CHANNEL, 403, {"message": "Missing Access", "code": 50001}, times=5)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.REFUSED)
    assert stage.discord.request_log.find("GET", "^/users/@me/guilds$"), "maybe it was removed, so it has a look"


async def test_an_outage_during_the_last_check_is_waited_out(stage: Stage) -> None:
    job = await running(stage, "1girl, nude", stage.discord.world.after_dark)
    stage.discord.faults.answer("GET", CHANNEL, 503)
    stage.engine.let_go()
    assert (await stage.in_state(job.id, JobState.DELIVERED)).attempts == 1


async def test_in_user_installs_the_rules_of_the_request_apply(stage: Stage) -> None:
    world = stage.discord.world
    stage.discord.set_age_restricted(world.lounge, True)
    await stage.draw("1girl", world.carol, world.lounge)
    assert looked_at(stage) == []


# That the bot was removed


async def busy_server(stage: Stage, first_in: Channel) -> tuple[list[Job], Job]:
    """A job that is drawn and one that waits, both in the server, and one outside of it."""
    drawn = await running(stage, "1girl, nude" if first_in.nsfw else "1girl", first_in)
    waiting = await stage.ask("waits", stage.emi)
    outside = await stage.ask("outside", where=stage.discord.dm(stage.alice))
    return [drawn, waiting], outside


async def ended_by_removal(stage: Stage, jobs: list[Job]) -> None:
    for job in jobs:
        assert (await stage.in_state(job.id, JobState.CANCELLED)).reason == DROPPED_BY_REMOVAL
        assert (await stage.database.quotas.usage(Account(job.user_id, job.guild_id))).spent == 0


async def test_a_removal_is_noticed_from_a_refusal(stage: Stage) -> None:
    (drawn, waiting), outside = await busy_server(stage, stage.discord.world.after_dark)
    stage.discord.remove_bot(stage.discord.world.guild)
    await stage.client.server_lookup.server(drawn.guild_id)
    await ended_by_removal(stage, [drawn, waiting])
    stage.engine.let_go()
    await stage.in_state(outside.id, JobState.DELIVERED)


async def test_a_refusal_where_the_bot_still_is_ends_nothing(stage: Stage) -> None:
    jobs, _ = await busy_server(stage, stage.discord.world.after_dark)
    stage.discord.faults.answer("GET", CHANNEL, 403, {"message": "Missing Access", "code": 50001})
    stage.engine.let_go()
    await stage.in_state(jobs[0].id, JobState.REFUSED)
    await stage.in_state(jobs[1].id, JobState.DELIVERED)


async def test_a_removal_is_noticed_without_any_refusal_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "ROUND_INTERVAL", 0.05)
    await stage.restart()
    jobs, outside = await busy_server(stage, stage.general)
    stage.discord.remove_bot(stage.discord.world.guild)
    await ended_by_removal(stage, jobs)
    stage.engine.let_go()
    await stage.in_state(outside.id, JobState.DELIVERED)


async def test_a_removal_while_the_bot_was_off_is_noticed_at_the_start(stage: Stage) -> None:
    jobs, outside = await busy_server(stage, stage.general)
    await stage.stop()
    await stage.discord.wait_until_gone()
    stage.discord.remove_bot(stage.discord.world.guild)
    stage.engine.hold()
    await stage.start()
    await ended_by_removal(stage, jobs)
    stage.engine.let_go()
    await stage.in_state(outside.id, JobState.DELIVERED)


# Roles, channels and servers


async def test_roles_count(stage: Stage) -> None:
    world = stage.discord.world
    world.guild.add_member(stage.emi, world.bot_role)
    access = {"access": {"roles": [world.bot_role.id]}}
    await stage.database.servers.change(world.guild.id, access, by=stage.bob.id)
    refused = await (await stage.slash("imagine", prompt="1girl")).followup()
    assert f"<@&{world.bot_role.id}>" in refused.text + refused.content
    await stage.draw("1girl", stage.emi)


async def test_the_admin_panel_knows_channels_and_roles(stage: Stage) -> None:
    panel = await (await AdminPanel(stage).open()).turn_to("access")
    await panel.choose("channels", panel.world.general, panel.world.after_dark)
    await panel.choose("roles", panel.world.moderator)
    chosen = {str(default["id"]) for control in panel.message.inputs() for default in control.get("default_values", ())}
    assert chosen == {str(panel.world.general.id), str(panel.world.after_dark.id), str(panel.world.moderator.id)}


@pytest.mark.parametrize("where", ["gallery", "thread"])
async def test_a_log_channel_is_chosen_and_written_to(stage: Stage, where: str) -> None:
    channel: Channel = getattr(stage.discord.world, where)
    panel = await (await AdminPanel(stage).open()).turn_to("log-channel")
    await panel.choose("log-channel", channel)
    await until(shown_in(stage, channel, "**Log channel**"))
    assert NOT_A_LOG_CHANNEL not in panel.text


async def test_moderators_moderate_from_another_channel(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    await moderate(stage, message)
    for user, blocks in ((stage.emi, False), (stage.bob, True)):
        _, elsewhere = await stage.draw("2girls", user, stage.discord.world.gallery)
        await (await stage.press_forged(elsewhere, f"anima:moderate:block:{job.id}", user)).response()
        assert await is_blocked(stage, stage.alice) is blocks


async def test_the_history_shows_what_is_not_from_an_age_restricted_channel(stage: Stage) -> None:
    await stage.draw("safe and sound", where=stage.discord.world.gallery)
    await stage.draw("kept in the dark", where=stage.discord.world.after_dark)
    listed = (await stage.answer("history")).text
    assert listed.count("from an age-restricted channel") == 1
    assert listed.index("kept in the dark") < listed.index("from an age-restricted") < listed.index("safe and sound")
    there = await (await stage.slash("history", where=stage.discord.world.after_dark)).response()
    assert "from an age-restricted channel" not in there.text


async def test_the_operator_turns_the_pages_of_all_servers(stage: Stage) -> None:
    world = stage.discord.world
    world.add_servers(25)
    ids = sorted(guild.id for guild in world.guilds.values() if world.bot.id in guild.members)
    panel = await OperatorPanel(stage, stage.bob).open("servers")
    pages = [ids[begin : begin + 10] for begin in (0, 10, 20)]
    for turn, page in [("", pages[0]), ("More", pages[1]), ("More", pages[2]), ("Back", pages[1]), ("Back", pages[0])]:
        if turn:
            await panel.press(turn)
        assert [id for id in ids if f"`{id}`" in panel.text] == page
    assert "26 servers" in panel.text and "2 members" in panel.text
    labels = {control.get("label") for control in panel.message.inputs()}
    assert "More" in labels and "Back" not in labels


async def test_an_announcement_reaches_servers(stage: Stage) -> None:
    stage.discord.world.guild.system_channel = stage.general
    assert await stage.client.announcements.count() == 1
    stage.client.announcements.send("hello to all")
    await until(shown_in(stage, stage.general, "hello to all"))


async def test_the_bot_leaves_a_server_that_it_was_added_to(stage: Stage) -> None:
    stage.settings |= {"allowed_servers": "1", "leave_other_servers": True}
    world = stage.discord.world
    del world.guild.members[world.bot.id]
    await stage.restart()
    world.guild.add_member(world.bot, world.bot_role)
    assert (await stage.answer("help")).content == NOT_IN_THIS_SERVER

    async def has_left() -> bool:
        return world.bot.id not in world.guild.members

    await until(has_left)
