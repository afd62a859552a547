"""One path through the whole bot: command, queue, engine, database, message; kill; button; image."""

import io
from pathlib import Path

from PIL import Image

from bot.sandbox import FakeDiscord, Message
from tests.end_to_end.bot_process import TIMEOUT, bot_process, openapi

PROMPT = "@micah, red hair, blue background"


def has_picture(message: Message) -> bool:
    """Whether it shows a finished image, not a preview."""
    return any(file.filename.startswith("anima-") for file in message.shown)


async def test_a_picture_is_drawn_and_rerolled_by_a_bot_that_was_killed_in_between(tmp_path: Path) -> None:
    async with FakeDiscord(openapi=openapi()) as discord:
        user, channel = discord.world.alice, discord.world.general
        async with bot_process(discord, tmp_path):
            interaction = await discord.slash(user, channel, "anima imagine", prompt=PROMPT)
            await interaction.acknowledged()
            first = await discord.wait_for_message(channel, has_picture, TIMEOUT)
            assert PROMPT in first.text
        await discord.wait_until_gone()
        async with bot_process(discord, tmp_path):
            await discord.press(user, first, label="Re-roll")
            second = await discord.wait_for_message(
                channel, lambda message: has_picture(message) and message.id != first.id, TIMEOUT
            )
        pictures = [Image.open(io.BytesIO(message.attachments[0].data)) for message in (first, second)]
        assert pictures[0].tobytes() != pictures[1].tobytes(), "a re-roll has a new seed"
        for picture in pictures:
            assert picture.size == (128, 128)
            assert is_blue(picture.getpixel((2, 2))), "the background is what the prompt says"
            assert PROMPT in picture.info["parameters"]
        assert discord.openapi is None or not discord.openapi.violations


def is_blue(pixel: object) -> bool:
    assert isinstance(pixel, tuple)
    red, _, blue = pixel
    return blue > 120 and blue > red + 40
