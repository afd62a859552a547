"""`/anima history`: pages, words, thumbnails from fresh addresses; see, draw again, delete; restarts; strangers."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from bot.commands import HANDLERS
from bot.commands.history import IMAGES_PER_PAGE, MAX_WORDS_LENGTH, NOT_THERE, PROMPT_DELETED, page_button
from bot.generation.spec import JobSpec
from bot.messages.limits import MAX_CUSTOM_ID_LENGTH
from bot.sandbox import Message, Permissions
from bot.sandbox.model.components import walk
from storage.images import Images, NewImage
from storage.jobs import Allowance, Job, NewJob
from storage.schema import JobState
from tests.bot.components.sharing.test_share import name_gallery, posts, share
from tests.bot.harness import Stage, until

THUMBNAIL = 11


def thumbnails(message: Message) -> list[str]:
    return [part["media"]["url"] for _, part in walk(list(message.components)) if part["type"] == THUMBNAIL]


def is_on(message: Message, label: str) -> bool:
    [button] = [button for button in message.inputs() if button.get("label") == label]
    return not button.get("disabled")


def seeds(job: Job) -> list[int]:
    return [recipe.seed for recipe in JobSpec.of(job).recipes]


async def shown(stage: Stage, overview: Message, index: int = 0) -> Message:
    [select] = [part for part in overview.inputs() if part["custom_id"] == "anima:history:show"]
    choice = select["options"][index]["value"]
    return await (await stage.discord.choose(stage.alice, overview, "anima:history:show", [choice])).response()


async def test_the_list_names_each_job_and_leaves_out_the_prefix(stage: Stage) -> None:
    job, message = await stage.draw("{red|red} hair, smile", artist="nnn yryr")
    await stage.in_state(
        (await stage.database.jobs.by_interaction((await pressed(stage, message, "Upscale")))).id, JobState.DELIVERED
    )
    overview = await stage.answer("history")
    at = f"https://discord.com/channels/{stage.general.guild.id}/{stage.general.id}/{job.message_id}"
    assert "masterpiece" not in overview.text and overview.text.count("@nnn yryr, red hair, smile") == 2
    assert overview.text.count(f"upscale of [a picture]({at})") == 1
    [select] = [part for part in overview.inputs() if part["custom_id"] == "anima:history:show"]
    assert [option["label"] for option in select["options"]] == ["@nnn yryr, red hair, smile"] * 2
    one = await shown(stage, overview)
    assert "masterpiece" not in one.text and f"upscale of [a picture]({at})" in one.text


async def pressed(stage: Stage, message: Message, label: str) -> int:
    """Presses what draws; returns the id of the interaction, once there is a job of it."""
    sent = await stage.press(message, label)
    await until(lambda: stage.database.jobs.by_interaction(sent.id))
    return sent.id


async def save_delivered_image(stage: Stage, number: int, **about: object) -> None:
    """A delivered picture that only the database knows of."""
    new = NewJob(
        interaction_id=number,
        user_id=stage.alice.id,
        channel_id=stage.general.id,
        guild_id=stage.general.guild.id,
        kind="imagine",
        cost=1.0,
        prompt=f"picture{number}",
        **about,
    )
    job = (await stage.database.jobs.accept(new, Allowance())).job
    picture = NewImage(
        index=0, prompt=new.prompt, seed=number, width=64, height=64, file_name=f"anima-{number}-1.png", content=b"PNG"
    )
    await stage.database.jobs.start([job.id])
    await stage.database.jobs.rendered(job.id, [picture])
    await stage.database.jobs.delivered(job.id, channel_id=stage.general.id, message_id=number, attachments={})


async def test_a_user_without_pictures_is_shown_how_to_start(stage: Stage) -> None:
    message = await stage.answer("history")
    assert message.is_ephemeral
    assert "/anima imagine" in message.text


async def test_own_pictures_are_listed_newest_first_with_thumbnails_that_work(stage: Stage) -> None:
    await stage.draw("first *one* @everyone")
    await stage.draw("not alice's", stage.bob)
    await stage.draw("second")
    message = await stage.answer("history")
    assert re.search(r"second.*first", message.text, re.DOTALL)
    assert "not alice's" not in message.text
    assert "*one*" not in message.text and "@everyone" not in message.text
    assert message.text.count("[message](https://discord.com/channels/") == 2
    assert len(thumbnails(message)) == 2
    assert all(stage.discord.cdn.base in address for address in thumbnails(message))


async def test_pages_turn_also_after_a_restart_and_stop_at_both_ends(stage: Stage) -> None:
    for number in range(1, 2 * IMAGES_PER_PAGE + 2):
        await save_delivered_image(stage, number)
    first = await stage.answer("history")
    assert not is_on(first, "Newer") and is_on(first, "Older")
    assert f"picture{2 * IMAGES_PER_PAGE + 1}" in first.text
    await stage.restart()
    second = await stage.turned(first, "Older")
    assert is_on(second, "Newer") and is_on(second, "Older")
    third = await stage.turned(second, "Older")
    assert is_on(third, "Newer") and not is_on(third, "Older")
    assert "picture1\n" in third.text
    back = await stage.turned(await stage.turned(third, "Newer"), "Newer")
    assert not is_on(back, "Newer")
    assert back.text == first.text


async def test_words_find_pictures_and_go_along_from_page_to_page(stage: Stage) -> None:
    for number in range(1, IMAGES_PER_PAGE + 3):
        await save_delivered_image(stage, number)
    await stage.draw("red hair: blue sky")
    await stage.draw("blue hair")
    found = await stage.answer("history", words="red sky:")
    assert "red hair: blue sky" in found.text and "blue hair" not in found.text
    missed = await stage.answer("history", words="green")
    assert "None of your pictures" in missed.text and "green" in missed.text


async def test_words_that_were_searched_for_are_not_logged(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    page = await stage.answer("history")
    monkeypatch.setattr(Images, "history", None)
    sent = await stage.press_forged(page, "anima:history:older:1:blue sky", stage.alice)
    assert "went wrong" in (await sent.followup()).text
    [record] = [each for each in caplog.records if "went wrong" in each.message]
    assert "anima:history:older:" in record.message and "sky" not in record.message


def test_the_longest_words_and_cursor_fit_into_a_custom_id() -> None:
    button = page_button("older", 10**18 - 1, "語" * MAX_WORDS_LENGTH)
    assert button.custom_id is not None and len(button.custom_id) <= MAX_CUSTOM_ID_LENGTH


@pytest.mark.parametrize(
    "custom_id",
    ["anima:history:older:7:red: hair\nx", "anima:history:delete:7", "anima:history:delete-for-good:7", "anima:queue"],
)
def test_no_custom_id_matches_two_components(custom_id: str) -> None:
    templates = [component.__discord_ui_compiled_template__ for component in HANDLERS]
    assert sum(template.fullmatch(custom_id) is not None for template in templates) == 1


async def test_a_picture_is_shown_with_its_settings_and_its_message(stage: Stage) -> None:
    job, _ = await stage.draw("1girl, smile")
    message = await shown(stage, await stage.answer("history"))
    assert message.is_ephemeral
    seed = JobSpec.of(job).recipes[0].seed
    assert f"64x64, 4 steps, CFG 4, er_sde simple · seed {seed}" in message.text
    [gallery] = [part for _, part in walk(list(message.components)) if part["type"] == 12]
    assert gallery["items"][0]["media"]["url"].startswith(f"{stage.discord.cdn.base}/attachments/")
    [link] = [button for button in message.inputs() if button.get("url")]
    assert link["url"].endswith(f"/{job.channel_id}/{job.message_id}")


async def test_a_picture_is_drawn_again_for_all_to_see_after_a_restart(stage: Stage) -> None:
    job, _ = await stage.draw("1girl, smile")
    message = await shown(stage, await stage.answer("history"))
    await stage.restart()
    interaction = await stage.press(message, "Draw again")
    again = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    again = await stage.in_state(again.id, JobState.DELIVERED)
    assert again.prompt == job.prompt and seeds(again) != seeds(job)
    assert not stage.discord.messages.get(again.message_id).is_ephemeral


@pytest.mark.parametrize("where", ["a server", "a group", "the private conversation"])
async def test_a_picture_from_a_private_conversation_is_drawn_again_for_its_asker_alone(
    stage: Stage, where: str
) -> None:
    private = stage.discord.dm(stage.alice)
    await stage.draw("my secret", where=private)
    place = {"a server": stage.general, "a group": stage.discord.world.group}.get(where, private)
    overview = await (await stage.slash("history", where=place)).response()
    job, message = await stage.delivered(await stage.press(await shown(stage, overview), "Draw again"))
    assert (job.private, message.is_ephemeral) == ((place is not private),) * 2


async def test_an_image_without_its_prompt_is_listed_but_cannot_be_drawn_again(stage: Stage) -> None:
    await save_delivered_image(stage, 1)
    message = await shown(stage, await stage.answer("history"))
    assert "Its message was deleted" in message.text
    assert PROMPT_DELETED in (await stage.turned(message, "Draw again")).text


async def test_deleting_asks_first_then_takes_the_message_too(stage: Stage) -> None:
    job, posted = await stage.draw("1girl")
    question = await stage.turned(await shown(stage, await stage.answer("history")), "Delete…")
    kept = await stage.turned(question, "Keep")
    assert "1girl" in kept.text and stage.discord.messages.get(posted.id) is not None
    deleted = await stage.turned(await stage.turned(kept, "Delete…"), "Delete")
    assert deleted.text == "Deleted."
    assert stage.discord.messages.get(posted.id) is None
    assert not (await stage.database.images.history(stage.alice.id)).images
    assert (await stage.database.jobs.get(job.id)) is not None


@pytest.mark.parametrize("private", [False, True])
async def test_deleting_takes_the_post_in_the_gallery_too(stage: Stage, private: bool) -> None:
    await name_gallery(stage)
    job, message = await stage.draw("1girl", private=private)
    answer = await share(stage, job, message)
    if private:
        await stage.turned(answer, "Share it")
    assert len(posts(stage)) == 1
    question = await stage.turned(await shown(stage, await stage.answer("history")), "Delete…")
    await stage.turned(question, "Delete")
    assert posts(stage) == [] and await stage.database.shares.of_job(job.id) == ()


async def test_two_clicks_on_delete_delete_once(stage: Stage) -> None:
    await stage.draw("1girl")
    question = await stage.turned(await shown(stage, await stage.answer("history")), "Delete…")
    clicks = [await stage.press(question, "Delete") for _ in range(2)]
    said = [(await click.response()).text for click in clicks]
    assert set(said) <= {"Deleted.", NOT_THERE}


async def test_a_message_out_of_reach_is_explained(stage: Stage) -> None:
    await stage.draw("1girl")
    question = await stage.turned(await shown(stage, await stage.answer("history")), "Delete…")
    world = stage.discord.world
    stage.discord.set_overwrite(stage.general, world.bot_role, deny=Permissions.VIEW_CHANNEL)
    deleted = await stage.turned(question, "Delete")
    assert "I can't delete its message" in deleted.text
    assert not (await stage.database.images.history(stage.alice.id)).images


async def sent_privately(stage: Stage) -> Message:
    """A picture that only Alice sees, and that came too late for its own message."""
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", private=True)).id, JobState.RUNNING)
    stage.discord.clock.turn(16 * 60)
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    [message] = stage.discord.messages_in(stage.discord.dm(stage.alice))
    return message


async def test_a_picture_that_came_as_a_private_message_is_shown_and_deleted(stage: Stage) -> None:
    posted = await sent_privately(stage)
    listed = await stage.answer("history")
    assert len(thumbnails(listed)) == 1
    question = await stage.turned(await shown(stage, listed), "Delete…")
    assert (await stage.turned(question, "Delete")).text == "Deleted."
    assert stage.discord.messages.get(posted.id) is None


@pytest.mark.parametrize("token_lives", [True, False])
async def test_a_private_answer_is_deleted_while_its_token_lives(stage: Stage, token_lives: bool) -> None:
    _, posted = await stage.draw("1girl", private=True)
    if not token_lives:
        stage.discord.clock.turn(16 * 60)
    question = await stage.turned(await shown(stage, await stage.answer("history")), "Delete…")
    deleted = await stage.turned(question, "Delete")
    assert (deleted.text == "Deleted.") is (stage.discord.messages.get(posted.id) is None) is token_lives
    assert not (await stage.database.images.history(stage.alice.id)).images


async def test_a_deleted_message_costs_its_thumbnail_alone(stage: Stage) -> None:
    _, posted = await stage.draw("1girl")
    await stage.draw("2girls")
    stage.discord.delete_message(posted)
    message = await stage.answer("history")
    assert "1girl" in message.text and len(thumbnails(message)) == 1


async def test_images_from_age_restricted_channels_are_shown_only_in_such(stage: Stage) -> None:
    after_dark = stage.discord.world.after_dark
    await stage.draw("1girl", where=after_dark)
    elsewhere = await stage.answer("history")
    assert "from an age-restricted channel" in elsewhere.text and not thumbnails(elsewhere)
    assert "View it there" in (await shown(stage, elsewhere)).text
    there = await (await stage.slash("history", where=after_dark)).response()
    assert len(thumbnails(there)) == 1


async def test_other_peoples_images_cannot_be_opened(stage: Stage) -> None:
    await stage.draw("1girl")
    await stage.draw("bob's secret", stage.bob)
    overview = await stage.answer("history")
    message = await shown(stage, overview)
    [secret] = (await stage.database.images.history(stage.bob.id)).images
    forged = forge(message, secret.id)
    stage.discord.messages._messages_by_id[message.id] = forged
    assert NOT_THERE in (await (await stage.press(forged, "Draw again")).followup()).text
    assert NOT_THERE in (await stage.turned(forged, "Delete…")).text
    assert (await stage.database.images.history(stage.bob.id)).images == (secret,)


def forge(message: Message, picture_id: int) -> Message:
    """The message as it would be if its buttons named another picture."""
    written = re.sub(r"(anima:history:\w+:)\d+", rf"\g<1>{picture_id}", json.dumps(message.components))
    return replace(message, components=tuple(json.loads(written)))
