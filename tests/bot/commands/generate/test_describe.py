"""`/anima describe` with a real tagger in its process, and without one."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from bot.commands.help import DESCRIBE_ABOUT
from bot.jobs.describing.describer import OFF
from bot.sandbox import FakeDiscord, Upload
from tests.bot.harness import Stage
from tests.miniature_tagger import write_tagger

AVATAR = Path(__file__).parents[3] / "inference" / "tagging" / "pictures" / "avatar.png"


@pytest.fixture
async def describing(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    stage.settings["anima_tagger"] = write_tagger(tmp_path / "tagger", extra={"hatsune_miku_(append):4": 0.95})
    await stage.start()
    yield stage
    await stage.stop()


async def test_an_image_is_described_in_animas_order_with_artist_and_character(describing: Stage) -> None:
    told = await describing.answer("describe", image=Upload("avatar.png", AVATAR.read_bytes()))
    prompt = told.text.partition("> ")[2].replace("\\\\", "\\").replace("\\(", "(").replace("\\)", ")")
    assert prompt.startswith("hatsune miku (append), @lorelei, ")
    for tag in ("red hair", "long hair", "aqua background", "glasses"):
        assert tag in prompt


async def test_the_process_of_the_tagger_ends_with_the_bot(describing: Stage) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 60), "red").save(buffer, "JPEG")
    assert "> " in (await describing.answer("describe", image=Upload("photo.jpg", buffer.getvalue()))).text
    tagger = describing.client.describer._tagger
    assert tagger.pid is not None
    await describing.restart()
    assert tagger.pid is None


async def test_without_a_tagger_there_is_neither_command_nor_button(stage: Stage) -> None:
    names = [each.qualified_name for each in stage.client.tree.walk_commands()]
    assert "anima imagine" in names and "anima describe" not in names
    _, message = await stage.draw("1girl")
    told = await (await stage.discord.menu(stage.alice, message, "Anima: parameters")).response()
    assert "Describe" not in str(told.components)
    pressed = await stage.press_forged(message, "anima:describe:1:0", stage.alice)
    assert (await pressed.response()).text == OFF


async def help_on_commands(stage: Stage) -> str:
    shown = await stage.answer("help")
    await (await stage.discord.choose(stage.alice, shown, "anima:help", ["commands"])).acknowledged()
    return stage.discord.current(shown).text


async def test_help_mentions_describe_if_there_is_a_tagger(describing: Stage) -> None:
    assert DESCRIBE_ABOUT in await help_on_commands(describing)


async def test_help_does_not_mention_describe_without_a_tagger(stage: Stage) -> None:
    assert "/anima describe" not in await help_on_commands(stage)
