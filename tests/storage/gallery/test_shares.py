"""Which image is in which gallery."""

from datetime import timedelta

import pytest

from storage.database import Database
from storage.gallery.shares import Share
from storage.images import Image
from tests.storage.requests import ADMIN, ALICE, BOB, GUILD, MESSAGE, delivered

GALLERY, POST = 3009, 4009


async def an_image(database: Database, index: int = 0, **changes: object) -> Image:
    return (await database.images.of_job((await delivered(database, images=2, **changes)).id))[index]


async def begun(database: Database, image: Image, by: int = ALICE) -> Share:
    share = await database.shares.begin(image.id, by=by, guild_id=GUILD, channel_id=GALLERY)
    assert share is not None
    return share


async def test_an_image_has_one_row_whoever_shares_it_and_however_often(database):
    image = await an_image(database)
    first, again = await begun(database, image, ADMIN), await begun(database, image)
    assert first == again
    assert (first.image_id, first.user_id, first.shared_by, first.message_id) == (image.id, ALICE, ADMIN, None)
    other = await begun(database, await an_image(database, 1))
    assert other.id != first.id


async def test_a_post_is_found_by_its_message_its_image_and_its_job_once_it_is_made(database):
    image = await an_image(database)
    share = await begun(database, image)
    assert not await database.shares.is_shown(image.job_id, 0, GALLERY)
    assert await database.shares.posted(share.id, POST)
    found = await database.shares.in_message(POST)
    assert found.message_id == POST and found == await database.shares.of_image(image.id)
    assert await database.shares.of_job(image.job_id) == (found,) and await database.shares.get(share.id) == found
    assert await database.shares.is_shown(image.job_id, 0, GALLERY)
    assert not await database.shares.is_shown(image.job_id, 1, GALLERY)
    assert not await database.shares.is_shown(image.job_id, 0, GALLERY + 1)


async def test_an_image_whose_post_is_gone_can_be_shared_again_as_another_post(database):
    image = await an_image(database)
    first = await begun(database, image)
    await database.shares.posted(first.id, POST)
    await database.shares.messages_deleted([POST, POST + 1])
    assert await database.shares.get(first.id) is None
    second = await begun(database, image)
    assert second.id > first.id
    await database.shares.end(second.id)
    await database.shares.end(second.id)
    assert await database.shares.get(second.id) is None
    assert not await database.shares.posted(second.id, POST)


async def test_deleted_messages_that_were_no_posts_write_nothing(database, monkeypatch):
    share = await begun(database, await an_image(database))
    await database.shares.posted(share.id, POST)

    def writing(alone_with: str = "") -> None:
        raise AssertionError("nothing is to be written")

    with monkeypatch.context() as patched:
        patched.setattr(database.transactions, "writing", writing)
        await database.shares.messages_deleted([POST + 1, POST + 2])
    assert (await database.shares.get(share.id)).message_id == POST


async def test_images_deleted_from_the_history_are_not_shared(database):
    image = await an_image(database)
    await database.images.delete([image.id])
    assert await database.shares.begin(image.id, by=ALICE, guild_id=GUILD, channel_id=GALLERY) is None
    assert await database.shares.begin(999, by=ALICE, guild_id=GUILD, channel_id=GALLERY) is None


@pytest.mark.parametrize("is_posted", [True, False])
async def test_erasing_leaves_where_the_posts_are_until_they_are_deleted_and_nothing_else(database, is_posted):
    mine = await begun(database, await an_image(database))
    if is_posted:
        await database.shares.posted(mine.id, POST)
    by_me = await begun(database, await an_image(database, user_id=BOB, message_id=MESSAGE + 1), ALICE)
    await database.privacy.erase(ALICE)
    [left] = await database.shares.erased()
    assert (left.id, left.image_id, left.user_id, left.shared_by) == (mine.id, None, None, None)
    assert (left.channel_id, left.message_id) == (GALLERY, POST if is_posted else None)
    assert not await database.shares.posted(mine.id, POST), "a post that comes too late is not recorded"
    kept = await database.shares.get(by_me.id)
    assert (kept.user_id, kept.shared_by) == (BOB, None)
    await database.shares.end(mine.id)
    assert await database.shares.erased() == ()


async def test_posts_of_jobs_that_are_forgotten_for_their_age_are_still_known(database, clock):
    share = await begun(database, await an_image(database))
    clock.turn(timedelta(days=9))
    forgotten = await database.privacy.forget_older_than(images=timedelta(days=2))
    assert forgotten.jobs == 0
    assert await database.shares.get(share.id) == share and await database.shares.erased() == ()
