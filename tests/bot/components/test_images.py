"""What is under a picture: each button, for its owner and for others, after restarts, forged and pressed twice."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from PIL import Image

from bot.components.images import HANDLERS
from bot.components.more import extend, menu, redraw
from bot.components.sharing import gallery_post, share
from bot.generation.recipe import STRONG, SUBTLE
from bot.generation.spec import JobSpec
from bot.messages.buttons import LABELS
from bot.rules.server_settings import ServerLimits, ServerSettings
from bot.sandbox import ClientRefused, InteractionHandle, Message, Permissions, User
from inference.notes import NoteCode, lora_note, make_note
from storage.jobs import Job
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.harness import Stage, until


async def press(stage: Stage, message: Message, label: str, user: User | None = None) -> tuple[Job, Message]:
    return await stage.delivered(await stage.press(message, label, user))


async def press_more(stage: Stage, message: Message, label: str, user: User | None = None) -> tuple[Job, Message]:
    return await stage.delivered(await stage.press_more(message, label, user))


async def test_reroll_draws_the_same_with_new_seeds_for_whoever_presses(stage: Stage) -> None:
    job, message = await stage.draw("{red|blue} hair", steps=7, negative="hat", count=2)
    again, shown = await press(stage, message, "🎲", stage.bob)
    first, second = JobSpec.of(job), JobSpec.of(again)
    assert again.user_id == stage.bob.id and again.prompt == job.prompt
    assert len(second.recipes) == 2 and second.recipes[0].steps == 7 and "hat" in second.recipes[0].negative_prompt
    assert {recipe.seed for recipe in first.recipes}.isdisjoint(recipe.seed for recipe in second.recipes)
    assert f"/{job.channel_id}/{job.message_id}" in shown.text, "each result says its parent"


async def test_vary_stays_near_the_seed_and_upscale_is_drawn_from_the_picture(stage: Stage) -> None:
    job, message = await stage.draw("1girl", seed="300")
    _, subtle = await press_more(stage, message, "Vary (subtle)")
    await press(stage, message, "Vary")
    await press(stage, message, "Upscale")
    _, near, far, large = stage.engine.requests
    assert near.seed == far.seed == 300
    assert (near.variation_strength, far.variation_strength) == (SUBTLE, STRONG)
    assert near.variation_seed != far.variation_seed
    assert (large.width, large.height) == (96, 96) and large.denoise < 1
    original = Image.open(io.BytesIO(message.attachments[0].data))
    assert large.image.tobytes() == original.tobytes()
    assert "[varied (subtle, 0.2)]" in subtle.text and f"/{job.message_id}" in subtle.text


async def test_an_image_made_from_another_can_be_upscaled_and_rerolled(stage: Stage) -> None:
    _, message = await stage.draw("1girl", seed="300")
    _, varied = await press_more(stage, message, "Vary (subtle)")
    await press(stage, varied, "Upscale")
    _, variation, larger = stage.engine.requests
    assert (larger.seed, larger.variation_seed) == (300, variation.variation_seed)
    upscaled = stage.discord.messages_in(stage.general)[-1]
    await press(stage, upscaled, "Re-roll")
    assert stage.engine.requests[-1].image is not None and stage.engine.requests[-1].width == 96
    assert stage.engine.requests[-1].variation_seed is None


async def test_a_picture_as_large_as_the_server_allows_is_not_made_larger(stage: Stage) -> None:
    changes = ServerSettings().changes_to(ServerSettings(limits=ServerLimits(side=96)))
    await stage.database.servers.change(stage.general.guild.id, changes, by=stage.bob.id)
    _, message = await stage.draw("1girl")
    _, larger = await press(stage, message, "Upscale")
    assert stage.engine.requests[-1].width == 96
    refused = await stage.press(larger, "Upscale")
    assert "already at the maximum size" in (await refused.followup()).text


async def test_edit_opens_a_form_with_everything_filled_in(stage: Stage) -> None:
    await stage.draw("1girl, smile", negative="hat", seed="7", steps=5, cfg=3.5, sampler="euler")
    message = stage.discord.messages_in(stage.general)[-1]
    modal = await (await stage.press(message, "Edit…")).modal()
    filled = {field["custom_id"].partition(":")[0]: field.get("value") for _, field in modal.inputs()}
    assert filled["prompt"] == "1girl, smile" and filled["negative"] == "hat" and filled["seed"] == "7"
    assert filled["settings"] == "64x64, 5 steps, CFG 3.5, simple"
    await stage.restart()
    sent = await stage.discord.submit(
        stage.alice,
        modal,
        {"Prompt": "1boy", "Size, steps, CFG, scheduler": "96x64, 9 steps, cfg 2, beta57", "Sampler": ["heun"]},
    )
    job, shown = await stage.delivered(sent)
    request = stage.engine.requests[-1]
    assert request.prompt.endswith("1boy") and "hat" in request.negative_prompt and request.seed == 7
    assert (request.width, request.height, request.steps, request.cfg_scale) == (96, 64, 9, 2.0)
    assert (request.sampler, request.scheduler) == ("heun", "beta57")
    assert job.kind == "edit" and "edited" in shown.text


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"Seed (leave empty for a new one)": "seven"}, "The seed must be a whole number"),
        ({"Size, steps, CFG, scheduler": "as before"}, "Write settings like this: 64x64, 4 steps, CFG 4, simple"),
        ({"Size, steps, CFG, scheduler": "5000 steps"}, "Steps must be from 1 to 1000."),
        ({"Prompt": "1girl, nsfw"}, "isn't allowed in this channel"),
    ],
)
async def test_invalid_edits_are_explained(stage: Stage, values: dict[str, Any], sentence: str) -> None:
    _, message = await stage.draw("1girl")
    modal = await (await stage.press(message, "Edit…")).modal()
    sent = await stage.discord.submit(stage.alice, modal, values)
    await sent.acknowledged()
    told = await until(lambda: _private_answer(stage, sent))
    assert sentence in told.text and told.is_ephemeral
    assert len(stage.engine.requests) == 1


async def _private_answer(stage: Stage, sent: InteractionHandle) -> Message | None:
    ids = [sent.interaction.original_id, *sent.interaction.followup_ids]
    found = [message for id in ids if id is not None and (message := stage.discord.messages.get(id)) is not None]
    return next((message for message in found if message.is_ephemeral and not message.is_loading), None)


async def test_info_shows_everything_to_its_user(stage: Stage) -> None:
    job, message = await stage.draw("1girl, smile", seed="7", negative="hat", steps=5)
    _, child = await press(stage, message, "Re-roll")
    told = await (await stage.press_more(message, "Info", stage.bob)).response()
    assert told.is_ephemeral
    for part in ("1girl, smile", "hat", "64x64", "`7`", "er_sde", "5", f"<@{stage.alice.id}>", f"/{child.id}"):
        assert part in told.text
    assert f"/{job.message_id}" in (await (await stage.press_more(child, "Info")).response()).text


async def test_delete_is_for_the_owner_and_for_moderators(stage: Stage) -> None:
    job, message = await stage.draw("1girl", stage.bob)
    told = await (await stage.press_more(message, "Delete", stage.alice)).response()
    assert "Only the person who asked for this" in told.text
    question = await (await stage.press_more(message, "Delete", stage.bob)).response()
    assert question.is_ephemeral and "from your history?" in question.text
    answer = await (await stage.press(question, "Delete for everyone", stage.bob)).response()
    assert answer.text == "Deleted."
    assert stage.discord.messages.get(message.id) is None
    assert (await stage.database.images.history(stage.bob.id)).images == ()
    assert (await stage.database.images.of_job(job.id))[0].deleted_at is not None


async def test_a_moderator_deletes_what_another_person_drew(stage: Stage) -> None:
    _, message = await stage.draw("1girl", stage.alice)
    question = await (await stage.press_more(message, "Delete", stage.bob)).response()
    assert f"from <@{stage.alice.id}>'s history?" in question.text
    await (await stage.press(question, "Delete for everyone", stage.bob)).response()
    assert stage.discord.messages.get(message.id) is None


@pytest.mark.parametrize("mine", [True, False])
async def test_deleting_an_unreachable_message_names_the_history_it_left(stage: Stage, mine: bool) -> None:
    _, message = await stage.draw("1girl", stage.bob if mine else stage.alice)
    question = await (await stage.press_more(message, "Delete", stage.bob)).response()
    stage.discord.faults.answer("DELETE", "^/channels/", 403, {"message": "Missing Access", "code": 50001})
    answer = await (await stage.press(question, "Delete for everyone", stage.bob)).response()
    whose = "your" if mine else f"<@{stage.alice.id}>'s"
    assert answer.text.startswith(f"Removed from {whose} history.")


@pytest.mark.parametrize("token_lives", [True, False])
async def test_an_image_is_deleted_where_the_bot_is_no_member_while_its_token_lives(
    stage: Stage, token_lives: bool
) -> None:
    carol, lounge = stage.discord.world.carol, stage.discord.world.lounge
    carol.locale = "en-US"
    _, message = await stage.draw("1girl", carol, lounge)
    question = await (await stage.press_more(message, "Delete", carol)).response()
    if not token_lives:
        stage.discord.clock.turn(16 * 60)
        question = await (await stage.press_more(message, "Delete", carol)).response()
    answer = await (await stage.press(question, "Delete for everyone", carol)).response()
    assert (answer.text == "Deleted.") is token_lives
    assert (stage.discord.messages.get(message.id) is None) is token_lives


async def test_a_forged_custom_id_deletes_no_image_of_others(stage: Stage) -> None:
    job, message = await stage.draw("1girl", stage.bob)
    sent = await stage.press_forged(message, f"anima:delete-for-good:{job.id}:0", stage.alice)
    await sent.acknowledged()
    assert "Only the person" in (await until(lambda: _told_after(stage, sent))).text
    assert stage.discord.messages.get(message.id) is not None


async def test_others_edit_a_picture_at_their_own_cost(stage: Stage) -> None:
    job, message = await stage.draw("1girl", stage.bob, seed="7")
    modal = await (await stage.press(message, "Edit…", stage.alice)).modal()
    edit, shown = await stage.delivered(await stage.discord.submit(stage.alice, modal, {"Prompt": "1boy"}))
    assert (edit.user_id, edit.prompt, edit.parent_picture_id) == (stage.alice.id, "1boy", 1)
    assert f"<@{stage.alice.id}>" in shown.text and f"/{job.message_id}" in shown.text
    spent = [
        (await stage.database.quotas.usage(Account(who.id, job.guild_id))).spent for who in (stage.alice, stage.bob)
    ]
    assert spent == [edit.cost, job.cost]


async def test_others_save_a_pictures_settings_as_their_own_preset(stage: Stage) -> None:
    _, message = await stage.draw("1girl", stage.bob, steps=7, negative="hat")
    modal = await (await stage.press_more(message, "Save as preset…", stage.alice)).modal()
    answer = await (await stage.discord.submit(stage.alice, modal, {"Name": "like bob's"})).response()
    assert answer.is_ephemeral and "Saved as “like bob's”" in answer.text
    preset = (await stage.database.preferences.presets(stage.alice.id))["like bob's"]
    assert (preset["steps"], preset["negative"]) == (7, "hat")
    assert await stage.database.preferences.presets(stage.bob.id) == {}


async def _told_after(stage: Stage, sent: InteractionHandle) -> Message | None:
    ids = [sent.interaction.original_id, *sent.interaction.followup_ids]
    found = [message for id in ids if id is not None and (message := stage.discord.messages.get(id)) is not None]
    return next((message for message in found if "Only" in message.text), None)


@pytest.mark.parametrize(
    "action", ["reroll", "vary-subtly", "vary-strongly", "upscale", "edit", "edit-all", "info", "save-as-preset"]
)
async def test_nobody_else_can_continue_from_a_private_image(stage: Stage, action: str) -> None:
    secret = await stage.in_state((await stage.ask("secret", private=True)).id, JobState.DELIVERED)
    _, public = await stage.draw("1girl", stage.bob)
    sent = await stage.press_forged(public, f"anima:{action}:{secret.id}:0", stage.bob)
    told = await sent.response()
    assert "no longer saved" in told.text and told.is_ephemeral
    assert await stage.database.jobs.by_interaction(sent.id) is None


@pytest.mark.parametrize("custom_id", ["anima:reroll:999999:0", "anima:info:{job}:7", "anima:vary-subtly:{job}:4"])
async def test_a_missing_image_is_explained(stage: Stage, custom_id: str) -> None:
    job, message = await stage.draw("1girl")
    sent = await stage.press_forged(message, custom_id.format(job=job.id), stage.alice)
    is_private = ":info:" in custom_id or ":999999:" in custom_id  # a job that is not known may be private
    told = await (sent.response() if is_private else sent.followup())
    assert "no longer saved" in told.text and told.is_ephemeral


async def test_one_of_several_is_picked_and_carried_on_from(stage: Stage) -> None:
    _, message = await stage.draw("1girl", count=3, seed="10")
    alone = await stage.pick(message, 2, stage.bob)
    assert alone.is_ephemeral and "Picture 3" in alone.text
    await press(stage, alone, "Vary (subtle)", stage.bob)
    assert {request.seed for request in stage.engine.requests[3:]} == {12}
    await press(stage, alone, "Upscale", stage.bob)
    third = Image.open(io.BytesIO(message.attachments[2].data))
    assert stage.engine.requests[-1].image.tobytes() == third.tobytes()


@pytest.mark.parametrize("count", [2, 3, 4])
async def test_each_of_several_is_upscaled_and_varied_with_one_click(stage: Stage, count: int) -> None:
    """By whoever sees them, and after a restart."""
    _, message = await stage.draw("1girl", count=count, seed="10")
    await stage.restart()
    for number in range(1, count + 1):
        upscaled, shown = await press(stage, message, f"U{number}", stage.bob)
        assert (upscaled.user_id, JobSpec.of(upscaled).recipes[0].seed) == (stage.bob.id, 9 + number)
        source = Image.open(io.BytesIO(message.attachments[number - 1].data))
        assert stage.engine.requests[-1].image.tobytes() == source.tobytes()
        varied, shown = await press(stage, message, f"V{number}", stage.bob)
        assert {recipe.seed for recipe in JobSpec.of(varied).recipes} == {9 + number}
        assert "[varied (strong, 0.5)]" in shown.text
    below = [button.get("label") or button["emoji"]["name"] for button in message.inputs()]
    numbers = range(1, count + 1)
    assert below == [*(f"U{each}" for each in numbers), "🎲", *(f"V{each}" for each in numbers), "More…"]


async def test_edit_under_several_pictures_draws_as_many_again(stage: Stage) -> None:
    _, message = await stage.draw("{red|blue} hair", count=3, steps=7)
    modal = await (await stage.press_more(message, "Edit…", stage.bob)).modal()
    filled = {field["custom_id"].partition(":")[0]: field.get("value") for _, field in modal.inputs()}
    assert (filled["prompt"], filled["seed"] or "") == ("{red|blue} hair", "")
    job, _ = await stage.delivered(await stage.discord.submit(stage.bob, modal, {"Prompt": "{red|blue} eyes"}))
    assert job.user_id == stage.bob.id and job.prompt == "{red|blue} eyes"
    recipes = JobSpec.of(job).recipes
    assert len({recipe.seed for recipe in recipes}) == 3 and {recipe.steps for recipe in recipes} == {7}


async def test_a_long_prompt_is_shortened_in_its_message_and_whole_in_info(stage: Stage) -> None:
    prompt = "1girl, " + ", ".join(f"tag {number}" for number in range(100))
    _, message = await stage.draw(prompt)
    assert prompt[:299] + "…" in message.text and prompt[:300] not in message.text
    info = await (await stage.press_more(message, "Info", stage.bob)).response()
    assert "tag 99" in info.text and not info.attachments


async def test_prompts_too_long_for_info_are_attached(stage: Stage) -> None:
    prompt, negative = "1girl, " + "*_very_* long, " * 300 + "end", "bad, " * 1000 + "last"
    _, message = await stage.draw(prompt, negative=negative)
    info = await (await stage.press_more(message, "Info", stage.bob)).response()
    assert info.is_ephemeral and "**Steps**" in info.text and f"<@{stage.alice.id}>" in info.text
    [file] = info.attachments
    content = file.data.decode()
    assert file.filename == "prompt.txt" and content.count("*_very_* long") == 300 and content.endswith("last")


async def test_prompts_of_letters_that_count_twice_are_attached_where_info_cannot_show_all(stage: Stage) -> None:
    cats, dogs = "\N{CAT FACE}" * 1500, "\N{DOG FACE}" * 600
    _, message = await stage.draw(cats, negative=dogs)
    info = await (await stage.press_more(message, "Info")).response()
    assert cats in info.attachments[0].data.decode() and dogs in info.attachments[0].data.decode()


async def test_buttons_of_private_pictures_answer_privately(stage: Stage) -> None:
    job = await stage.in_state((await stage.ask("1girl", private=True)).id, JobState.DELIVERED)
    message = stage.discord.messages.get(job.message_id)
    again, shown = await press(stage, message, "Re-roll")
    assert again.private and shown.is_ephemeral
    assert stage.discord.messages_in(stage.general, stage.bob) == []


async def test_a_private_picture_is_made_larger_from_its_own_message_and_from_ones_pick(stage: Stage) -> None:
    job = await stage.in_state((await stage.ask("1girl", private=True, count=2, seed="10")).id, JobState.DELIVERED)
    message = stage.discord.messages.get(job.message_id)
    picked = await stage.pick(message, 1)
    larger, shown = await press(stage, picked, "Upscale")
    assert larger.private and shown.is_ephemeral
    second = Image.open(io.BytesIO(message.attachments[1].data))
    assert stage.engine.requests[-1].image.tobytes() == second.tobytes()
    assert stage.engine.requests[-1].seed == 11
    single = await stage.in_state((await stage.ask("1boy", private=True)).id, JobState.DELIVERED)
    await press(stage, stage.discord.messages.get(single.message_id), "Upscale")
    assert stage.engine.requests[-1].denoise < 1
    assert stage.discord.messages_in(stage.general, stage.bob) == []


async def test_a_text_too_long_for_its_field_is_not_cut_by_an_edit_that_leaves_it_alone(stage: Stage) -> None:
    prompt, negative = "1girl, " + "very " * 900 + "long hair", "bad " * 1200 + "hat"
    await stage.draw(prompt, negative=negative)
    modal = await (await stage.press(stage.discord.messages_in(stage.general)[-1], "Edit…")).modal()
    job, _ = await stage.delivered(
        await stage.discord.submit(stage.alice, modal, {"Seed (leave empty for a new one)": "7"})
    )
    assert (job.prompt, job.negative_prompt) == (prompt, negative)
    assert stage.engine.requests[-1].seed == 7
    job, _ = await stage.delivered(await stage.discord.submit(stage.alice, modal, {"Prompt": "1boy"}))
    assert (job.prompt, job.negative_prompt) == ("1boy", negative)


async def test_buttons_work_half_a_year_later_and_after_a_restart(stage: Stage) -> None:
    """What Discord's addresses of pictures were good for is long over by then."""
    _, message = await stage.draw("1girl", count=2)
    await stage.draw("1boy")
    single = stage.discord.messages_in(stage.general)[-1]
    stage.discord.clock.turn(183 * 24 * 3600)
    await stage.restart()
    picked = await stage.pick(message, 1, stage.bob)
    more = await (await stage.press(single, "More…", stage.bob)).response()
    on_single, on_picked = ["Re-roll", "Vary", "Upscale"], ["Vary (subtle)", "Vary (strong)", "Upscale"]
    for shown, labels in ((single, on_single), (more, ["Vary (subtle)"]), (picked, on_picked)):
        for label in labels:
            child, _ = await press(stage, shown, label, stage.bob)
            assert child.user_id == stage.bob.id
    for shown in (more, picked):
        assert "How it was made" in (await (await stage.press(shown, "Info", stage.bob)).response()).text
    modal = await (await stage.press(single, "Edit…")).modal()
    await stage.delivered(await stage.discord.submit(stage.alice, modal, {"Prompt": "1boy, smile"}))
    question = await (await stage.press_more(single, "Delete")).response()
    assert (await (await stage.press(question, "Delete for everyone")).response()).text == "Deleted."


@pytest.mark.parametrize("label", ["Re-roll", "Vary", "Upscale", "Vary (subtle)"])
async def test_two_presses_at_once_of_any_drawing_button_make_two_jobs(stage: Stage, label: str) -> None:
    _, message = await stage.draw("1girl")
    press = stage.press_more if label == "Vary (subtle)" else stage.press
    both = await asyncio.gather(*(press(message, label) for _ in range(2)))
    jobs = [await stage.delivered(sent) for sent in both]
    assert len({job.id for job, _ in jobs}) == 2 == len({shown.id for _, shown in jobs})


async def test_two_presses_at_once_of_any_other_button_give_two_answers(stage: Stage) -> None:
    job, message = await stage.draw("1girl", count=2)
    _, single = await stage.draw("1boy")
    for sent in await asyncio.gather(*(stage.press_more(single, "Info") for _ in range(2))):
        assert (await sent.response()).is_ephemeral
    more = await (await stage.press(message, "More…", stage.bob)).response()
    picks = (stage.discord.choose(stage.bob, more, f"anima:pick:{job.id}", ["1"]) for _ in range(2))
    for sent in await asyncio.gather(*picks):
        assert "Picture 2" in (await sent.response()).text
    forms = [await sent.modal() for sent in await asyncio.gather(*(stage.press(single, "Edit…") for _ in range(2)))]
    sent = await asyncio.gather(*(stage.discord.submit(stage.alice, form, {}) for form in forms))
    assert len({(await stage.delivered(each))[0].id for each in sent}) == 2


async def test_every_button_works_after_a_restart(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    await stage.restart()
    for label in ("Re-roll", "Vary", "Upscale"):
        child, _ = await press(stage, message, label)
        assert child.id != job.id
    child, _ = await press_more(stage, message, "Vary (subtle)")
    assert (await (await stage.press_more(message, "Info")).response()).is_ephemeral
    await (await stage.press(message, "Edit…")).modal()
    question = await (await stage.press_more(message, "Delete")).response()
    await stage.restart()
    assert (await (await stage.press(question, "Delete for everyone")).response()).text == "Deleted."


async def test_two_presses_at_once_are_two_jobs_and_one_deletion(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    both = await asyncio.gather(*(stage.press(message, "Re-roll") for _ in range(2)))
    jobs = [await stage.delivered(sent) for sent in both]
    assert len({job.id for job, _ in jobs}) == 2
    question = await (await stage.press_more(message, "Delete")).response()
    clicks = await asyncio.gather(*(stage.press(question, "Delete for everyone") for _ in range(2)))
    for click in clicks:
        assert (await click.response()).text == "Deleted."


async def test_a_picture_whose_message_is_gone_is_not_upscaled_and_costs_nothing(stage: Stage) -> None:
    _, message = await stage.draw("1girl", count=2)
    alone = await stage.pick(message, 1)
    stage.discord.delete_message(message)
    sent = await stage.press(alone, "Upscale")
    assert "I can't open the picture's message" in (await sent.followup()).text
    assert await stage.database.jobs.by_interaction(sent.id) is None


def test_no_custom_id_matches_two_components() -> None:
    ids = [f"anima:{action}:12:0" for action in LABELS] + ["anima:pick:12"]
    handlers = (*HANDLERS, *menu.HANDLERS, *redraw.HANDLERS, *extend.HANDLERS, *share.HANDLERS, *gallery_post.HANDLERS)
    templates = [component.__discord_ui_compiled_template__ for component in handlers]
    assert [sum(template.fullmatch(each) is not None for template in templates) for each in ids] == [1] * len(ids)


async def test_users_who_cannot_see_a_channel_cannot_press_there(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    stage.discord.set_overwrite(stage.general, stage.alice, deny=Permissions.VIEW_CHANNEL)
    with pytest.raises(ClientRefused):
        await stage.press_more(message, "Info")


async def test_notes_are_shown_under_the_image_and_in_full_in_info(stage: Stage) -> None:
    stage.engine.notes = ("The LoRA ink is used without 12 keys: " + "they belong to another model, " * 8 + "the end.",)
    _, message = await stage.draw("1girl", count=2)
    assert message.text.count("⚠️ The LoRA ink is used without 12 keys") == 1 and "the end." not in message.text
    assert "the end." in (await (await stage.press_more(message, "Info")).response()).text


async def test_notes_are_translated_by_their_code(stage: Stage) -> None:
    note = lora_note("ink", ["a.alpha", "b.alpha", "c.alpha", "d.alpha"], make_note(NoteCode.OTHER_LAYERS))
    stage.engine.notes = (note,)
    _, message = await stage.draw("1girl")
    sentence = "The LoRA ink is used without a.alpha, b.alpha, c.alpha and 1 more: this model has no such layers."
    assert f"⚠️ {sentence}" in message.text and "{" not in message.text
    assert sentence in (await (await stage.press_more(message, "Info")).response()).text


async def test_notes_about_a_cell_are_shown_with_the_grid(stage: Stage) -> None:
    stage.engine.notes = ("The LoRA ink is used without 12 keys.",)
    interaction = await stage.slash("compare", prompt="1girl", columns="steps", column_values="2, 3")
    _, message = await stage.delivered(interaction)
    assert message.text.count("⚠️ The LoRA ink is used without 12 keys.") == 1


async def test_the_edited_prompt_shows_the_loras_and_decides_them(stage: Stage) -> None:
    for name in ("ink", "chibi"):
        (stage.models / "loras" / f"{name}.safetensors").touch()
    _, message = await stage.draw("1girl, <lora:chibi>", lora="ink:0.8")
    modal = await (await stage.press(message, "Edit…")).modal()
    filled = {field["custom_id"].partition(":")[0]: field.get("value") for _, field in modal.inputs()}
    assert filled["prompt"] == "1girl <lora:ink:0.8> <lora:chibi:1>"
    edited, _ = await stage.delivered(
        await stage.discord.submit(stage.alice, modal, {"Prompt": "1girl <lora:Ink:-1>, hat"})
    )
    assert edited.prompt == "1girl, hat" and stage.engine.requests[-1].loras == (("ink", -1.0),)
    await stage.delivered(await stage.discord.submit(stage.alice, modal, {"Prompt": "1girl"}))
    assert stage.engine.requests[-1].loras == ()
    wrong = await stage.discord.submit(stage.alice, modal, {"Prompt": "1girl <lora:inc:1>"})
    assert "There is no LoRA called “inc”. Did you mean ink?" in (await wrong.followup()).text
