"""The page with the real bot behind it: by keyboard on a small screen, with double clicks, and closed too early."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from bot.jobs.acknowledgement.origin import Origin
from storage.schema import JobState
from tests.bot import harness
from tests.bot.harness import Stage
from tests.bot.sandbox.page.conftest import Screen, new_screen, new_tab, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def jobs(stage: Stage) -> int:
    """How many there were."""
    statistics = await stage.database.jobs.statistics(datetime.now(UTC) - timedelta(days=1))
    return sum(statistics.jobs.values())


async def test_a_comparison_is_asked_for_by_keyboard_at_380_pixels(stage: Stage, window: BrowserContext) -> None:
    screen = await new_tab(window, stage.discord.page_url, {"width": 380, "height": 700})
    await screen.open(stage.alice, stage.general)
    await screen.text.focus()
    await screen.type("/anima compare")
    await expect(screen.options.first).to_contain_text("/anima compare")
    await screen.press("Enter")
    await screen.type("1girl")
    await screen.press("Tab")
    await expect(screen.option_field("columns")).to_be_focused()
    await screen.type("steps")
    await expect(screen.options.first).to_contain_text("steps")
    await screen.press("Enter")
    await screen.type("column_values")
    await screen.press("Tab")
    await screen.type("4, 6")
    await screen.press("Enter")
    if await screen.page.locator(".command-form").count():
        await screen.press("Enter")  # the first took a completion
    picture = screen.last.locator(".image img")
    await expect(picture).to_be_visible()
    box = await picture.bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 380
    assert sorted(request.steps for request in stage.engine.requests) == [4, 6]
    menu = screen.last.get_by_role("combobox").or_(screen.last.locator(".select")).first
    await menu.focus()
    await screen.press("Enter")
    await expect(screen.options.first).to_be_visible()
    await screen.press("Enter")
    await expect(screen.last).to_contain_text("Only you can see this")
    await screen.page.close()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Until it is set the bot acknowledges nothing that draws."""
    may_answer = asyncio.Event()
    acknowledge = Origin.acknowledge

    async def acknowledge_later(interaction: Any, *, ephemeral: bool = False) -> Origin:
        await may_answer.wait()
        return await acknowledge(interaction, ephemeral=ephemeral)

    monkeypatch.setattr(Origin, "acknowledge", acknowledge_later)
    return may_answer


@pytest.mark.parametrize("label", ["Re-roll", "Vary", "Upscale"])
async def test_a_double_click_on_a_button_makes_one_job(
    stage: Stage, screen: Screen, slow: asyncio.Event, label: str
) -> None:
    slow.set()
    await stage.draw("1girl")
    slow.clear()
    await screen.button(label, screen.last).dblclick()
    slow.set()
    await expect(screen.messages).to_have_count(2)
    await expect(screen.last.locator(".image img")).to_be_visible()
    assert await jobs(stage) == 2


async def test_a_double_click_on_a_forms_send_makes_one_job(stage: Stage, screen: Screen, slow: asyncio.Event) -> None:
    slow.set()
    await stage.draw("1girl")
    slow.clear()
    await screen.button("Edit…", screen.last).click()
    await screen.button("Submit", screen.modal).dblclick()
    slow.set()
    await expect(screen.messages).to_have_count(2)
    await expect(screen.last.locator(".image img")).to_be_visible()
    assert await jobs(stage) == 2


async def test_enter_pressed_twice_sends_a_command_once(stage: Stage, screen: Screen) -> None:
    await screen.text.fill("/anima imagine 1girl")
    await screen.press("Enter", "Enter", "Enter")
    await expect(screen.last.locator(".image img")).to_be_visible()
    assert await jobs(stage) == 1


async def test_a_page_that_is_closed_while_drawing_loses_nothing(stage: Stage, browser: Browser) -> None:
    stage.engine.hold()
    screen = await new_screen(browser, stage.discord.page_url)
    await screen.open(stage.alice, stage.general)
    await screen.pick_command("anima imagine")
    await screen.type("1girl")
    await screen.press("Enter")
    await until(lambda: stage.engine.requests or stage.discord.messages_in(stage.general))
    await screen.page.context.close()
    [message] = stage.discord.messages_in(stage.general)

    async def known() -> bool:
        return await stage.database.jobs.by_message(message.id) is not None

    await harness.until(known)
    job = await stage.database.jobs.by_message(message.id)
    assert job is not None
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    again = await new_screen(browser, stage.discord.page_url)
    await again.open(stage.alice, stage.general)
    await expect(again.last.locator(".image img")).to_be_visible()
    await expect(again.last).to_contain_text("1girl")
    await again.page.context.close()
