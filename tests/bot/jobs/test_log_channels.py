"""What is posted in a server's log channel, and that posting never delays or breaks anything else."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import discord
import pytest

from bot.jobs import log_channels
from bot.jobs.delivery import outbox
from bot.messages import log_entries
from bot.messages.log_entries import LogEntry
from bot.rules.server_settings import load_server_settings
from bot.sandbox import Channel, Message
from bot.sandbox.model.errors import ApiError, Refusal
from bot.sandbox.model.world import Permissions
from bot.sandbox.server.faults import When
from bot.text.languages import speaking
from bot.text.translation import say
from storage.schema import JobState
from tests.bot.harness import Stage, until


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_channels, "PAUSE", 0.05)


async def name_log_channel(stage: Stage, channel: Channel | None = None) -> Channel:
    channel = channel or stage.discord.world.gallery
    assert channel.guild is not None
    changes = {"log_channel_id": channel.id, "safety": {"blocked_words": ["turnip"]}}
    await stage.database.servers.change(channel.guild.id, changes, by=stage.bob.id)
    return channel


async def logged(stage: Stage, channel: Channel, *words: str) -> Message:
    """The message of the log channel that has these words, once it is there."""

    async def found() -> Message | None:
        messages = stage.discord.messages_in(channel)
        return next((each for each in messages if all(word in each.text for word in words)), None)

    return await until(found)


async def refused(stage: Stage, prompt: str, **options: object) -> Message:
    sent = await stage.slash("imagine", prompt=prompt, **options)
    return await (sent.response() if options.get("private") else sent.followup())


def pings(message: Message) -> bool:
    mentions = message.mentions
    return bool(mentions.users or mentions.roles or mentions.everyone)


async def test_a_prompt_that_is_refused_is_logged_with_its_words_behind_a_spoiler(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    await refused(stage, "a turnip in a hat")
    message = await logged(stage, channel, "**Refused**")
    first, *hidden = message.text.splitlines()
    assert f"<@{stage.alice.id}>" in first and f"<#{stage.general.id}>" in first and "turnip" not in first
    assert hidden == ["||turnip||", "||a turnip in a hat||"]
    assert not pings(message) and not message.attachments


async def test_hostile_words_stay_behind_their_spoiler_and_ping_nobody(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    prompt = f"turnip || @everyone <@{stage.bob.id}> **x** [a](https://evil.example) ||\n# `y` " + "|" * 3000
    await refused(stage, prompt)
    message = await logged(stage, channel, "**Refused**")
    words = message.text.splitlines()[-1]
    assert len(message.text.splitlines()) == 3 and len(message.text) < 1500
    assert words.startswith("||") and words.endswith("||")
    assert re.sub(r"\\.", "", words[2:-2]).count("|") == 0
    assert "@everyone" not in words and not pings(message)


async def test_a_private_request_is_logged_as_one(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    await refused(stage, "a turnip", private=True)
    message = await logged(stage, channel, "**Refused**")
    assert "privately" in message.text and "||a turnip||" in message.text


async def test_refusals_for_size_or_outside_of_the_server_are_not_logged(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    assert channel.guild is not None
    await stage.database.servers.change(channel.guild.id, {"limits": {"steps": 5}}, by=stage.bob.id)
    await refused(stage, "1girl", steps=50)
    await stage.slash("imagine", where=stage.discord.dm(stage.alice), prompt="nude")
    await refused(stage, "turnip soup")
    await logged(stage, channel, "turnip soup")
    assert len(stage.discord.messages_in(channel)) == 1


async def test_a_job_that_fails_is_logged_with_its_reason(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    await stage.client.outbox.fail(job, "no room for 'a secret || prompt'")
    message = await logged(stage, channel, "**Failed**")
    assert message.text.splitlines()[-1] == "||no room for 'a secret \\|\\| prompt'||"
    assert f"<@{stage.alice.id}>" in message.text and not pings(message)


async def test_a_job_whose_message_somebody_deletes_is_logged(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    stage.discord.delete(stage.bob, message)
    await stage.in_state(job.id, JobState.CANCELLED)
    await logged(stage, channel, "**Deleted**", f"<@{stage.alice.id}>")


async def test_an_image_that_may_not_be_shown_is_logged_without_the_image(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    await stage.client.outbox.refuse(job, "unfit")
    message = await logged(stage, channel, "**Refused**", "||1girl||")
    assert not message.attachments


async def test_blocks_and_unblocks_are_logged(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    assert channel.guild is not None
    await stage.client.moderation.block(channel.guild.id, stage.alice.id, by=stage.bob.id, reason="rude *x*")
    blocked = await logged(stage, channel, "**Blocked**")
    assert blocked.text == f"**Blocked** by <@{stage.bob.id}>: <@{stage.alice.id}>. rude \\*x\\*"
    await stage.client.moderation.unblock(channel.guild.id, stage.alice.id, by=stage.bob.id)
    await logged(stage, channel, "**Unblocked**")
    assert not any(pings(each) for each in stage.discord.messages_in(channel))


async def test_a_deletion_by_a_moderator_is_logged_and_written_down_and_ones_own_is_not(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    for user in (stage.alice, stage.bob):
        _, message = await stage.draw("1girl")
        question = await (await stage.press_more(message, "Delete", user)).response()
        await (await stage.press(question, "Delete for everyone", user)).response()
    await logged(stage, channel, f"**Deleted** by <@{stage.bob.id}>", f"<@{stage.alice.id}>")
    assert len(stage.discord.messages_in(channel)) == 1
    assert channel.guild is not None
    entries = await stage.database.servers.audit_log(channel.guild.id)
    assert [(each.actor_id, each.subject_id) for each in entries if each.what == "delete"] == [
        (stage.bob.id, stage.alice.id)
    ]


async def test_the_log_is_in_the_servers_language(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    assert channel.guild is not None
    guild = stage.client.get_guild(channel.guild.id)
    assert guild is not None
    guild.preferred_locale = discord.Locale.japanese
    await stage.client.moderation.unblock(guild.id, stage.alice.id, by=stage.bob.id)
    await stage.client.moderation.block(guild.id, stage.alice.id, by=stage.bob.id)
    with speaking("ja"):
        said = say(
            "**Blocked** by {moderator}: {person}.", moderator=f"<@{stage.bob.id}>", person=f"<@{stage.alice.id}>"
        )
    await logged(stage, channel, said)


async def test_entries_that_come_together_share_messages(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    assert channel.guild is not None
    entries = [LogEntry(lambda number=number: f"entry {number}") for number in range(20)]  # type: ignore[misc]
    posted = await asyncio.gather(*(stage.client.log_channels.post(channel.guild.id, entry) for entry in entries))
    assert all(posted)
    messages = stage.discord.messages_in(channel)
    assert len(messages) <= 3
    assert "\n".join(each.text for each in messages).splitlines() == [f"entry {number}" for number in range(20)]


async def test_a_flood_is_cut_and_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_channels, "MAX_WAITING", 6)
    channel = await name_log_channel(stage)
    assert channel.guild is not None
    log = stage.client.log_channels
    posted = await asyncio.gather(*(log.post(channel.guild.id, LogEntry(lambda: "x" * 5000)) for _ in range(36)))
    assert (sum(posted), len(posted)) == (6, 36)
    assert "30 more" in stage.discord.messages_in(channel)[-1].text


async def test_a_forbidden_log_channel_causes_only_one_line_in_the_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    channel = await name_log_channel(stage)
    assert channel.guild is not None
    stage.discord.set_overwrite(channel, stage.discord.world.bot_role, deny=Permissions.VIEW_CHANNEL)
    entries = [LogEntry(lambda: "x" * 1000) for _ in range(10)]
    posted = await asyncio.gather(*(stage.client.log_channels.post(channel.guild.id, entry) for entry in entries))
    assert not any(posted)
    assert stage.client.log_channels.was_refused(channel.guild.id)
    assert sum("log channel" in record.message for record in caplog.records) == 1
    await stage.draw("1girl")
    stage.discord.set_overwrite(channel, stage.discord.world.bot_role)
    assert await stage.client.log_channels.post(channel.guild.id, LogEntry(lambda: "again"))
    assert not stage.client.log_channels.was_refused(channel.guild.id)


async def test_a_thread_that_was_archived_is_still_a_log_channel(stage: Stage) -> None:
    thread = await name_log_channel(stage, stage.discord.world.thread)
    stage.discord.archive_thread(thread)
    await until(lambda: _is_forgotten(stage, thread))
    assert await stage.client.log_channels.post(stage.general.guild.id, LogEntry(lambda: "hello"))
    assert [message.text for message in stage.discord.messages_in(thread)] == ["hello"] and not thread.archived


async def _is_forgotten(stage: Stage, thread: Channel) -> bool:
    """Whether discord.py's cache has dropped a thread."""
    return stage.client.get_channel(thread.id) is None


async def test_what_discord_blocks_in_an_entry_is_left_out_of_that_entry_alone(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    create = stage.discord.messages.create

    def create_unless_blocked(where: Any, author: Any, body: Any, *args: Any, **more: Any) -> Any:
        if where is channel and "rude" in str(body.payload):
            raise ApiError(Refusal(400, 200000, "Message was blocked by automatic moderation"))
        return create(where, author, body, *args, **more)

    stage.discord.messages.create = create_unless_blocked  # type: ignore[method-assign]
    job, _ = await stage.draw("1girl")
    reasons = ("odd", "rude", "strange")
    entries = [log_entries.reported(job, "", by=stage.emi.id, reason=reason) for reason in reasons]
    assert all(await asyncio.gather(*(stage.client.log_channels.post(job.guild_id, entry) for entry in entries)))
    texts = "\n".join(message.text for message in stage.discord.messages_in(channel)).splitlines()
    assert [line.strip("|") for line in texts if "odd" in line or "strange" in line] == ["odd", "strange"]
    assert texts.count("||1girl||") == 2 and texts.count(f"-# {log_entries.WORDS_BLOCKED}") == 1
    assert not stage.client.log_channels.was_refused(stage.general.guild.id)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_entry_waits_while_discord_cannot_be_reached_and_is_posted_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, when: When
) -> None:
    monkeypatch.setattr(outbox, "MIN_RETRY_DELAY", 0.01)
    channel = await name_log_channel(stage)
    stage.discord.faults.drop("POST", f"^/channels/{channel.id}/messages", when=when, times=2)
    assert await stage.client.log_channels.post(stage.general.guild.id, LogEntry(lambda: "hello"))
    assert [message.text for message in stage.discord.messages_in(channel)] == ["hello"]


async def test_a_log_channel_of_another_server_is_never_written_to(stage: Stage) -> None:
    """Whatever the database says: the id of a foreign channel in it names nothing."""
    world = stage.discord.world
    world.elsewhere.add_member(world.bot)
    await stage.restart()
    assert stage.client.get_channel(world.lounge.id) is not None
    guild_id = world.guild.id
    await stage.database.servers.change(guild_id, {"log_channel_id": world.lounge.id}, by=stage.bob.id)
    assert not await stage.client.log_channels.post(guild_id, LogEntry(lambda: "secret"))
    assert stage.discord.messages_in(world.lounge) == []


async def test_nothing_is_posted_in_a_server_without_a_log_channel(stage: Stage) -> None:
    guild_id = stage.discord.world.guild.id
    assert not await stage.client.log_channels.post(guild_id, LogEntry(lambda: "nothing"))
    assert (await load_server_settings(stage.database.servers, guild_id)).log_channel_id is None
    assert not stage.client.log_channels.was_refused(guild_id)


async def test_a_log_channel_that_answers_slowly_delays_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = await name_log_channel(stage)
    never = asyncio.Event()

    async def load(*arguments: object) -> object:
        await never.wait()

    monkeypatch.setattr(log_channels, "load_server_settings", load)
    assert "turnip" in (await refused(stage, "a turnip")).text
    await stage.draw("1girl")
    assert stage.discord.messages_in(channel) == []


async def test_however_much_is_escaped_in_it_an_entry_hides_all_that_was_typed(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    job, _ = await stage.draw("_" * 400)
    stage.client.log_channels.post(job.guild_id, log_entries.reported(job, "", by=stage.bob.id, reason="*" * 400))
    message = await logged(stage, channel, "**Reported**")
    _, reason, prompt = message.text.splitlines()
    assert reason.endswith("||") and prompt.endswith("||")


async def test_entries_of_letters_that_count_twice_stay_hidden_together(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    job, _ = await stage.draw("\N{CAT FACE}" * 400)
    jobs = [replace(job, id=number) for number in range(1, 10)]
    entries = [log_entries.reported(each, "", by=stage.bob.id, reason="\N{DOG FACE}" * 400) for each in jobs]
    assert all(await asyncio.gather(*(stage.client.log_channels.post(job.guild_id, entry) for entry in entries)))
    lines = [line for message in stage.discord.messages_in(channel) for line in message.text.splitlines()]
    hidden = [line for line in lines if "\N{CAT FACE}" in line or "\N{DOG FACE}" in line]
    assert len(hidden) == 18 and all(line.startswith("||") and line.endswith("||") for line in hidden)


async def test_reports_of_one_image_by_several_members_at_once_are_all_posted(stage: Stage) -> None:
    channel = await name_log_channel(stage)
    job, _ = await stage.draw("1girl")
    entries = [log_entries.reported(job, "", by=number, reason="rude") for number in range(1, 5)]
    assert all(await asyncio.gather(*(stage.client.log_channels.post(job.guild_id, entry) for entry in entries)))
    texts = [message.text for message in stage.discord.messages_in(channel)]
    assert [text.count("**Reported**") for text in texts] == [1] * 4


async def test_waiting_entries_are_posted_before_the_bot_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_channels, "PAUSE", 3600.0)
    channel = await name_log_channel(stage)
    await refused(stage, "a turnip")
    await logged(stage, channel, "||a turnip||")
    await refused(stage, "two turnips and a turnip")
    await stage.restart()
    await logged(stage, channel, "||two turnips and a turnip||")
