"""What members do with images and forms in the page, each as the person who asked and as somebody else."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import BrowserContext, Locator, expect

from bot.text.languages import LANGUAGES
from tests.bot.harness import Stage
from tests.bot.harness import until as eventually
from tests.bot.sandbox.page.conftest import Screen, new_tab

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def drawn(stage: Stage, count: int) -> None:
    """Until so many images were requested of the engine."""

    async def enough() -> bool:
        return len(stage.engine.requests) >= count

    await eventually(enough)


@pytest.mark.parametrize("width", [380, 1280])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_buttons_under_an_image_take_two_rows_in_every_language(
    stage: Stage, window: BrowserContext, language: str, width: int
) -> None:
    stage.discord.world.guild.locale = language
    for count in (1, 2, 3, 4):
        await stage.draw("1girl", count=count)
    screen = await new_tab(window, stage.discord.page_url, {"width": width, "height": 800})
    await screen.open(stage.bob, stage.general)
    await expect(screen.messages).to_have_count(4)
    for message, buttons in zip(await screen.messages.all(), (5, 6, 8, 10), strict=True):
        under = message.locator(".row button")
        await expect(under).to_have_count(buttons)
        boxes = [box for button in await under.all() if (box := await button.bounding_box()) is not None]
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
        assert len({round(box["y"]) for box in boxes}) <= 2
    await screen.page.close()


async def test_each_of_several_is_upscaled_by_its_asker_and_varied_by_another_member(
    stage: Stage, screen: Screen
) -> None:
    await stage.draw("1girl", count=3, seed="10")
    picture = screen.messages.filter(has=screen.button("U3"))
    await screen.button("U2", picture).click()
    await expect(screen.last).to_contain_text("upscaled")
    await screen.switch_to(stage.bob, stage.general)
    await screen.button("V3", picture.first).click()
    await expect(screen.last).to_contain_text("varied (strong, 0.5)")
    await expect(screen.last).to_contain_text("@Bob")
    assert [request.seed for request in stage.engine.requests[3:]] == [11, 12, 12, 12]


@pytest.mark.parametrize("is_asker", [True, False])
async def test_a_refused_edit_is_edited_again(stage: Stage, screen: Screen, is_asker: bool) -> None:
    await stage.draw("1girl")
    if not is_asker:
        await screen.switch_to(stage.bob, stage.general)
    await screen.button("Edit…", screen.last).click()
    await field(screen, "Prompt").fill("1boy, smile")
    await field(screen, "Size, steps, CFG, scheduler").fill("as before")
    await screen.modal.get_by_role("button", name="Submit").click()
    await expect(screen.last).to_contain_text("I don't understand “as before”")
    await screen.button("Edit again…", screen.last).click()
    await expect(field(screen, "Prompt")).to_have_value("1boy, smile")
    await expect(field(screen, "Size, steps, CFG, scheduler")).to_have_value("as before")
    await field(screen, "Size, steps, CFG, scheduler").fill("5 steps")
    await screen.modal.get_by_role("button", name="Submit").click()
    await drawn(stage, 2)
    assert stage.engine.requests[-1].prompt.endswith("1boy, smile") and stage.engine.requests[-1].steps == 5


def field(screen: Screen, label: str) -> Locator:
    return screen.modal.get_by_label(re.compile(f"^{label}"))


async def test_midjourneys_flags_are_corrected_with_one_click_that_only_the_asker_sees(
    stage: Stage, screen: Screen
) -> None:
    await screen.text.fill("/anima imagine 1girl --ar 3:2 --no hat --seed 5")
    await screen.press("Enter")
    hint = screen.messages.filter(has_text="About your prompt:")
    await expect(hint).to_contain_text("negative: hat")
    await screen.button("Draw this instead", hint).click()
    await drawn(stage, 2)
    request = stage.engine.requests[-1]
    assert request.seed == 5 and request.width > request.height and request.negative_prompt.endswith("hat")
    await screen.switch_to(stage.bob, stage.general)
    await expect(screen.messages.first).to_be_visible()
    await expect(hint).to_have_count(0)


async def test_info_has_all_of_a_long_prompt_for_everybody(stage: Stage, screen: Screen) -> None:
    await stage.draw("1girl, " + "very long hair, " * 300 + "the end")
    await expect(screen.last).not_to_contain_text("the end")
    await screen.switch_to(stage.bob, stage.general)
    await screen.button("More…", screen.last).click()
    await screen.button("Info", screen.last).click()
    await expect(screen.last).to_contain_text("prompt.txt")
