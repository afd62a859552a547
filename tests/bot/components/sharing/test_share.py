"""*Share*: one post of each image in the gallery, for whom it may be shared and by the rules of that channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.components.sharing.share import CANNOT_FETCH, IS_PRIVATE, NO_GALLERY_OUTSIDE, NOT_YOURS_TO_SHARE
from bot.jobs.delivery import outbox
from bot.jobs.gallery.gallery import BLOCKED_THERE, GALLERY_GONE, GALLERY_REFUSED, NO_GALLERY
from bot.sandbox import Channel, FakeDiscord, Message, Permissions, User
from bot.sandbox.model.errors import ApiError, Refusal
from storage.gallery.shares import Share, Shares
from storage.jobs import Job
from tests.bot.harness import Stage, interaction_tasks, until


async def name_gallery(stage: Stage, channel: Channel | None = None, **more: Any) -> Channel:
    channel = channel or stage.discord.world.gallery
    changes = {"gallery_channel_id": channel.id, **more}
    await stage.database.servers.change(stage.general.guild.id, changes, by=stage.bob.id)
    return channel


async def share(stage: Stage, job: Job, message: Message, user: User | None = None, index: int = 0) -> Message:
    """The answer to *Share*."""
    sent = await stage.press_forged(message, f"anima:share:{job.id}:{index}", user or stage.alice)
    return await sent.response()


def posts(stage: Stage, channel: Channel | None = None) -> list[Message]:
    shown = stage.discord.messages_in(channel or stage.discord.world.gallery)
    return [message for message in shown if not message.is_ephemeral]


async def only_share(stage: Stage, job: Job) -> Share:
    [found] = await stage.database.shares.of_job(job.id)
    return found


@pytest.fixture
async def gallery(stage: Stage) -> Channel:
    stage.emi.locale = "en-US"
    return await name_gallery(stage)


async def test_an_image_is_posted_with_its_file_its_asker_and_a_link_to_the_original(
    stage: Stage, gallery: Channel
) -> None:
    job, message = await stage.draw("1girl, *red* hair")
    told = await share(stage, job, message)
    [post] = posts(stage)
    assert told.is_ephemeral and f"/{gallery.id}/{post.id}" in told.text
    assert f"by <@{stage.alice.id}>" in post.text and f"/{stage.general.id}/{message.id}" in post.text
    assert "\\*red\\* hair" in post.text and post.mentions.users == ()
    assert post.attachments[0].data == message.attachments[0].data
    assert post.attachments[0].filename == message.attachments[0].filename
    labels = [each["label"] for each in post.inputs()]
    assert labels == ["Draw again", "Info", "Remove…"]
    assert (await only_share(stage, job)).message_id == post.id


async def test_an_image_is_shared_once_however_often_and_by_whomever_it_is_pressed(
    stage: Stage, gallery: Channel
) -> None:
    job, message = await stage.draw("1girl")
    held = stage.discord.faults.hold("POST", f"^/channels/{gallery.id}/messages")
    sent = [await stage.press_forged(message, f"anima:share:{job.id}:0", user) for user in (stage.alice, stage.bob)]

    async def is_held() -> bool:
        return held.hits == 1

    await until(is_held)
    held.release()
    answers = [await each.response() for each in sent]
    answers.append(await share(stage, job, message))
    [post] = posts(stage)
    assert all(f"/{post.id}" in each.text for each in answers)
    assert ["already" in each.text for each in answers].count(True) == 2


async def test_each_of_several_images_can_be_shared(stage: Stage, gallery: Channel) -> None:
    job, message = await stage.draw("1girl", count=3)
    for index in (2, 0):
        await share(stage, job, message, index=index)
    files = [post.attachments[0].data for post in posts(stage)]
    assert files == [message.attachments[2].data, message.attachments[0].data]


async def test_a_comparison_is_shared_as_a_whole(stage: Stage, gallery: Channel) -> None:
    job, message = await stage.delivered(await stage.slash("compare", prompt="1girl", columns="sampler"))
    cell = await (await stage.discord.choose(stage.alice, message, f"anima:pick:{job.id}", ["1"])).response()
    await (await stage.press(cell, "Share the comparison")).response()
    await share(stage, job, message)
    [post] = posts(stage)
    assert post.attachments[0].data == message.attachments[0].data


async def test_without_a_gallery_or_outside_of_the_server_nothing_is_shared(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    assert (await share(stage, job, message)).text == NO_GALLERY
    await name_gallery(stage)
    other, private = await stage.draw("1girl", where=stage.discord.dm(stage.alice))
    assert (await share(stage, other, private)).text == NO_GALLERY_OUTSIDE
    assert (await share(stage, other, message)).text == NO_GALLERY_OUTSIDE
    assert posts(stage) == []


async def test_a_moderator_shares_anybodys_image_and_other_members_only_their_own(
    stage: Stage, gallery: Channel
) -> None:
    job, message = await stage.draw("1girl")
    assert (await share(stage, job, message, stage.emi)).text == NOT_YOURS_TO_SHARE
    assert posts(stage) == []
    await share(stage, job, message, stage.bob)
    [post] = posts(stage)
    assert f"by <@{stage.alice.id}>" in post.text
    kept = await only_share(stage, job)
    assert (kept.user_id, kept.shared_by) == (stage.alice.id, stage.bob.id)


async def test_blocked_users_share_nothing(stage: Stage, gallery: Channel) -> None:
    job, message = await stage.draw("1girl")
    await stage.client.moderation.block(gallery.guild.id, stage.alice.id, by=stage.bob.id)
    assert "can't draw here" in (await share(stage, job, message)).text
    assert posts(stage) == []


async def test_a_private_image_is_shared_by_its_owner_alone_who_is_asked_first(stage: Stage, gallery: Channel) -> None:
    job, message = await stage.draw("1girl", private=True)
    _, public = await stage.draw("1boy", stage.bob)
    assert "no longer saved" in (await share(stage, job, public, stage.bob)).text
    forged = await stage.press_forged(public, f"anima:share-anyway:{job.id}:0", stage.bob)
    assert "no longer saved" in (await forged.response()).text
    question = await share(stage, job, message)
    assert IS_PRIVATE in question.text and posts(stage) == []
    assert f"/{gallery.id}/" in (await stage.turned(question, "Share it")).text
    [post] = posts(stage)
    assert post.attachments[0].data == message.attachments[0].data
    assert str(message.id) not in post.text, "nobody else can open it"


async def test_a_press_that_names_the_message_of_another_image_shares_neither(stage: Stage, gallery: Channel) -> None:
    job, _ = await stage.draw("1girl", private=True)
    _, public = await stage.draw("1boy")
    sent = await stage.press_forged(public, f"anima:share-anyway:{job.id}:0", stage.alice)
    assert (await sent.response()).text == CANNOT_FETCH and posts(stage) == []


async def test_the_age_rule_of_the_gallery_applies_not_that_of_the_image(stage: Stage, gallery: Channel) -> None:
    job, message = await stage.draw("1girl, nude", where=stage.discord.world.after_dark)
    told = await share(stage, job, message)
    assert f"<#{gallery.id}>" in told.text and "“nude” isn't allowed" in told.text
    assert posts(stage) == [] and await stage.database.shares.of_job(job.id) == ()
    stage.discord.set_age_restricted(gallery, True)

    async def known() -> bool:
        return stage.client.get_channel(gallery.id).is_nsfw()

    await until(known)
    await share(stage, job, message)
    assert len(posts(stage)) == 1


async def test_a_gallery_that_the_cache_does_not_know_is_asked_of_discord(stage: Stage) -> None:
    thread = await name_gallery(stage, stage.discord.world.thread)
    job, message = await stage.draw("1girl, nude", where=stage.discord.world.after_dark)
    stage.discord.archive_thread(thread)

    async def is_forgotten() -> bool:
        return stage.client.get_channel(thread.id) is None

    await until(is_forgotten)
    await share(stage, job, message)
    assert len(posts(stage, thread)) == 1


async def test_currently_blocked_words_apply(stage: Stage, gallery: Channel) -> None:
    job, message = await stage.draw("a turnip")
    await name_gallery(stage, safety={"blocked_words": ["turnip"]})
    assert "This server blocks “turnip”" in (await share(stage, job, message)).text
    assert posts(stage) == []


async def test_a_spoiler_stays_a_spoiler(stage: Stage, gallery: Channel) -> None:
    job, message = await stage.draw("1girl", spoiler=True)
    await share(stage, job, message)
    [post] = posts(stage)
    assert post.attachments[0].filename.startswith("SPOILER_")
    assert all(item["spoiler"] for each in post.components for item in each.get("items", []))


@pytest.fixture
async def judged(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    rules = {"picture_classifier_hides": "nsfw:0.5", "picture_classifier_refuses": "nsfw:0.9"}
    stage.settings |= {"picture_classifier": "some/classifier", **rules}
    await stage.start()
    await name_gallery(stage)
    yield stage
    await stage.stop()


@pytest.mark.parametrize(("probability", "is_posted"), [(0.95, False), (0.6, True), (0.1, True)])
async def test_the_classifier_decides_in_the_gallery_although_the_image_came_from_an_age_restricted_channel(
    judged: Stage, probability: float, is_posted: bool
) -> None:
    judged.engine.labels = {"nsfw": probability}
    job, message = await judged.draw("1girl", where=judged.discord.world.after_dark)
    told = await share(judged, job, message)
    found = posts(judged)
    assert (len(found) == 1) is is_posted
    if is_posted:
        assert found[0].attachments[0].filename.startswith("SPOILER_") is (probability >= 0.5)
    else:
        assert "isn't allowed in this channel" in told.text


async def test_an_unchecked_image_is_not_shared_where_only_safe_images_are_allowed(judged: Stage) -> None:
    judged.engine.labels = {}
    job, message = await judged.draw("1girl", where=judged.discord.world.after_dark)
    assert "never checked" in (await share(judged, job, message)).text
    safe, shown = await judged.draw("1girl")
    await share(judged, safe, shown)
    assert len(posts(judged)) == 1


@pytest.mark.parametrize("denied", [Permissions.ATTACH_FILES, Permissions.SEND_MESSAGES, Permissions.VIEW_CHANNEL])
async def test_a_missing_permission_is_one_sentence_and_once_it_is_there_the_image_is_shared(
    stage: Stage, gallery: Channel, denied: Permissions
) -> None:
    job, message = await stage.draw("1girl")
    bot_role = stage.discord.world.bot_role
    stage.discord.set_overwrite(gallery, bot_role, deny=denied)
    told = await share(stage, job, message)
    assert "I can't post pictures in" in told.text and "Attach Files" in told.text
    assert await stage.database.shares.of_job(job.id) == ()
    stage.discord.set_overwrite(gallery, bot_role)
    await share(stage, job, message)
    assert len(posts(stage)) == 1


async def test_a_gallery_that_is_gone_or_locked_is_one_sentence(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    thread = await name_gallery(stage, stage.discord.world.thread)
    stage.discord.archive_thread(thread, locked=True)
    assert (await share(stage, job, message)).text == GALLERY_REFUSED.format(channel=f"<#{thread.id}>")
    gallery = await name_gallery(stage)
    stage.discord.delete_channel(gallery)
    assert (await share(stage, job, message)).text == GALLERY_GONE


@pytest.mark.parametrize("blocked", ["the prompt", "the image"])
async def test_a_prompt_that_discord_blocks_is_left_out_of_the_post(
    stage: Stage, gallery: Channel, blocked: str
) -> None:
    create = stage.discord.messages.create

    def create_unless_blocked(channel: Any, author: Any, body: Any, *args: Any, **more: Any) -> Any:
        if channel is gallery and (blocked == "the image" or "1girl" in str(body.payload)):
            raise ApiError(Refusal(400, 200000, "Message was blocked by automatic moderation"))
        return create(channel, author, body, *args, **more)

    stage.discord.messages.create = create_unless_blocked  # type: ignore[method-assign]
    job, message = await stage.draw("1girl")
    told = (await share(stage, job, message)).text
    if blocked == "the image":
        assert told == BLOCKED_THERE.format(channel=f"<#{gallery.id}>") and not posts(stage)
    else:
        [post] = posts(stage)
        assert f"/{post.id}" in told and f"<@{stage.alice.id}>" in post.text and post.attachments


async def test_a_post_that_somebody_deleted_can_be_shared_again(stage: Stage, gallery: Channel) -> None:
    job, message = await stage.draw("1girl")
    await share(stage, job, message)
    stage.discord.delete(stage.bob, posts(stage)[0])

    async def is_known() -> bool:
        return await stage.database.shares.of_job(job.id) == ()

    await until(is_known)
    await share(stage, job, message)
    assert len(posts(stage)) == 1


async def test_a_post_deleted_while_the_bot_was_off_is_noticed_when_it_is_shared_again(
    stage: Stage, gallery: Channel
) -> None:
    job, message = await stage.draw("1girl")
    await share(stage, job, message)
    await stage.stop()
    await stage.discord.wait_until_gone()
    stage.discord.delete(stage.bob, posts(stage)[0])
    await stage.start()
    assert "already" not in (await share(stage, job, message)).text
    [post] = posts(stage)
    assert (await only_share(stage, job)).message_id == post.id


async def test_the_button_is_behind_more_for_those_who_may_share_where_there_is_a_gallery(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    more = await (await stage.press(message, "More…")).response()
    assert "Share" not in [each["label"] for each in more.inputs()]
    await name_gallery(stage)
    more = await (await stage.press(message, "More…", stage.emi)).response()
    assert f"anima:share:{job.id}:0" not in [each["custom_id"] for each in more.inputs()]
    for user in (stage.bob, stage.alice):
        told = await (await stage.press_more(message, "Share", user)).response()
    [post] = posts(stage)
    assert f"/{post.id}" in told.text and post.attachments[0].data == message.attachments[0].data


@pytest.mark.parametrize("private", [False, True])
async def test_one_of_several_is_picked_and_shared(stage: Stage, gallery: Channel, private: bool) -> None:
    _, message = await stage.draw("1girl", count=3, private=private)
    picked = await stage.pick(message, 1)
    answer = await (await stage.press(picked, "Share")).response()
    if private:
        await stage.turned(answer, "Share it")
    [post] = posts(stage)
    assert post.attachments[0].data == message.attachments[1].data


async def test_a_private_image_is_shared_from_more(stage: Stage, gallery: Channel) -> None:
    _, message = await stage.draw("1girl", private=True)
    question = await (await stage.press_more(message, "Share")).response()
    await stage.turned(question, "Share it")
    [post] = posts(stage)
    assert post.attachments[0].data == message.attachments[0].data


@pytest.mark.both_databases
async def test_a_kill_between_the_post_and_its_row_leaves_one_post_and_an_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await name_gallery(stage)
    job, message = await stage.draw("1girl")
    write_down = Shares.posted

    async def never(*_: Any) -> bool:
        await asyncio.Event().wait()
        return False

    monkeypatch.setattr(Shares, "posted", never)
    sent = await stage.press_forged(message, f"anima:share:{job.id}:0", stage.alice)

    async def is_posted() -> bool:
        return len(posts(stage)) == 1

    await until(is_posted)
    for task in interaction_tasks():
        task.cancel()
    await asyncio.gather(*interaction_tasks(), return_exceptions=True)
    assert (await only_share(stage, job)).message_id is None
    monkeypatch.setattr(Shares, "posted", write_down)
    await stage.restart()

    async def is_recorded() -> bool:
        return (await only_share(stage, job)).message_id is not None

    await until(is_recorded)
    [post] = posts(stage)
    assert (await only_share(stage, job)).message_id == post.id
    assert f"/{post.id}" in (await sent.response()).text


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_answer_of_discord_that_is_lost_leaves_one_post(
    stage: Stage, gallery: Channel, monkeypatch: pytest.MonkeyPatch, when: Any
) -> None:
    monkeypatch.setattr(outbox, "MIN_RETRY_DELAY", 0.01)
    job, message = await stage.draw("1girl")
    stage.discord.faults.drop("POST", f"^/channels/{gallery.id}/messages", when=when, times=2)
    told = await share(stage, job, message)
    [post] = posts(stage)
    assert f"/{post.id}" in told.text


async def test_posts_are_in_the_servers_language_and_the_answer_in_the_users(stage: Stage, gallery: Channel) -> None:
    assert gallery.guild is not None
    gallery.guild.locale = "ja"
    await stage.restart()
    job, message = await stage.draw("1girl", stage.bob)
    assert (await share(stage, job, message, stage.bob)).is_ephemeral
    [post] = posts(stage)
    labels = [each["label"] for each in post.inputs()]
    assert labels[1] != "Info", "the server's language is Japanese"
