"""Describing an image: what is answered, what it costs, what is left out, and what can be drawn of it."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from PIL import Image

from bot.components.description import describe, described
from bot.generation.source_image import UNREADABLE_IMAGE
from bot.generation.spec import JobSpec
from bot.jobs.describing import describer
from bot.jobs.describing.describer import BROKEN, BUSY, COST, NOTHING_FOUND, ONE_AT_A_TIME
from bot.rules.policy import SENTENCES, RefusalReason
from bot.sandbox import InteractionHandle, Message, Upload, User
from inference.tagging.process import TaggerLost
from inference.tagging.tag_list import TaggerError, TagGuess, TagKind
from storage.preferences import DRAFT_LIFETIME
from storage.quotas import Account
from tests.bot.components.description.conftest import DescribingStage
from tests.bot.harness import interaction_tasks, until


def image(size: tuple[int, int] = (64, 64)) -> Upload:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, "PNG")
    return Upload("theirs.png", file.getvalue())


async def ask(stage: DescribingStage, user: User | None = None, **options: Any) -> InteractionHandle:
    return await stage.slash("describe", user, image=image(), **options)


async def spent(stage: DescribingStage, user: User | None = None) -> float:
    account = Account((user or stage.alice).id, stage.discord.world.guild.id)
    return (await stage.database.quotas.usage(account)).spent


async def change(stage: DescribingStage, **settings: Any) -> None:
    await stage.database.servers.change(stage.discord.world.guild.id, settings, by=1)


async def test_a_description_is_for_who_asked_alone_and_costs_a_tenth_of_a_credit(stage: DescribingStage) -> None:
    told = await (await ask(stage)).response()
    assert told.is_ephemeral and told.visible_to == stage.alice
    assert "> 1girl, smile" in told.text and "safe" not in told.text and "left out" not in told.text
    assert await spent(stage) == COST == 0.1


async def test_a_description_is_drawn_in_the_images_shape_and_charged_like_any_other(stage: DescribingStage) -> None:
    told = await (await stage.slash("describe", image=image((300, 200)))).response()
    job = await stage.job_of(await stage.press(told, "Draw this"))
    recipe = JobSpec.of(job).recipes[0]
    assert job.kind == "imagine" and job.prompt == "1girl, smile" and not job.private
    assert recipe.width / recipe.height == pytest.approx(1.5, rel=0.05)
    assert recipe.prompt.endswith("safe, 1girl, smile")


async def test_an_edited_description_is_drawn_and_a_refused_form_keeps_its_text(stage: DescribingStage) -> None:
    told = await (await ask(stage)).response()
    form = await (await stage.press(told, "Edit…")).modal()
    refused = await (
        await stage.discord.submit(stage.alice, form, {"Prompt": "1girl, smile, <lora:none>", "Negative prompt": "hat"})
    ).followup()
    assert "none" in refused.text
    again = await (await stage.press(refused, "Edit again…")).modal()
    sent = await stage.discord.submit(stage.alice, again, {"Prompt": "1girl, smile, red hair"})
    job = await stage.job_of(sent)
    assert (job.prompt, job.negative_prompt) == ("1girl, smile, red hair", "hat")


async def test_tags_that_may_not_be_drawn_there_are_left_out_and_counted(stage: DescribingStage) -> None:
    await change(stage, safety={"blocked_words": ["hat"]})
    stage.tagger.shows("1girl", "nude", "hat", "smile")
    told = await (await ask(stage)).response()
    assert "> 1girl, smile\n" in told.text and "2 tags are left out" in told.text
    dark = await (await ask(stage, where=stage.discord.world.after_dark)).response()
    assert "> 1girl, nude, smile\n" in dark.text and "1 tag is left out" in dark.text


async def test_how_safe_an_image_is_stands_in_front_where_that_makes_a_difference(stage: DescribingStage) -> None:
    stage.tagger.found[0] = TagGuess("explicit", TagKind.RATING, 0.9)
    assert "> 1girl, smile" in (await (await ask(stage)).response()).text
    assert "explicit, 1girl" in (await (await ask(stage, where=stage.discord.world.after_dark)).response()).text


@pytest.mark.parametrize("blocked", [[], ["smile", "1girl"]])
async def test_how_safe_an_image_is_alone_is_no_description(stage: DescribingStage, blocked: list[str]) -> None:
    await change(stage, safety={"blocked_words": blocked})
    stage.tagger.found = [guess for guess in stage.tagger.found if blocked or guess.kind is TagKind.RATING]
    told = await (await ask(stage, where=stage.discord.world.after_dark)).response()
    assert told.text == NOTHING_FOUND and await spent(stage) == 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"paused": True}, RefusalReason.PAUSED),
        ({"access": {"channels": [1]}}, RefusalReason.CHANNEL),
        ({"access": {"roles": [1]}}, RefusalReason.ROLE),
    ],
)
async def test_users_who_may_not_draw_there_get_no_description(
    stage: DescribingStage, settings: dict[str, Any], reason: RefusalReason
) -> None:
    await change(stage, **settings)
    told = await (await ask(stage)).response()
    assert told.text.startswith(SENTENCES[reason].partition("{")[0])
    assert stage.tagger.asked == [] and await spent(stage) == 0


async def test_without_credits_nothing_is_described(stage: DescribingStage) -> None:
    await change(stage, quota={"credits": 0.15})
    assert "> 1girl" in (await (await ask(stage)).response()).text
    told = await (await ask(stage)).response()
    assert "This costs 0.1 credits. You have used 0.1 of 0.15" in told.text
    assert len(stage.tagger.asked) == 1 and await spent(stage) == 0.1


@pytest.mark.parametrize("error", [TaggerError("The file is gone."), TaggerLost("It was silent.")])
async def test_a_tagger_that_fails_costs_nothing(stage: DescribingStage, error: Exception) -> None:
    stage.tagger.error = error
    assert (await (await ask(stage)).response()).text == BROKEN
    assert await spent(stage) == 0
    stage.tagger.error = None
    assert "> 1girl" in (await (await ask(stage)).response()).text


async def test_an_unreadable_or_empty_image_costs_nothing(stage: DescribingStage) -> None:
    told = await (await stage.slash("describe", image=Upload("x.png", b"\x89PNG none"))).response()
    assert told.text == UNREADABLE_IMAGE and stage.tagger.asked == []
    stage.tagger.shows("nude")
    assert (await (await ask(stage)).response()).text == NOTHING_FOUND
    assert await spent(stage) == 0


async def test_one_image_of_a_person_and_a_few_of_all_wait_at_a_time(
    stage: DescribingStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describer, "MAX_WAITING", 2)
    stage.emi.locale = "en-US"
    stage.tagger.hold()
    first = await ask(stage)

    async def asked() -> bool:
        return bool(stage.tagger.asked)

    await until(asked)
    assert (await (await ask(stage)).response()).text == ONE_AT_A_TIME
    second = await ask(stage, stage.bob)

    async def waiting() -> bool:
        return len(stage.client.describer._asking) == 2

    await until(waiting)
    assert (await (await ask(stage, stage.emi)).response()).text == BUSY
    stage.tagger.let_go()
    for handle in (first, second):
        assert "> 1girl" in (await handle.response()).text
    assert (await spent(stage), await spent(stage, stage.bob), await spent(stage, stage.emi)) == (0.1, 0.1, 0)


async def test_an_answer_that_discord_does_not_take_is_not_charged(stage: DescribingStage) -> None:
    for method in ("PATCH", "POST"):
        stage.discord.faults.answer(method, "^/webhooks/", 403, {"message": "Forbidden", "code": 50001}, times=20)
    await ask(stage)

    async def is_given_up() -> bool:
        return bool(stage.tagger.asked) and not interaction_tasks()

    await until(is_given_up)
    assert await spent(stage) == 0


async def charged_in_a_crash(stage: DescribingStage) -> InteractionHandle:
    """The bot ends after it has charged for a description and before its user sees it."""
    fault = stage.discord.faults.hold("PATCH", "^/webhooks/")
    handle = await ask(stage)

    async def is_charged() -> bool:
        return fault.hits == 1 and await spent(stage) == COST

    await until(is_charged)
    tasks = interaction_tasks()
    for task in tasks:
        task.cancel()  # as in a crash: nobody was answered
    await asyncio.gather(*tasks, return_exceptions=True)
    fault.cut()
    return handle


async def test_a_request_continues_after_a_restart_and_is_charged_once(stage: DescribingStage) -> None:
    handle = await charged_in_a_crash(stage)
    await stage.restart()
    assert "> 1girl" in (await handle.response()).text
    assert len(stage.tagger.asked) == 2 and await spent(stage) == COST


async def test_a_request_that_is_refused_after_a_restart_is_no_longer_charged(stage: DescribingStage) -> None:
    handle = await charged_in_a_crash(stage)
    stage.tagger.error = TaggerLost("It was silent.")
    await stage.restart()
    assert (await handle.response()).text == BROKEN
    assert await spent(stage) == 0


async def test_descriptions_live_for_a_day_and_only_for_their_user(
    stage: DescribingStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await (await ask(stage)).response()
    await stage.restart()
    form = await (await stage.press(told, "Edit…")).modal()
    assert "1girl" in (await (await stage.press(told, "Draw this")).response()).text
    _, public = await stage.draw("1girl", stage.emi)
    others = await stage.press_forged(public, "anima:described-draw:1", stage.bob)
    assert (await others.followup()).text == described.NO_LONGER_SAVED
    clock = stage.database.preferences._clock
    monkeypatch.setattr(stage.database.preferences, "_clock", lambda: clock() + DRAFT_LIFETIME)
    assert (await (await stage.press(told, "Draw this")).followup()).text == described.NO_LONGER_SAVED
    assert (await (await stage.press(told, "Edit…")).response()).text == described.NO_LONGER_SAVED
    sent = await stage.discord.submit(stage.alice, form, {"Prompt": "1girl"})
    assert (await sent.followup()).text == described.NO_LONGER_SAVED


async def parameters(stage: DescribingStage, message: Message, user: User | None = None) -> Message:
    return await (await stage.discord.menu(user or stage.alice, message, "Anima: parameters")).response()


async def test_the_menu_parameters_offers_a_description_of_each_image(stage: DescribingStage) -> None:
    message = await stage.discord.say(stage.bob, stage.general, "look", [image(), image((80, 40))])
    told = await parameters(stage, message)
    for label in ("Describe 1", "Describe 2"):
        assert "> 1girl, smile" in (await (await stage.press(told, label)).response()).text
    assert len(stage.tagger.asked) == 2 and await spent(stage) == pytest.approx(0.2)
    _, own = await stage.draw("1girl")
    one = await parameters(stage, own)
    assert "> 1girl, smile" in (await (await stage.press(one, "Describe")).response()).text


async def test_the_button_works_after_a_restart_and_says_so_if_it_cannot(stage: DescribingStage) -> None:
    told = await parameters(stage, await stage.discord.say(stage.bob, stage.general, "look", [image()]))
    await stage.restart()
    assert "> 1girl" in (await (await stage.press(told, "Describe")).response()).text
    _, public = await stage.draw("1girl", stage.emi)
    for custom_id in ("anima:describe:1:7", "anima:describe:999:0"):
        forged = await stage.press_forged(public, custom_id, stage.alice)
        assert (await forged.response()).text == describe.NO_LONGER_SAVED
    others = await stage.press_forged(public, "anima:describe:1:0", stage.bob)
    assert (await others.response()).text == describe.NO_LONGER_SAVED


async def test_blocked_people_see_parameters_and_get_no_description(stage: DescribingStage) -> None:
    message = await stage.discord.say(stage.emi, stage.general, "look", [image()])
    told = await parameters(stage, message, stage.bob)
    await stage.database.servers.block(stage.discord.world.guild.id, stage.bob.id, by=1)
    assert (await (await stage.press(told, "Describe", stage.bob)).response()).text == SENTENCES[RefusalReason.BLOCKED]
    assert (await (await ask(stage, stage.bob)).response()).text == SENTENCES[RefusalReason.BLOCKED]
    assert stage.tagger.asked == []
