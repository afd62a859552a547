"""Finished images, history and its search."""

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storage.database import Database
from tests.storage.requests import ALICE, BOB, CHANNEL, MESSAGE, accepted, an_image, delivered, rendered, running

VOCABULARY = ["red", "blue", "hair", "1girl", "café", "青い", "@micah"]


async def everything_shown(database: Database, **question) -> list[int]:
    """All pages from the newest to the oldest picture; each page is also reached again from the next older one."""
    page = await database.images.history(**question)
    ids = [image.id for image in page.images]
    while page.older is not None:
        older = await database.images.history(**question, before=page.older)
        assert (await database.images.history(**question, after=older.newer)).images == page.images
        ids += [image.id for image in older.images]
        page = older
    return ids


async def test_a_picture_comes_back_as_it_was_drawn(database, clock):
    parent = await delivered(database)
    [origin] = await database.images.of_job(parent.id)
    job = await running(database, kind="vary", parent_picture_id=origin.id, spoiler=True, private=True)
    drawn = an_image(
        seed=2**64 - 1,
        width=832,
        height=1216,
        prompt="青い髪",
        metadata="Steps: 30",
        file_name="a b.png",
        notes=("one", "and\nanother"),
    )
    [picture_id] = await database.jobs.rendered(job.id, [drawn])

    image = await database.images.get(picture_id)
    assert (image.seed, image.width, image.height) == (2**64 - 1, 832, 1216)
    assert (image.prompt, image.metadata, image.file_name) == ("青い髪", "Steps: 30", "a b.png")
    assert image.notes == ("one", "and another")
    assert (image.kind, image.spoiler, image.private) == ("vary", True, True)
    assert (image.parent_picture_id, image.user_id, image.created_at) == (origin.id, ALICE, clock.now)


async def test_a_picture_knows_what_was_made_from_it(database):
    [origin] = await database.images.of_job((await delivered(database)).id)
    child = await delivered(database, parent_picture_id=origin.id)
    await rendered(database, parent_picture_id=origin.id)
    assert [image.job_id for image in await database.images.children(origin.id)] == [child.id]


async def test_files_wait_for_delivery_through_a_restart(url, clock):
    content = bytes(range(256)) * 4000
    before = await Database.open(url, clock)
    job = await running(before)
    await before.jobs.rendered(job.id, [an_image(1, content=b"second"), an_image(0, content=content)])
    await before.close()

    after = await Database.open(url, clock)
    files = await after.images.renders(job.id)
    assert [(file.image.index, file.content) for file in files] == [(0, content), (1, b"second")]
    assert (await after.images.history(ALICE)).images == ()
    await after.close()


async def test_history_shows_delivered_pictures_of_one_person_newest_first(database):
    first = await delivered(database, images=2)
    second = await delivered(database)
    await delivered(database, user_id=BOB)
    await rendered(database)
    page = await database.images.history(ALICE)
    assert [(image.job_id, image.index) for image in page.images] == [
        (second.id, 0),
        (first.id, 1),
        (first.id, 0),
    ]
    assert (page.older, page.newer) == (None, None)


async def test_a_deleted_picture_leaves_history_but_not_the_lineage(database, clock):
    job = await delivered(database, images=2)
    kept, deleted = await database.images.of_job(job.id)
    assert await database.images.delete([deleted.id, deleted.id]) == (deleted.id,)
    assert await database.images.delete([deleted.id]) == ()
    assert [image.id for image in (await database.images.history(ALICE)).images] == [kept.id]
    assert [image.id for image in (await database.images.history(ALICE, words="red")).images] == [kept.id]
    assert (await database.images.get(deleted.id)).deleted_at == clock.now


async def test_a_deleted_message_takes_its_pictures_out_of_history(database):
    gone = await delivered(database, images=2, message_id=MESSAGE)
    await delivered(database, message_id=MESSAGE + 1)
    ids = tuple(image.id for image in await database.images.of_job(gone.id))
    assert await database.images.delete_message(MESSAGE) == ids
    assert len((await database.images.history(ALICE)).images) == 1


async def test_pages_show_every_picture_once_and_words_find_what_has_them(database):
    prompts = [" ".join(VOCABULARY[place] for place in range(7) if number >> place & 1) for number in range(40)]
    shown = {ALICE: [], BOB: []}
    for number, prompt in enumerate(prompts):
        user_id = ALICE if number % 3 else BOB
        job = await delivered(database, user_id=user_id, prompt=prompt, images=1 + number % 2)
        for image in await database.images.of_job(job.id):
            if image.id % 5:
                shown[user_id].insert(0, (image.id, prompt))
            else:
                await database.images.delete([image.id])
    for user_id, images in shown.items():
        for limit in (1, 3, 7, 100):
            assert await everything_shown(database, user_id=user_id, limit=limit) == [id for id, _ in images]
        for words in (["RED"], ["hair", "1girl"], ["Café"], ["青い"], ["micah", "blue"], ["redhead"]):
            matching = [id for id, prompt in images if set(" ".join(words).lower().split()) <= tokens(prompt)]
            assert await everything_shown(database, user_id=user_id, words=" ".join(words), limit=3) == matching


def tokens(prompt: str) -> set[str]:
    return set(re.findall(r"\w+", prompt.lower()))


async def test_a_user_id_typed_as_a_word_opens_nobodys_history(database):
    await delivered(database, user_id=BOB)
    for words in (f"{BOB}", f'user_id : "{BOB}"', f'red") OR user_id : "{BOB}', 'red" OR prompt : "red'):
        assert (await database.images.history(ALICE, words=words)).images == ()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
@example('"')
@example("NEAR(a b) AND * ^ - + {}:")
@example("\x00 \ud800")
@example("ﷺ ̈̈ ²")
async def test_any_words_may_be_searched(database, words):
    await database.images.history(ALICE, words=words)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(), max_size=60))
@example("\x00")
@example("lone \ud83d surrogate")
async def test_any_prompt_may_be_kept(database, prompt):
    job = await accepted(database, prompt=prompt, parameters={"asked": prompt})
    kept = (await database.jobs.get(job.id)).prompt
    assert kept == re.sub("[\0\ud800-\udfff]", "\ufffd", prompt)


async def test_delivering_twice_does_nothing_the_second_time(database):
    job = await delivered(database)
    assert not await database.jobs.delivered(job.id, channel_id=CHANNEL, message_id=MESSAGE + 9, attachments={})
    assert (await database.jobs.get(job.id)).message_id == MESSAGE


@pytest.mark.parametrize("seed", [-1, 2**64])
async def test_a_seed_that_no_sampler_takes_is_not_written(database, seed):
    job = await running(database)
    with pytest.raises(Exception, match="is not between 0 and"):
        await database.jobs.rendered(job.id, [an_image(seed=seed)])
    assert (await database.jobs.get(job.id)).state == "running"


async def test_a_classifiers_labels_are_stored_after_delivery_too(database):
    job = await running(database)
    await database.jobs.rendered(job.id, [an_image(0, labels={"nsfw": 0.75}), an_image(1)])
    assert [each.image.labels for each in await database.images.renders(job.id)] == [{"nsfw": 0.75}, None]
    await database.jobs.delivered(job.id, channel_id=CHANNEL, message_id=MESSAGE, attachments={})
    assert [image.labels for image in await database.images.of_job(job.id)] == [{"nsfw": 0.75}, None]


async def test_only_some_of_what_was_made_from_a_picture_is_read(database):
    [origin] = await database.images.of_job((await delivered(database)).id)
    children = [await delivered(database, parent_picture_id=origin.id) for _ in range(3)]
    found = await database.images.children(origin.id, 2)
    assert [image.job_id for image in found] == [child.id for child in children[:2]]
