"""Going on from an image where only the person installed the bot, whose messages it cannot fetch there."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from bot.sandbox import Channel, Message
from tests.bot.components.more.test_redraw import CELLS, choose
from tests.bot.harness import Stage


@pytest.fixture(params=["a server", "a group"])
def place(stage: Stage, request: pytest.FixtureRequest) -> Channel:
    world = stage.discord.world
    world.elsewhere.add_member(stage.alice)
    return world.lounge if request.param == "a server" else world.group


async def drawn(stage: Stage, place: Channel, count: int = 1) -> Message:
    _, message = await stage.draw("1girl", where=place, count=count)
    return message


def drew_from(stage: Stage, message: Message, index: int) -> bool:
    posted = Image.open(io.BytesIO(message.attachments[index].data))
    return bool(stage.engine.requests[-1].image.tobytes() == posted.tobytes())


async def test_an_image_is_extended(stage: Stage, place: Channel) -> None:
    message = await drawn(stage, place)
    ways = await (await stage.press_more(message, "Extend…")).response()
    await stage.delivered(await stage.press(ways, "Left"))
    request = stage.engine.requests[-1]
    assert (request.width, request.height) == (96, 64)


async def test_a_part_of_it_is_redrawn(stage: Stage, place: Channel) -> None:
    message = await drawn(stage, place)
    shown = await (await stage.press_more(message, "Redraw part…")).response()
    shown = await choose(stage, shown, CELLS, ["A1"], stage.alice)
    form = await (await stage.press(shown, "Redraw this part…")).modal()
    await stage.delivered(await stage.discord.submit(stage.alice, form))
    assert stage.engine.requests[-1].mask is not None and drew_from(stage, message, 0)


@pytest.mark.parametrize("label", ["Upscale", "Redraw part…"])
async def test_one_of_several_is_picked(stage: Stage, place: Channel, label: str) -> None:
    message = await drawn(stage, place, count=3)
    alone = await stage.pick(message, 1)
    sent = await stage.press(alone, label)
    if label != "Upscale":
        shown = await choose(stage, await sent.response(), CELLS, ["A1"], stage.alice)
        form = await (await stage.press(shown, "Redraw this part…")).modal()
        sent = await stage.discord.submit(stage.alice, form)
    await stage.delivered(sent)
    assert drew_from(stage, message, 1)


async def test_what_was_deleted_meanwhile_is_not_drawn_from(stage: Stage, place: Channel) -> None:
    job, message = await stage.draw("1girl", where=place)
    ways = await (await stage.press_more(message, "Extend…")).response()
    await stage.database.images.delete([each.id for each in await stage.database.images.of_job(job.id)])
    sent = await stage.press(ways, "Left")
    assert "can't open the picture's message" in (await sent.followup()).text
    assert len(stage.engine.requests) == 1


async def test_messages_that_the_bot_can_never_see_are_not_asked_for(stage: Stage, place: Channel) -> None:
    """Each refusal counts towards a ban."""
    message = await drawn(stage, place)
    await stage.delivered(await stage.press_more(message, "Vary (subtle)"))
    more = await (await stage.press(message, "More…")).response()
    await (await stage.press(more, "Redraw part…")).response()
    listed = await (await stage.slash("history", where=place)).response()
    assert "1girl" in listed.text
    assert stage.discord.request_log.find("GET", "/messages") == []
