"""The buttons under an image in the gallery: for whoever sees it, and removal for its asker and moderators."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from bot.components.moderation.panel import REMOVE_IT
from bot.components.sharing.gallery_post import NO_LONGER_SHARED, NOT_YOURS_TO_REMOVE, REMOVED
from bot.jobs import log_channels
from bot.sandbox import Channel, Message, Permissions, User
from storage.jobs import Job
from tests.bot.components.sharing.test_share import name_gallery, only_share, posts, share
from tests.bot.harness import Stage, until
from tests.bot.jobs.test_log_channels import logged


@pytest.fixture
async def gallery(stage: Stage) -> Channel:
    stage.emi.locale = "en-US"
    return await name_gallery(stage)


@pytest.fixture
async def log(stage: Stage, gallery: Channel, monkeypatch: pytest.MonkeyPatch) -> Channel:
    """The log channel of the gallery's server."""
    monkeypatch.setattr(log_channels, "PAUSE", 0.05)
    staff = stage.discord.world.staff
    stage.discord.set_overwrite(staff, stage.discord.world.bot_role, allow=Permissions.VIEW_CHANNEL)
    await name_gallery(stage, log_channel_id=staff.id)
    return staff


async def shared(stage: Stage, **options: object) -> tuple[Job, Message, Message]:
    """A job, its message and its post."""
    job, message = await stage.draw("1girl", **options)  # type: ignore[arg-type]
    answer = await share(stage, job, message)
    if options.get("private"):
        await stage.turned(answer, "Share it")
    return job, message, posts(stage)[-1]


async def remove(stage: Stage, post: Message, user: User) -> str:
    question = await (await stage.press(post, "Remove…", user)).response()
    if not question.inputs():
        return question.text
    return (await stage.turned(question, "Remove from the gallery", user)).text


@pytest.mark.parametrize("private", [False, True])
async def test_anyone_who_sees_a_post_can_draw_it_again_privately(
    stage: Stage, gallery: Channel, private: bool
) -> None:
    job, _, post = await shared(stage, private=private)
    again, _ = await stage.delivered(await stage.press(post, "Draw again", stage.emi))
    assert (again.user_id, again.private, again.prompt) == (stage.emi.id, True, job.prompt)
    assert len(posts(stage)) == 1, "a gallery has nothing but what was shared"


@pytest.mark.parametrize("private", [False, True])
async def test_anyone_who_sees_a_post_can_see_how_it_was_made(stage: Stage, gallery: Channel, private: bool) -> None:
    _, _, post = await shared(stage, private=private)
    info = await (await stage.press(post, "Info", stage.emi)).response()
    assert info.is_ephemeral and "How it was made" in info.text
    assert await (await stage.press(info, "Save as preset…", stage.emi)).modal()


async def test_only_the_image_that_was_shared_is_shown_to_others(stage: Stage, gallery: Channel) -> None:
    job, message = await stage.draw("1girl", private=True, count=2)
    await stage.turned(await share(stage, job, message, index=1), "Share it")
    [post] = posts(stage)
    for index, words in ((1, "How it was made"), (0, "no longer saved")):
        sent = await stage.press_forged(post, f"anima:info:{job.id}:{index}", stage.emi)
        assert words in (await sent.response()).text


async def test_its_asker_removes_it_which_is_not_logged_and_can_share_it_again(stage: Stage, gallery: Channel) -> None:
    job, message, post = await shared(stage)
    assert await remove(stage, post, stage.alice) == REMOVED
    assert posts(stage) == [] and await stage.database.shares.of_job(job.id) == ()
    assert stage.discord.messages.get(message.id) is not None, "the original stays"
    written = await stage.database.servers.audit_log(gallery.guild.id)
    assert [each.what for each in written] == ["gallery_channel_id"]
    await share(stage, job, message)
    assert len(posts(stage)) == 1


async def test_a_member_who_did_not_ask_for_it_does_not_remove_it(stage: Stage, gallery: Channel) -> None:
    job, _, post = await shared(stage)
    assert await remove(stage, post, stage.emi) == NOT_YOURS_TO_REMOVE
    share_id = (await only_share(stage, job)).id
    forged = await stage.press_forged(post, f"anima:unshare-for-good:{share_id}", stage.emi)
    assert (await forged.response()).text == NOT_YOURS_TO_REMOVE
    assert len(posts(stage)) == 1


async def test_a_post_is_not_removed_by_the_button_of_another(stage: Stage, gallery: Channel) -> None:
    """A post from before the database was lost has the number of another one."""
    job, _, post = await shared(stage)
    _, _, other = await shared(stage)
    share_id = (await only_share(stage, job)).id
    forged = await stage.press_forged(other, f"anima:unshare:{share_id}", stage.alice)
    assert (await forged.response()).text == NO_LONGER_SHARED
    assert len(posts(stage)) == 2 and post in posts(stage)


async def test_a_moderator_removes_it_and_that_is_logged(stage: Stage, gallery: Channel, log: Channel) -> None:
    _, _, post = await shared(stage)
    assert await remove(stage, post, stage.bob) == REMOVED
    assert posts(stage) == []
    entry = await logged(stage, log, "**Removed**")
    assert all(f"<@{user.id}>" in entry.text for user in (stage.alice, stage.bob)) and not entry.attachments
    assert f"<#{gallery.id}>" in entry.text and entry.mentions.users == ()
    [written, *_] = await stage.database.servers.audit_log(gallery.guild.id)
    assert (written.what, written.actor_id, written.subject_id) == ("unshare", stage.bob.id, stage.alice.id)


async def test_a_moderator_of_the_gallery_alone_removes_it(stage: Stage, gallery: Channel) -> None:
    dan = stage.discord.world.add_user("dan", gallery.guild)
    stage.discord.set_overwrite(gallery, dan, allow=Permissions.MANAGE_MESSAGES)
    _, _, post = await shared(stage)
    assert await remove(stage, post, dan) == REMOVED


async def test_its_asker_may_remove_it_while_blocked(stage: Stage, gallery: Channel) -> None:
    _, _, post = await shared(stage)
    await stage.client.moderation.block(gallery.guild.id, stage.alice.id, by=stage.bob.id)
    assert await remove(stage, post, stage.alice) == REMOVED


@pytest.mark.parametrize("erased", [False, True])
async def test_a_post_stays_after_its_image_expires_and_its_owner_can_still_remove_it(
    stage: Stage, gallery: Channel, erased: bool
) -> None:
    _, _, post = await shared(stage)
    await stage.database.privacy.forget_older_than(images=timedelta(0))
    assert len(posts(stage)) == 1, "messages stay in Discord"
    if erased:
        await stage.database.privacy.erase(stage.alice.id)
        await until(partial(_is_empty, stage))
    else:
        assert await remove(stage, post, stage.emi) == NOT_YOURS_TO_REMOVE
        assert await remove(stage, post, stage.alice) == REMOVED
    assert posts(stage) == []


async def _is_empty(stage: Stage) -> bool:
    return posts(stage) == []


async def test_missing_posts_are_reported(stage: Stage, gallery: Channel) -> None:
    job, _, post = await shared(stage)
    share_id = (await only_share(stage, job)).id
    await stage.database.shares.end(share_id)
    assert await remove(stage, post, stage.alice) == NO_LONGER_SHARED


async def test_the_buttons_work_after_a_restart(stage: Stage, gallery: Channel) -> None:
    _, _, post = await shared(stage)
    await stage.restart()
    assert await remove(stage, post, stage.alice) == REMOVED


async def test_deleting_an_image_for_everyone_takes_it_from_the_gallery_too(stage: Stage, gallery: Channel) -> None:
    _, message, _ = await shared(stage)
    question = await (await stage.press_more(message, "Delete")).response()
    await stage.turned(question, "Delete for everyone")
    assert posts(stage) == []


@pytest.mark.parametrize("private", [False, True])
async def test_a_member_reports_a_post_in_the_gallery(
    stage: Stage, gallery: Channel, log: Channel, private: bool
) -> None:
    _, message, post = await shared(stage, private=private)
    form = await (await stage.discord.menu(stage.emi, post, "Anima: report")).modal()
    await (await stage.discord.submit(stage.emi, form, {"What is wrong?": "rude"})).response()
    entry = await logged(stage, log, "**Reported**")
    assert f"/{(post if private else message).id}" in entry.text and "||rude||" in entry.text
    assert bool(entry.inputs()) is not private, "moderators remove a private one from the gallery, and nothing else"


async def test_a_moderator_moderates_a_post_in_the_gallery(stage: Stage, gallery: Channel) -> None:
    _, message, post = await shared(stage)
    panel = await (await stage.discord.menu(stage.bob, post, "Anima: moderate…")).response()
    await stage.turned(panel, "Delete", stage.bob)
    assert stage.discord.messages.get(message.id) is None and posts(stage) == []
    _, _, private = await shared(stage, private=True)
    told = await (await stage.discord.menu(stage.bob, private, "Anima: moderate…")).response()
    assert told.text == REMOVE_IT
