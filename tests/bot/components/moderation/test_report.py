"""*Anima: report*: what members say about an image reaches the moderators, once, or they are told that it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.components.moderation.panel import NOT_A_MODERATOR
from bot.components.moderation.report import (
    MAX_REPORTS,
    NO_LOG_CHANNEL,
    NOTHING_TO_REPORT,
    OUTCOMES,
    PASSED_ON,
    REPORT_NOT_POSTED,
    YOUR_OWN,
)
from bot.jobs import log_channels
from bot.sandbox import Channel, ClientRefused, Message, User
from bot.sandbox.interaction_handle import InteractionHandle
from bot.sandbox.model.interactions import MODAL_SUBMIT
from bot.sandbox.model.world import Permissions
from storage.reports import ReportOutcome, Reports
from storage.schema import JobState
from tests.bot.harness import Stage, interaction_tasks, until

MENU = "Anima: report"


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_channels, "PAUSE", 0.01)


@pytest.fixture
async def log(stage: Stage) -> Channel:
    channel: Channel = stage.discord.world.gallery
    guild_id = stage.discord.world.guild.id
    await stage.database.servers.change(guild_id, {"log_channel_id": channel.id}, by=stage.bob.id)
    return channel


@pytest.fixture
def dan(stage: Stage) -> User:
    """A member like any other."""
    return stage.discord.world.add_user("dan", stage.discord.world.guild)


async def report(stage: Stage, message: Message, user: User, reason: str = "") -> str:
    """Report a message; returns what the person is told."""
    sent = await stage.discord.menu(user, message, MENU)
    modal = await sent.modal()
    return (await (await stage.discord.submit(user, modal, {"What is wrong?": reason})).response()).text


async def told(stage: Stage, message: Message, user: User) -> str:
    """What somebody is told who gets no form."""
    answer = await (await stage.discord.menu(user, message, MENU)).response()
    assert answer.is_ephemeral
    return answer.text


async def test_a_report_reaches_the_log_channel_with_a_link_and_the_reason(
    stage: Stage, log: Channel, dan: User
) -> None:
    _, message = await stage.draw("1girl ||x||")
    assert await report(stage, message, dan, "this is @everyone || **rude**") == PASSED_ON
    [entry] = stage.discord.messages_in(log)
    url = f"https://discord.com/channels/{stage.discord.world.guild.id}/{message.channel.id}/{message.id}"
    assert url in entry.text and f"<@{dan.id}>" in entry.text and f"<@{stage.alice.id}>" in entry.text
    hidden = entry.text.splitlines()[1:]
    assert len(hidden) == 2 and all(line.startswith("||") and line.endswith("||") for line in hidden)
    assert "@everyone" not in entry.text
    mentions = entry.mentions
    assert not (mentions.users or mentions.roles or mentions.everyone) and not entry.attachments


async def test_the_reason_may_be_left_out(stage: Stage, log: Channel, dan: User) -> None:
    _, message = await stage.draw("1girl")
    assert await report(stage, message, dan) == PASSED_ON
    assert len(stage.discord.messages_in(log)[0].text.splitlines()) == 2


async def test_without_a_log_channel_the_user_is_told_at_once(stage: Stage, dan: User) -> None:
    _, message = await stage.draw("1girl")
    assert await told(stage, message, dan) == NO_LOG_CHANNEL


async def test_a_report_that_could_not_be_posted_says_so_and_can_be_made_again(
    stage: Stage, log: Channel, dan: User
) -> None:
    _, message = await stage.draw("1girl")
    stage.discord.set_overwrite(log, stage.discord.world.bot_role, deny=Permissions.SEND_MESSAGES)
    assert await report(stage, message, dan) == REPORT_NOT_POSTED
    stage.discord.set_overwrite(log, stage.discord.world.bot_role)
    assert await report(stage, message, dan) == PASSED_ON


@pytest.mark.parametrize("moment", ["before it is posted", "before it is recorded"])
async def test_a_kill_while_a_report_is_made_neither_loses_nor_repeats_it(
    stage: Stage, log: Channel, dan: User, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    _, message = await stage.draw("1girl")
    reached, add = asyncio.Event(), Reports.add
    posting = "before" if moment == "before it is posted" else "after"
    held = stage.discord.faults.hold("POST", f"^/channels/{log.id}/messages", when=posting)

    async def never(*_: Any, **__: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Reports, "add", never)
    modal = await (await stage.discord.menu(dan, message, MENU)).modal()
    sent = await stage.discord.submit(dan, modal, {"What is wrong?": "rude"})

    async def is_under_way() -> bool:
        return held.hits > 0

    await until(is_under_way)
    if posting == "after":
        held.release()
        await reached.wait()
    for task in interaction_tasks():
        task.cancel()
    await asyncio.gather(*interaction_tasks(), return_exceptions=True)
    held.cut()
    monkeypatch.setattr(Reports, "add", add)
    monkeypatch.setattr(log_channels, "CLOSE_TIMEOUT", 0.0)
    await stage.restart()

    async def is_answered() -> bool:
        return (await sent.response()).text == PASSED_ON

    await until(is_answered)
    assert len(stage.discord.messages_in(log)) == 1
    assert await report(stage, message, dan) == OUTCOMES[ReportOutcome.ALREADY_REPORTED]


async def test_two_reports_of_an_image_by_one_person_at_once_are_one(stage: Stage, log: Channel, dan: User) -> None:
    _, message = await stage.draw("1girl")
    modals = [await (await stage.discord.menu(dan, message, MENU)).modal() for _ in range(2)]
    sent = [await stage.discord.submit(dan, modal, {"What is wrong?": ""}) for modal in modals]
    answers = {(await each.response()).text for each in sent}
    assert answers == {PASSED_ON, OUTCOMES[ReportOutcome.ALREADY_REPORTED]}
    assert len(stage.discord.messages_in(log)) == 1


async def test_each_image_is_reported_once_by_each_person_also_after_a_restart(
    stage: Stage, log: Channel, dan: User
) -> None:
    _, message = await stage.draw("1girl")
    assert await report(stage, message, dan) == PASSED_ON
    await stage.restart()
    assert await report(stage, message, dan) == OUTCOMES[ReportOutcome.ALREADY_REPORTED]
    assert await report(stage, message, stage.discord.world.owner) == PASSED_ON
    assert len(stage.discord.messages_in(log)) == 2


async def test_reports_of_one_user_are_limited_per_hour(stage: Stage, log: Channel, dan: User) -> None:
    answers = [await report(stage, (await stage.draw("1girl"))[1], dan) for _ in range(MAX_REPORTS + 1)]
    assert answers == [PASSED_ON] * MAX_REPORTS + [OUTCOMES[ReportOutcome.TOO_MANY]]


async def test_a_form_that_was_open_during_a_restart_can_be_sent(stage: Stage, log: Channel, dan: User) -> None:
    _, message = await stage.draw("1girl")
    modal = await (await stage.discord.menu(dan, message, MENU)).modal()
    await stage.restart()
    answer = await (await stage.discord.submit(dan, modal, {"What is wrong?": "rude"})).response()
    assert answer.text == PASSED_ON


async def test_only_other_peoples_images_can_be_reported(stage: Stage, log: Channel, dan: User) -> None:
    assert await told(stage, await stage.discord.say(stage.alice, stage.general, "look"), dan) == NOTHING_TO_REPORT
    _, message = await stage.draw("1girl")
    assert await told(stage, message, stage.alice) == YOUR_OWN
    with pytest.raises(ClientRefused):
        await stage.discord.menu(stage.alice, (await stage.draw("1girl", where=stage.discord.dm(stage.alice)))[1], MENU)


@pytest.mark.parametrize("field", ["reason:{secret}", "reason:{elsewhere}", "reason:999", "reason:x", "other:1"])
async def test_a_forged_form_reports_nothing(stage: Stage, log: Channel, dan: User, field: str) -> None:
    world = stage.discord.world
    secret = await stage.in_state((await stage.ask("secret", private=True)).id, JobState.DELIVERED)
    elsewhere = await stage.in_state((await stage.ask("1girl", world.carol, world.lounge)).id, JobState.DELIVERED)
    custom_id = field.format(secret=secret.id, elsewhere=elsewhere.id)
    typed = {"type": 18, "id": 1, "component": {"type": 4, "id": 2, "custom_id": custom_id, "value": "x"}}
    data = {"custom_id": "anima:report", "components": [typed]}
    _, message = await stage.draw("1girl")
    opened_by = (await stage.discord.menu(dan, message, MENU)).interaction
    sent = stage.discord.interactions.send(MODAL_SUBMIT, dan, stage.general, data, opened_by=opened_by)
    assert (await InteractionHandle(sent, stage.discord).response()).text == NOTHING_TO_REPORT
    assert stage.discord.messages_in(log) == []


async def test_moderators_act_on_a_report_in_the_log_channel_after_a_restart(
    stage: Stage, log: Channel, dan: User
) -> None:
    _, message = await stage.draw("1girl")
    await report(stage, message, dan)
    [entry] = stage.discord.messages_in(log)
    await stage.restart()
    refused = await (await stage.press(entry, "Delete", dan)).response()
    assert refused.text == NOT_A_MODERATOR and stage.discord.messages.get(message.id) is not None
    blocked = await (await stage.press(entry, "Block", stage.bob)).response()
    assert blocked.is_ephemeral and "can no longer draw here" in blocked.text
    assert await stage.database.servers.block_of(stage.alice.id, stage.discord.world.guild.id) is not None
    await (await stage.press(entry, "Delete", stage.bob)).response()
    assert stage.discord.messages.get(message.id) is None
    assert stage.discord.messages.get(entry.id) is not None
