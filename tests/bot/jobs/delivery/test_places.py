"""The rules of each place are checked when images are posted there; the job's own message links to them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.jobs.delivery import progress
from bot.jobs.delivery.places import Judgement, Places
from bot.messages.job import SENT_IN_PRIVATE
from bot.rules.image_policy import ImagePolicy, Verdict
from bot.rules.policy import ChannelContext
from bot.sandbox import Channel, FakeDiscord, Message, Permissions
from bot.sandbox.model.errors import ApiError, Refusal
from storage.jobs import Job
from storage.schema import JobState
from storage.servers import EVERYWHERE
from tests.bot.harness import Stage, until


async def drawn_meanwhile(stage: Stage, prompt: str, **options: Any) -> Job:
    stage.engine.hold()
    return await stage.in_state((await stage.ask(prompt, **options)).id, JobState.RUNNING)


def images_in(stage: Stage, channel: Channel) -> list[Message]:
    return [message for message in stage.discord.messages_in(channel) if message.attachments]


def images_in_private(stage: Stage) -> list[Message]:
    return images_in(stage, stage.discord.dm(stage.alice))


def text_of(stage: Stage, job: Job) -> str:
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    return message.text


async def test_an_image_for_an_age_restricted_channel_is_not_sent_as_a_private_message(stage: Stage) -> None:
    after_dark = stage.discord.world.after_dark
    job = await drawn_meanwhile(stage, "1girl, nude", where=after_dark)
    stage.discord.clock.turn(16 * 60)
    stage.discord.set_overwrite(after_dark, stage.discord.world.bot, deny=Permissions.ATTACH_FILES)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.REFUSED)
    assert not images_in_private(stage)

    async def told() -> bool:
        return "can no longer be shown" in text_of(stage, job)

    await until(told)


async def test_an_archived_thread_is_checked_although_it_is_no_longer_cached(stage: Stage) -> None:
    thread = stage.discord.world.thread
    allowed = await drawn_meanwhile(stage, "1girl, nude", where=thread)
    stage.discord.archive_thread(thread)
    stage.engine.let_go()
    await stage.in_state(allowed.id, JobState.DELIVERED)
    refused = await drawn_meanwhile(stage, "1girl, nude", where=thread)
    stage.discord.archive_thread(thread)
    stage.discord.set_age_restricted(stage.discord.world.after_dark, False)
    stage.engine.let_go()
    await stage.in_state(refused.id, JobState.REFUSED)


@pytest.fixture
async def judged(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    stage.settings |= {"picture_classifier": "some/classifier", "picture_classifier_refuses": "nsfw:0.9"}
    await stage.start()
    yield stage
    await stage.stop()


@pytest.mark.parametrize(("probability", "state"), [(0.95, JobState.REFUSED), (0.6, JobState.DELIVERED)])
async def test_the_classifier_decides_about_the_private_message_even_if_the_channel_is_age_restricted(
    judged: Stage, probability: float, state: JobState
) -> None:
    after_dark = judged.discord.world.after_dark
    judged.engine.labels = {"nsfw": probability}
    job = await drawn_meanwhile(judged, "1girl", where=after_dark)
    judged.discord.delete_channel(after_dark)
    judged.engine.let_go()
    await judged.in_state(job.id, state)
    found = images_in_private(judged)
    assert [attachment.is_spoiler for message in found for attachment in message.attachments] == [True] * len(found)
    assert bool(found) == (state is JobState.DELIVERED)


async def test_a_message_whose_image_went_to_a_private_one_says_so_and_offers_no_cancel(stage: Stage) -> None:
    job = await drawn_meanwhile(stage, "1girl")
    stage.discord.clock.turn(16 * 60)
    stage.discord.set_overwrite(stage.general, stage.discord.world.bot, deny=Permissions.ATTACH_FILES)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    assert len(images_in_private(stage)) == 1

    async def says_so() -> bool:
        return SENT_IN_PRIVATE in text_of(stage, job)

    await until(says_so)
    message = stage.discord.messages.get(job.message_id)
    assert message is not None and not message.inputs()


async def test_a_channel_that_lost_its_age_restriction_gets_no_more_previews(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EDIT_INTERVAL", 0.05)
    after_dark = stage.discord.world.after_dark
    job = await drawn_meanwhile(stage, "1girl, nude", where=after_dark)

    async def has_previews() -> bool:
        return bool(images_in(stage, after_dark))

    async def has_none() -> bool:
        return not await has_previews() and "Drawing" in text_of(stage, job)

    await until(has_previews)
    stage.discord.set_age_restricted(after_dark, False)
    await until(has_none)
    stage.discord.set_age_restricted(after_dark, True)
    await until(has_previews)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)


async def test_words_that_were_blocked_meanwhile_are_not_shown_by_such_a_message(stage: Stage) -> None:
    job = await drawn_meanwhile(stage, "1girl, hat")
    guild_id = stage.discord.world.guild.id
    await stage.database.servers.change(guild_id, {"safety": {"blocked_words": ["hat"]}}, by=1)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    assert images_in_private(stage)

    async def told() -> bool:
        return SENT_IN_PRIVATE in text_of(stage, job) and "hat" not in text_of(stage, job)

    await until(told)


async def test_a_message_whose_image_is_in_another_links_to_it(stage: Stage) -> None:
    """Files are not taken in an edit, and words are."""
    messages, edit = stage.discord.messages, stage.discord.messages.edit

    def refuse_files(message: Any, body: Any) -> Any:
        if body.files:
            raise ApiError(Refusal(403, 50013, "Missing Permissions"))
        return edit(message, body)

    job = await drawn_meanwhile(stage, "1girl")
    messages.edit = refuse_files  # type: ignore[method-assign]
    stage.engine.let_go()
    done = await stage.in_state(job.id, JobState.DELIVERED)
    assert done.message_id != job.message_id and len(images_in(stage, stage.general)) == 1

    async def links_to_it() -> bool:
        return f"/{stage.general.id}/{done.message_id}" in text_of(stage, job)

    await until(links_to_it)


@pytest.mark.parametrize("token_lives", [True, False])
async def test_the_message_in_a_thread_that_was_archived_links_to_the_image_below_it(
    stage: Stage, token_lives: bool
) -> None:
    thread = stage.discord.world.thread
    job = await drawn_meanwhile(stage, "1girl", where=thread)
    if not token_lives:
        stage.discord.clock.turn(16 * 60)
    stage.discord.archive_thread(thread)
    stage.engine.let_go()
    done = await stage.in_state(job.id, JobState.DELIVERED)
    assert done.message_id != job.message_id and len(images_in(stage, thread)) == 1

    async def links_to_it() -> bool:
        return f"/{thread.id}/{done.message_id}" in text_of(stage, job)

    await until(links_to_it)
    message = stage.discord.messages.get(job.message_id)
    assert message is not None and not message.inputs()


@pytest.mark.parametrize("code", [200000, 200001, 20009, 240000])
async def test_a_message_whose_prompt_and_image_discord_blocks_says_where_the_image_is(stage: Stage, code: int) -> None:
    messages, edit, create = stage.discord.messages, stage.discord.messages.edit, stage.discord.messages.create

    def is_blocked(body: Any) -> bool:
        return bool(body.files) or "1girl" in str(body.payload)

    def edit_unless_blocked(message: Any, body: Any) -> Any:
        if is_blocked(body):
            raise ApiError(Refusal(400, code, "Blocked"))
        return edit(message, body)

    def create_unless_blocked(channel: Any, author: Any, body: Any, *args: Any, **more: Any) -> Any:
        if channel is stage.general and is_blocked(body):
            raise ApiError(Refusal(400, code, "Blocked"))
        return create(channel, author, body, *args, **more)

    job = await drawn_meanwhile(stage, "1girl")
    messages.edit = edit_unless_blocked  # type: ignore[method-assign]
    messages.create = create_unless_blocked  # type: ignore[method-assign]
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    assert len(images_in_private(stage)) == 1 and not images_in(stage, stage.general)

    async def says_so() -> bool:
        return text_of(stage, job) == f"-# {SENT_IN_PRIVATE}"

    await until(says_so)


async def test_progress_is_shown_without_a_prompt_that_discord_blocks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EDIT_INTERVAL", 0.05)
    edit = stage.discord.messages.edit

    def edit_unless_blocked(message: Any, body: Any) -> Any:
        if "1girl" in str(body.payload):
            raise ApiError(Refusal(400, 200000, "Blocked"))
        return edit(message, body)

    stage.discord.messages.edit = edit_unless_blocked  # type: ignore[method-assign]
    stage.engine.hold()
    job = await stage.ask("1girl")

    async def offers_cancel() -> bool:
        message = stage.discord.messages.get(job.message_id)
        return any(item["label"] == "Cancel" for item in message.inputs())

    await until(offers_cancel)
    assert "1girl" not in text_of(stage, job)
    await stage.press(stage.discord.messages.get(job.message_id), "Cancel")
    await stage.in_state(job.id, JobState.CANCELLED)

    async def says_so() -> bool:
        return "Cancelled" in text_of(stage, job)

    await until(says_so)


@pytest.mark.parametrize("code", [30046, 20022])
async def test_an_image_does_not_wait_until_discord_takes_edits_of_old_or_published_messages(
    stage: Stage, code: int
) -> None:
    job = await drawn_meanwhile(stage, "1girl")
    stage.discord.clock.turn(16 * 60)
    answer = {"message": "Maximum number of edits to messages older than 1 hour reached", "code": code}
    headers = {"Via": "1.1 google", "Retry-After": "600"}
    body = answer | {"retry_after": 600.0, "global": False}
    fault = stage.discord.faults.answer("PATCH", "^/channels/", 429, body, headers=headers, times=10_000)
    stage.engine.let_go()
    done = await stage.in_state(job.id, JobState.DELIVERED)
    assert done.message_id != job.message_id and len(images_in(stage, stage.general)) == 1
    assert fault.hits == 1


@pytest.mark.parametrize(
    ("rules_of", "state"), [("the server", JobState.DELIVERED), ("the operator", JobState.REFUSED)]
)
async def test_the_operators_rules_apply_in_user_installs(stage: Stage, rules_of: str, state: JobState) -> None:
    world = stage.discord.world
    job = await drawn_meanwhile(stage, "1girl, hat", user=world.carol, where=world.lounge)
    guild_id = world.elsewhere.id if rules_of == "the server" else EVERYWHERE
    await stage.database.servers.change(guild_id, {"safety": {"blocked_words": ["hat"]}}, by=1)
    stage.engine.let_go()
    await stage.in_state(job.id, state)
    assert len(images_in(stage, world.lounge)) == (state is JobState.DELIVERED)


async def test_a_job_of_an_earlier_release_follows_the_rules_of_the_server_that_the_bot_is_in(stage: Stage) -> None:
    job = await drawn_meanwhile(stage, "1girl, hat")
    await stage.client.close()
    with closing(sqlite3.connect(stage.database_file)) as database, database:
        database.execute(
            "UPDATE jobs SET parameters = json_remove(parameters, '$.in_own_server') WHERE id = ?", (job.id,)
        )
    await stage.database.servers.change(stage.discord.world.guild.id, {"safety": {"blocked_words": ["hat"]}}, by=1)
    await stage.restart()
    await stage.in_state(job.id, JobState.DELIVERED)
    assert not images_in(stage, stage.general)
    assert len(images_in_private(stage)) == 1


class RefusesAll(ImagePolicy):
    def verdict(self, judged: Any) -> Verdict:
        return Verdict.REFUSED


async def test_each_place_is_judged_by_its_own_rules(stage: Stage) -> None:
    job, _ = await stage.draw("nude", where=stage.discord.world.after_dark)
    places = Places(stage.client.server_lookup, stage.database, RefusesAll())
    restricted = ChannelContext(job.guild_id, job.channel_id, age_restricted=True)
    assert await places.judge(job, restricted) == Judgement(may_be_explicit=True)
    open_to_all = await places.judge(job, ChannelContext(job.guild_id, job.channel_id))
    assert open_to_all.refusal is not None and open_to_all.words_refused
    tame, _ = await stage.draw("1girl")
    judged = await places.judge(tame, places.person_of(tame))
    assert judged.refusal is not None and not judged.words_refused


async def test_the_strictest_rules_apply_if_the_channel_cannot_be_seen(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = await stage.draw("1girl", where=stage.discord.world.after_dark)
    lookup = stage.client.server_lookup
    places = Places(lookup, stage.database, ImagePolicy())
    monkeypatch.setattr(lookup, "known_place", lambda guild_id, channel_id: None)

    async def forbidden(guild_id: int, channel_id: int) -> None:
        response: Any = SimpleNamespace(status=403, reason="no")
        raise discord.Forbidden(response, "no")

    monkeypatch.setattr(lookup, "place", forbidden)
    seen = await places.channel_of(job)
    assert seen is not None and not seen.age_restricted


@pytest.mark.parametrize("age_restricted", [False, True])
async def test_in_user_installs_the_channel_counts_as_it_was_at_the_request(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, age_restricted: bool
) -> None:
    where = stage.discord.world.after_dark if age_restricted else stage.general
    job, _ = await stage.draw("1girl", where=where)
    lookup = stage.client.server_lookup
    monkeypatch.setattr(lookup, "known_place", lambda guild_id, channel_id: None)

    async def no(guild_id: int) -> bool:
        return False

    monkeypatch.setattr(lookup, "is_member", no)
    seen = await Places(lookup, stage.database, ImagePolicy()).channel_of(job)
    assert seen is not None and seen.age_restricted is age_restricted
