"""ALLOWED_SERVERS: elsewhere everything gets one private sentence, or the bot leaves; and the rules of DMs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.messages.job import NOT_IN_THIS_SERVER
from bot.sandbox import FakeDiscord
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.harness import Stage, until


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


@pytest.mark.parametrize("command", ["imagine", "help", "privacy", "quota", "queue", "history", "preferences"])
async def test_every_command_elsewhere_gets_one_private_sentence(stage: Stage, command: str) -> None:
    stage.settings["allowed_servers"] = "1, 2"
    await stage.restart()
    options = {"prompt": "1girl"} if command == "imagine" else {}
    answer = await stage.answer(command, **options)
    assert answer.is_ephemeral and answer.content == NOT_IN_THIS_SERVER


async def test_old_buttons_elsewhere_get_it_too_and_private_messages_stay_open(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    stage.settings["allowed_servers"] = "1"
    await stage.restart()
    assert (await (await stage.press(message, "Re-roll")).response()).content == NOT_IN_THIS_SERVER
    await stage.draw("1girl", stage.alice, stage.discord.dm(stage.alice))


async def test_what_is_queued_in_a_server_that_is_taken_out_of_the_list_is_dropped_at_the_next_start(
    stage: Stage,
) -> None:
    stage.engine.hold()
    in_private = await stage.ask("in private", stage.emi, stage.discord.dm(stage.emi))
    await stage.in_state(in_private.id, JobState.RUNNING)
    waiting = await stage.ask("waiting")
    operators = await stage.ask("the operator's", stage.bob)
    stage.settings |= {"allowed_servers": "1", "operators": str(stage.bob.id)}
    await stage.restart()
    ended = await stage.in_state(waiting.id, JobState.CANCELLED)
    assert (ended.ended_by, ended.reason) == (None, NOT_IN_THIS_SERVER)

    async def is_told() -> bool:
        message = stage.discord.messages.get(waiting.message_id)
        return message is not None and NOT_IN_THIS_SERVER in message.text

    await until(is_told)
    assert (await stage.database.quotas.usage(Account(stage.alice.id, waiting.guild_id))).spent == 0
    for job in (in_private, operators):
        await stage.in_state(job.id, JobState.DELIVERED)
    assert "waiting" not in {request.prompt for request in stage.engine.requests}


async def test_in_an_allowed_server_everything_works(stage: Stage) -> None:
    stage.settings |= {"allowed_servers": str(stage.discord.world.guild.id), "leave_other_servers": True}
    await stage.restart()
    await stage.draw("1girl")
    assert stage.discord.world.bot.id in stage.discord.world.guild.members


async def test_the_bot_leaves_other_servers_if_configured(stage: Stage) -> None:
    stage.settings |= {"allowed_servers": "1", "leave_other_servers": True}
    await stage.restart()

    async def has_left() -> bool:
        return stage.discord.world.bot.id not in stage.discord.world.guild.members

    assert await until(has_left)


async def test_in_user_installs_an_age_restriction_alone_allows_nothing(stage: Stage) -> None:
    world = stage.discord.world
    stage.discord.set_age_restricted(world.lounge, True)
    asked = await stage.slash("imagine", world.carol, world.lounge, prompt="nude")
    assert "全年齢向けの画像だけが許可されている" in (await asked.followup()).text  # carol reads Japanese
