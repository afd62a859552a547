"""*Redraw part…* and *Extend…*: what is picked, shown, drawn, charged and kept, for its owner and for others."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bot.components.more.extend import ExtendCanvas
from bot.generation.redraw.area import mask_of_cells
from bot.generation.spec import JobSpec
from bot.rules.server_settings import ServerLimits, ServerSettings
from bot.sandbox import InteractionHandle, Message, Upload, User
from bot.sandbox.user_client import ClientModal
from bot.text.formats import decimal
from inference.process import EngineDied
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.harness import Stage, until
from tests.storage.rules import broken_rules

CELLS, LINES = re.compile("anima:redraw-cells:.*"), re.compile("anima:redraw-lines:.*")


async def chosen(stage: Stage, message: Message, cells: list[str], user: User | None = None) -> Message:
    """The answer of *Redraw part…* with these cells chosen."""
    user = user or stage.alice
    shown = await (await stage.press_more(message, "Redraw part…", user)).response()
    return await choose(stage, shown, CELLS, cells, user)


async def choose(stage: Stage, shown: Message, menu: re.Pattern[str], values: list[str], user: User) -> Message:
    return await (await stage.discord.choose(user, shown, menu, values)).response()


async def form(stage: Stage, shown: Message, user: User | None = None) -> ClientModal:
    return await (await stage.press(shown, "Redraw this part…", user)).modal()


def masks_of(request: Any) -> np.ndarray:
    return np.asarray(request.mask)


async def told(stage: Stage, sent: InteractionHandle, part: str) -> Message:
    """A private answer with these words in it."""
    await sent.acknowledged()

    async def found() -> Message | None:
        ids = [sent.interaction.original_id, *sent.interaction.followup_ids]
        messages = [message for id in ids if id is not None and (message := stage.discord.messages.get(id)) is not None]
        return next((message for message in messages if message.is_ephemeral and part in message.text), None)

    return await until(found)


async def test_cells_of_an_image_are_shown_and_redrawn_with_what_the_form_says(stage: Stage) -> None:
    job, message = await stage.draw("1girl, red hair", seed="7", steps=5)
    shown = await chosen(stage, message, ["B1", "A1"])
    assert shown.is_ephemeral and "Chosen: A1, B1" in shown.text
    modal = await form(stage, shown)
    assert [field.get("value") for _, field in modal.inputs()] == ["1girl, red hair", "1"]
    await stage.restart()
    sent = await stage.discord.submit(stage.alice, modal, {"Prompt for the whole picture": "1girl, blue hair"})
    redrawn, posted = await stage.delivered(sent)
    request = stage.engine.requests[-1]
    assert "blue hair" in request.prompt and (request.seed, request.steps, request.denoise) == (7, 5, 1.0)
    assert request.image.tobytes() == Image.open(io.BytesIO(message.attachments[0].data)).tobytes()
    assert (masks_of(request) == np.asarray(mask_of_cells(["A1", "B1"], (64, 64)))).all()
    assert (redrawn.kind, redrawn.cost) == ("redraw", job.cost)
    assert (
        f"[redrawn in part](https://discord.com/channels/{job.guild_id}/{job.channel_id}/{job.message_id})"
        in posted.text
    )
    info = await (await stage.press_more(posted, "Info")).response()
    assert f"partial redraw of [a picture](https://discord.com/channels/{job.guild_id}/{job.channel_id}/" in info.text
    assert "partial redraw of [a picture]" in (await stage.answer("history")).text


def begun_with(modal: ClientModal) -> list[Any]:
    return [field.get("value") for _, field in modal.inputs()]


async def test_a_form_begins_with_what_the_same_person_asked_for_at_the_last_redraw_of_that_image(stage: Stage) -> None:
    (stage.models / "loras" / "ink.safetensors").touch()
    _, message = await stage.draw("1girl <lora:ink:0.5>", count=2)
    shown = await (await stage.press(await stage.pick(message, 1), "Redraw part…")).response()
    shown = await choose(stage, shown, CELLS, ["A1"], stage.alice)
    first = await form(stage, shown)
    assert begun_with(first) == ["1girl <lora:ink:0.5>", "1"]
    typed = {"Prompt for the whole picture": "1girl, beach", "Denoise, 0.05 to 1 (1: all new)": "0.8"}
    _, posted = await stage.delivered(await stage.discord.submit(stage.alice, first, typed))
    second = await form(stage, shown)
    assert begun_with(second) == ["1girl, beach", "0.8"]
    await stage.restart()
    await stage.delivered(await stage.discord.submit(stage.alice, second, {}))
    request = stage.engine.requests[-1]
    assert "beach" in request.prompt and request.denoise == 0.8 and request.loras == ()
    assert begun_with(await form(stage, await chosen(stage, posted, ["A1"]))) == ["1girl, beach", "1"], (
        "of another image"
    )
    bobs = await (await stage.press(await stage.pick(message, 1, stage.bob), "Redraw part…", stage.bob)).response()
    bobs = await choose(stage, bobs, CELLS, ["A1"], stage.bob)
    assert begun_with(await form(stage, bobs, stage.bob)) == ["1girl <lora:ink:0.5>", "1"]
    await stage.database.privacy.erase(stage.alice.id)
    assert await broken_rules(stage.database) == []


async def test_a_lora_that_the_last_redraw_left_out_does_not_come_back(stage: Stage) -> None:
    (stage.models / "loras" / "ink.safetensors").touch()
    _, message = await stage.draw("1girl" + ", red hair" * 400, lora="ink:0.5")
    shown = await chosen(stage, message, ["A1"])
    short = {"Prompt for the whole picture": "1girl, beach"}
    await stage.delivered(await stage.discord.submit(stage.alice, await form(stage, shown), short))
    assert stage.engine.requests[-1].loras == (("ink", 0.5),), "it had no room in the form"
    second = await form(stage, shown)
    assert begun_with(second)[0] == "1girl, beach <lora:ink:0.5>"
    await stage.delivered(await stage.discord.submit(stage.alice, second, short))
    assert stage.engine.requests[-1].loras == ()


async def test_a_form_opened_by_an_earlier_release_is_still_taken(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    modal = await form(stage, await chosen(stage, message, ["A1"]))
    for _, field in modal.inputs():
        field["custom_id"] = field["custom_id"].rpartition(":")[0]
    redrawn, _ = await stage.delivered(await stage.discord.submit(stage.alice, modal, {}))
    assert (redrawn.prompt, redrawn.kind) == (job.prompt, "redraw")


async def test_whole_columns_and_rows_join_the_chosen_cells_until_all_are_cleared(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    shown = await choose(stage, await chosen(stage, message, ["C3"]), LINES, ["A", "5"], stage.alice)
    assert "Chosen: A1, A2, A3, C3, A4, A5, B5, C5, D5, E5" in shown.text
    fewer = await choose(stage, shown, CELLS, ["C3"], stage.alice)
    assert "Chosen: C3" in fewer.text and "A1" not in fewer.text.replace("A to E", "")
    other = await choose(stage, fewer, LINES, ["clear", "E"], stage.alice)
    assert "Chosen: E1, E2, E3, E4, E5" in other.text
    none = await choose(stage, other, LINES, ["clear"], stage.alice)
    assert "Choose the cells to redraw." in none.text


async def test_the_edge_is_chosen_at_once(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    shown = await (await stage.press_more(message, "Redraw part…")).response()
    shown = await choose(stage, shown, LINES, ["edge"], stage.alice)
    assert "Chosen: A1, B1, C1, D1, E1, A2, E2, A3, E3, A4, E4, A5, B5, C5, D5, E5" in shown.text


async def test_the_picker_and_the_form_say_how_to_redraw_a_background(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    shown = await chosen(stage, message, ["A1"])
    assert "choose every cell that shows some of it" in shown.text and "denoise of about" in shown.text
    modal = await form(stage, shown)
    assert any("For a background: about" in field.get("description", "") for field in modal.components)


@pytest.mark.parametrize("credits", [None, 50])
async def test_the_picker_says_what_redrawing_costs_where_there_is_a_quota(stage: Stage, credits: float | None) -> None:
    await stage.database.servers.change(stage.general.guild.id, {"quota": {"credits": credits}}, by=1)
    _, message = await stage.draw("1girl", count=2, steps=5)
    shown = await (await stage.press(await stage.pick(message, 1), "Redraw part…")).response()
    shown = await choose(stage, shown, CELLS, ["A1"], stage.alice)
    redrawn, _ = await stage.delivered(await stage.discord.submit(stage.alice, await form(stage, shown)))
    assert (f"Costs {decimal(redrawn.cost)} credit" in shown.text) == (credits is not None)
    assert ("Costs" in shown.text) == (credits is not None)


async def test_the_chosen_area_is_marked_in_the_picture_before_anything_is_drawn(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    before = await (await stage.press_more(message, "Redraw part…")).response()
    after = await choose(stage, before, CELLS, ["E5"], stage.alice)
    plain, marked = (np.asarray(Image.open(io.BytesIO(each.shown[-1].data)), int) for each in (before, after))
    changed = np.abs(plain - marked).max(axis=2) > 60
    rows, columns = np.nonzero(changed)
    assert rows.min() > 0.75 * plain.shape[0] and columns.min() > 0.75 * plain.shape[1]
    assert len(stage.engine.requests) == 1


async def test_a_picked_image_of_several_is_redrawn_by_whoever_picks_it_at_their_cost(stage: Stage) -> None:
    job, message = await stage.draw("1girl", count=3, seed="10")
    alone = await stage.pick(message, 1, stage.bob)
    shown = await (await stage.press(alone, "Redraw part…", stage.bob)).response()
    shown = await choose(stage, shown, CELLS, ["A1"], stage.bob)
    redrawn, _ = await stage.delivered(await stage.discord.submit(stage.bob, await form(stage, shown, stage.bob)))
    request = stage.engine.requests[-1]
    second = Image.open(io.BytesIO(message.attachments[1].data))
    assert request.image.tobytes() == second.tobytes() and request.seed == 11
    assert redrawn.user_id == stage.bob.id
    assert (await stage.database.quotas.usage(Account(stage.bob.id, job.guild_id))).spent == redrawn.cost
    assert stage.discord.messages.get(message.id) is not None, "the original stays"


async def test_images_made_from_a_redrawn_image_redraw_the_same_part(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    _, posted = await stage.delivered(
        await stage.discord.submit(stage.alice, await form(stage, await chosen(stage, message, ["D2"])))
    )
    for label in ("Re-roll", "Vary"):
        await stage.delivered(await stage.press(posted, label))
    first, *rest = stage.engine.requests[1:]
    assert len(rest) == 2
    for request in rest:
        assert request.image.tobytes() == first.image.tobytes() and (masks_of(request) == masks_of(first)).all()
    await stage.delivered(await stage.press(posted, "Upscale"))
    assert stage.engine.requests[-1].mask is None, "the whole image is made larger"


async def test_an_upscale_in_tiles_is_extended_in_one_pass_made_smaller_where_it_has_to_be(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    for _ in range(2):
        _, message = await stage.delivered(await stage.press(message, "Upscale"))
    assert stage.engine.requests[-1].tiled
    ways = await (await stage.press_more(message, "Extend…")).response()
    await stage.delivered(await stage.press(ways, "Left"))
    assert not stage.engine.requests[-1].tiled


async def test_a_redrawing_that_waits_survives_a_restart_and_one_that_fails_is_drawn_with_the_same_mask(
    stage: Stage,
) -> None:
    _, message = await stage.draw("1girl")
    modal = await form(stage, await chosen(stage, message, ["C3"]))
    stage.engine.hold()
    await stage.in_state((await stage.ask("1boy")).id, JobState.RUNNING)
    job = await stage.job_of(await stage.discord.submit(stage.alice, modal))
    await stage.restart()
    await stage.in_state(job.id, JobState.DELIVERED)
    stage.engine.errors.append(EngineDied("The engine's process was ended by SIGKILL."))
    await stage.delivered(await stage.discord.submit(stage.alice, modal))
    waited, died, again = [request for request in stage.engine.requests if request.mask is not None]
    for request in (waited, died, again):
        assert (masks_of(request) == np.asarray(mask_of_cells(["C3"], (64, 64)))).all()
        assert request.image.tobytes() == waited.image.tobytes()
    assert await broken_rules(stage.database) == []


async def test_a_private_image_is_redrawn_privately_by_its_owner_alone(stage: Stage) -> None:
    job = await stage.in_state((await stage.ask("1girl", private=True, count=2, seed="10")).id, JobState.DELIVERED)
    message = stage.discord.messages.get(job.message_id)
    assert message is not None
    shown = await (await stage.press(await stage.pick(message, 1), "Redraw part…")).response()
    shown = await choose(stage, shown, CELLS, ["A1"], stage.alice)
    redrawn, posted = await stage.delivered(await stage.discord.submit(stage.alice, await form(stage, shown)))
    assert redrawn.private and posted.is_ephemeral
    second = Image.open(io.BytesIO(message.attachments[1].data))
    assert stage.engine.requests[-1].image.tobytes() == second.tobytes()
    _, public = await stage.draw("1boy", stage.bob)
    for custom_id in ("redraw:{}:0", "redraw-cells:{}:0", "redraw-chosen:{}:0:1", "extend:{}:0", "pan-left:{}:0"):
        is_menu = "cells" in custom_id
        forged = await stage.press_forged(
            public, f"anima:{custom_id.format(job.id)}", stage.bob, ["A1"] if is_menu else None
        )
        await told(stage, forged, "no longer saved")
        assert await stage.database.jobs.by_interaction(forged.id) is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"Denoise, 0.05 to 1 (1: all new)": "much"}, "Write denoise as a number"),
        ({"Denoise, 0.05 to 1 (1: all new)": "1.5"}, "Write denoise as a number"),
        ({"Prompt for the whole picture": "1girl, nsfw"}, "isn't allowed in this channel"),
    ],
)
async def test_invalid_redraws_are_explained_and_the_form_reopens(
    stage: Stage, values: dict[str, Any], sentence: str
) -> None:
    _, message = await stage.draw("1girl")
    modal = await form(stage, await chosen(stage, message, ["A1"]))
    sent = await stage.discord.submit(stage.alice, modal, values)
    again = await (await stage.press(await told(stage, sent, sentence), "Edit again…")).modal()
    assert next(iter(values.values())) in [field.get("value") for _, field in again.inputs()]
    assert len(stage.engine.requests) == 1
    await stage.delivered(await stage.discord.submit(stage.alice, again, dict.fromkeys(values, "0.5")))
    assert (masks_of(stage.engine.requests[-1])[:12, :12] == 255).all()


async def test_a_part_of_a_tiled_image_is_not_redrawn_and_the_answer_says_what_to_do(stage: Stage) -> None:
    _, message = await stage.draw("1girl", seed="300")
    _, once = await stage.delivered(await stage.press(message, "Upscale"))
    larger, twice = await stage.delivered(await stage.press(once, "Upscale"))
    assert stage.engine.requests[-1].tiled
    shown = await (await stage.press_more(twice, "Redraw part…")).response()
    assert "Redraw the part in the picture that it was upscaled from" in shown.text and shown.attachments == ()
    forged = await stage.press_forged(shown, f"anima:redraw-chosen:{larger.id}:0:3", stage.alice)
    assert "Redraw the part in the picture that it was upscaled from" in (await forged.response()).text
    drawn = len(stage.engine.requests)
    modal = await form(stage, await chosen(stage, once, ["A1", "B1"]))
    await stage.delivered(await stage.discord.submit(stage.alice, modal, {}))
    assert len(stage.engine.requests) == drawn + 1 and stage.engine.requests[-1].mask is not None


async def test_forged_cells_are_ignored(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    shown = await (await stage.press_more(message, "Redraw part…")).response()
    forged = await stage.press_forged(shown, f"anima:redraw-cells:{job.id}:0", stage.alice, ["Z9", "A1; drop"])
    assert "Choose the cells" in (await forged.response()).text
    empty = await stage.press_forged(shown, f"anima:redraw-chosen:{job.id}:0:0", stage.alice)
    assert "Choose at least one cell" in (await empty.response()).text


@pytest.mark.parametrize(
    ("label", "size", "at"),
    [
        ("Zoom out 1.5x", (96, 96), (16, 16)),
        ("Left", (96, 64), (32, 0)),
        ("Right", (96, 64), (0, 0)),
        ("Up", (64, 96), (0, 32)),
        ("Down", (64, 96), (0, 0)),
    ],
)
async def test_an_image_is_extended_and_its_own_pixels_are_where_they_were(
    stage: Stage, label: str, size: tuple[int, int], at: tuple[int, int]
) -> None:
    job, message = await stage.draw("1girl")
    ways = await (await stage.press_more(message, "Extend…")).response()
    await stage.restart()
    extended, posted = await stage.delivered(await stage.press(ways, label))
    request = stage.engine.requests[-1]
    assert (request.width, request.height) == size == request.image.size and request.denoise == 1.0
    inside = (*at, at[0] + 64, at[1] + 64)
    assert request.image.crop(inside).tobytes() == Image.open(io.BytesIO(message.attachments[0].data)).tobytes()
    outside = np.ones(size[::-1], bool)
    outside[inside[1] : inside[3], inside[0] : inside[2]] = False
    assert (masks_of(request)[outside] == 255).all()
    assert "extended" in posted.text and f"/{job.message_id}" in posted.text and extended.cost > job.cost
    assert "extension of [a picture]" in (await stage.answer("history")).text
    info = (await (await stage.press_more(posted, "Info")).response()).text
    words = {"Left": "32 pixels on the left", "Up": "32 pixels above", "Down": "32 pixels below"}
    assert f"**Extended by** {words.get(label, '')}" in info
    assert ("pixels on the left" in info) == bool(at[0]) and ("pixels above" in info) == bool(at[1])


async def test_a_comparison_whose_images_are_one_file_is_not_extended(stage: Stage) -> None:
    sent = await stage.slash("compare", prompt="1girl", columns="sampler")
    job, message = await stage.delivered(sent)
    for custom_id in ("extend:{}:0", "pan-left:{}:0", "zoom-out:{}:1"):
        forged = await stage.press_forged(message, f"anima:{custom_id.format(job.id)}", stage.alice)
        await told(stage, forged, "no longer saved")
        assert await stage.database.jobs.by_interaction(forged.id) is None


@pytest.mark.parametrize("way", ["zoom-out", "zoom-out-far", "pan-left", "pan-right", "pan-up", "pan-down"])
def test_buttons_of_messages_posted_long_ago_still_extend(way: str) -> None:
    posted = re.fullmatch(ExtendCanvas.__discord_ui_compiled_template__, f"anima:{way}:12:3")
    assert posted is not None and posted.groups() == (way, "12", "3")


async def test_an_image_is_made_smaller_with_a_note_if_the_canvas_would_be_too_large(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    ways = await (await stage.press_more(message, "Extend…")).response()
    sent = await stage.press(ways, "Zoom out 2x")
    await stage.delivered(sent)
    request = stage.engine.requests[-1]
    assert request.width * request.height <= 2.4 * 64 * 64
    await told(stage, sent, "Your picture is made smaller")


async def test_extending_keeps_within_the_servers_limits(stage: Stage) -> None:
    changes = ServerSettings().changes_to(ServerSettings(limits=ServerLimits(side=80)))
    await stage.database.servers.change(stage.general.guild.id, changes, by=stage.bob.id)
    _, message = await stage.draw("1girl")
    ways = await (await stage.press_more(message, "Extend…")).response()
    await stage.delivered(await stage.press(ways, "Zoom out 1.5x"))
    assert stage.engine.requests[-1].width <= 80
    await told(stage, await stage.press(ways, "Left"), "larger than this server allows")


def png(image: Image.Image) -> Upload:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return Upload("mine.png", buffer.getvalue())


def half_transparent() -> Image.Image:
    image = Image.new("RGBA", (64, 64), "navy")
    image.paste((0, 0, 0, 0), (0, 0, 32, 64))
    return image


def a_line(side: int) -> Image.Image:
    """A mask with one white column, which is lost in a latent."""
    line = Image.new("L", (side, side))
    line.paste(255, (0, 0, 1, side))
    return line


async def test_an_uploaded_mask_says_what_is_redrawn_and_is_stored_with_the_job(stage: Stage) -> None:
    mask = Image.new("L", (128, 128))
    mask.paste(255, (0, 0, 64, 128))
    files = {"image": png(Image.new("RGB", (64, 64), "navy")), "mask": png(mask)}
    job, posted = await stage.draw("1girl", **files)
    assert (
        "**Redrawn part** the white part of a mask" in (await (await stage.press_more(posted, "Info")).response()).text
    )
    request = stage.engine.requests[-1]
    assert (masks_of(request) == np.asarray(mask)).all() and request.denoise == 1.0
    assert await stage.database.source_images.mask_of_job(job.id) is not None
    await stage.draw("1girl", **files, denoise=0.5)
    assert stage.engine.requests[-1].denoise == 0.5


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"mask": png(Image.new("L", (64, 64), 255))}, "needs a picture"),
        ({"image": png(half_transparent()), "mask": png(Image.new("L", (64, 64)))}, "completely black"),
        ({"image": png(half_transparent()), "mask": png(Image.new("L", (64, 32), 255))}, "same shape"),
        ({"image": png(half_transparent()), "mask": png(a_line(64))}, "This mask would redraw nothing"),
        ({"image": png(half_transparent()), "mask": Upload("mask.png", b"no image")}, "can't read that file"),
    ],
)
async def test_an_empty_mask_is_refused_with_an_explanation(
    stage: Stage, files: dict[str, Upload], sentence: str
) -> None:
    sent = await stage.slash("imagine", prompt="1girl", **files)
    assert sentence in (await sent.followup()).text
    assert stage.engine.requests == []


async def test_transparent_parts_are_laid_on_white_with_a_note_and_redrawn_on_request(stage: Stage) -> None:
    sent = await stage.slash("imagine", prompt="1girl", image=png(half_transparent()))
    first, _ = await stage.delivered(sent)
    offer = await told(stage, sent, "on a white background")
    request = stage.engine.requests[-1]
    assert request.mask is None and request.image.getpixel((0, 0)) == (255, 255, 255)
    await stage.restart()
    redrawn, posted = await stage.delivered(await stage.press(offer, "Redraw the transparent part"))
    request = stage.engine.requests[-1]
    assert (masks_of(request)[:, :32] == 255).all() and not masks_of(request)[:, 32:].any() and request.denoise == 1.0
    assert redrawn.kind == "redraw" and "redrawn in part" in posted.text
    again, _ = await stage.delivered(await stage.press(posted, "Re-roll"))
    assert (masks_of(stage.engine.requests[-1]) == masks_of(request)).all()
    assert JobSpec.of(again).area == JobSpec.of(redrawn).area
    await stage.database.privacy.erase(stage.alice.id)
    assert await broken_rules(stage.database) == [] and await stage.database.source_images.mask_of_job(first.id) is None


async def test_transparent_parts_are_redrawn_for_their_owner_alone_for_what_is_outside_is_the_upload(
    stage: Stage,
) -> None:
    job, message = await stage.draw("1girl", image=png(half_transparent()))
    forged = await stage.press_forged(message, f"anima:redraw-transparent:{job.id}:0", stage.bob)
    await told(stage, forged, "no longer saved")
    assert await stage.database.jobs.by_interaction(forged.id) is None


async def test_an_opaque_image_is_offered_nothing(stage: Stage) -> None:
    job, _ = await stage.draw("1girl", image=png(Image.new("RGBA", (64, 64), "navy")))
    assert await stage.database.source_images.mask_of_job(job.id) is None


async def test_two_sends_at_once_are_two_jobs_and_charges_are_exact(stage: Stage) -> None:
    job, message = await stage.draw("1girl")
    shown = await chosen(stage, message, ["A1"])
    forms = [await form(stage, shown) for _ in range(2)]
    both = await asyncio.gather(*(stage.discord.submit(stage.alice, each) for each in forms))
    made = [(await stage.delivered(each))[0] for each in both]
    assert len({each.id for each in made}) == 2
    spent = (await stage.database.quotas.usage(Account(stage.alice.id, job.guild_id))).spent
    assert spent == sum(each.cost for each in (job, *made)) and await broken_rules(stage.database) == []
