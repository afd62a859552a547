"""`/anima quota`: what was used, what is left and when there is room, with and without limits."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as some

from bot.commands.quota import described
from storage.jobs import Allowance
from storage.quotas import Charge, Usage
from storage.schema import JobState
from tests.bot.harness import Stage

NO_CREDITS_IN_PRIVATE = "The bot's operator switched off drawing in private messages. Use me in a server."
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def test_without_limits_the_usage_is_shown_and_that_there_is_no_limit(stage: Stage) -> None:
    await stage.database.servers.change(stage.discord.world.guild.id, {"quota": {"credits": None}}, by=1)
    await stage.draw("1girl")
    message = await stage.answer("quota")
    assert message.is_ephemeral
    assert "You have used **1 credit** in this server" in message.text
    assert "You have no limit here" in message.text
    assert "back <t:" not in message.text


async def test_the_quota_shown_comes_from_the_client(stage: Stage, monkeypatch) -> None:
    async def allowance(interaction: object) -> Allowance:
        return Allowance(credits=1.5, waiting=3)

    monkeypatch.setattr(stage.client, "allowance", allowance)
    await stage.draw("1girl")
    message = await stage.answer("quota")
    assert "0.5 credits of 1.5 left" in message.text
    assert "You can draw a picture with default settings <t:" in message.text
    assert "You can have up to 3 jobs in the queue" in message.text


async def test_the_operators_limit_applies_in_user_installs(stage: Stage) -> None:
    world = stage.discord.world
    stage.settings["credits_outside_servers"] = 1.0
    await stage.restart()
    for user, where in ((stage.alice, stage.discord.dm(stage.alice)), (world.carol, world.lounge)):
        await stage.draw("1girl", user, where)
        another = await stage.slash("imagine", user, where, prompt="1girl")
        assert "24" in (await another.followup()).text, "the hours in which so much may be spent, in any language"
        assert await stage.database.jobs.by_interaction(another.id) is None
    await stage.draw("1girl")
    assert "49 credits of 50 left" in (await stage.answer("quota")).text
    stage.settings["credits_outside_servers"] = None
    await stage.restart()
    await stage.draw("1girl", stage.alice, stage.discord.dm(stage.alice))


async def test_without_credits_outside_of_servers_one_is_sent_to_a_server(stage: Stage) -> None:
    stage.settings["credits_outside_servers"] = 0
    await stage.restart()
    where = stage.discord.dm(stage.alice)
    refused = await stage.slash("imagine", stage.alice, where, prompt="1girl")
    assert (await refused.followup()).text == NO_CREDITS_IN_PRIVATE
    told = await (await stage.slash("quota", stage.alice, where)).response()
    assert told.text == NO_CREDITS_IN_PRIVATE


async def test_without_credits_in_a_server_one_is_sent_to_its_admins(stage: Stage) -> None:
    await stage.database.servers.change(stage.general.guild.id, {"quota": {"credits": 0}}, by=1)
    refused = await stage.slash("imagine", prompt="1girl")
    assert (await refused.followup()).text == "You have no credits in this server. Ask a server admin."


async def test_unused_quotas_mention_no_refill(stage: Stage) -> None:
    message = await stage.answer("quota")
    assert "**0 credits**" in message.text
    assert "back" not in message.text


def test_credits_return_when_enough_has_expired() -> None:
    usage = Usage((Charge(NOON, 0.4), Charge(NOON + timedelta(hours=1), 9.6)))
    said = described(usage, Allowance(credits=10), in_server=True)
    assert f"You can draw a picture with default settings <t:{int((NOON + timedelta(hours=25)).timestamp())}:R>" in said


def test_a_limit_below_a_default_picture_promises_no_room() -> None:
    said = described(Usage(()), Allowance(credits=0.5), in_server=False)
    assert "costs more than your limit" in said


@given(
    some.lists(some.floats(0.001, 100).map(lambda credits: Charge(NOON, round(credits, 3))), max_size=50),
    some.none() | some.floats(0, 1000),
)
def test_any_usage_under_any_limit_can_be_shown(charges: list[Charge], limit: float | None) -> None:
    said = described(Usage(tuple(charges)), Allowance(credits=limit), in_server=True)
    assert len(said) <= 2000
    assert not re.search(r"-\d", said), "nobody has less than nothing left"


async def test_the_operators_limits_are_the_same_ones_in_whatever_server_a_person_brings_the_bot_to(
    stage: Stage,
) -> None:
    world, carol = stage.discord.world, stage.discord.world.carol
    stage.settings["credits_outside_servers"] = 1.0
    await stage.restart()
    await stage.draw("1girl", carol, world.lounge)
    another = await stage.slash("imagine", carol, stage.discord.dm(carol), prompt="1girl")
    assert "24" in (await another.followup()).text
    assert await stage.database.jobs.by_interaction(another.id) is None


async def test_queued_jobs_outside_of_servers_count_together(stage: Stage) -> None:
    world, carol = stage.discord.world, stage.discord.world.carol
    await stage.database.servers.change(0, {"limits": {"waiting": 1}}, by=1)
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.emi)).id, JobState.RUNNING)
    await stage.ask("waits", carol, world.lounge)
    another = await stage.slash("imagine", carol, stage.discord.dm(carol), prompt="too many")
    await another.followup()
    assert await stage.database.jobs.by_interaction(another.id) is None
