"""A part of an image is redrawn in the page by keyboard alone, on a phone's width, in two languages."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.async_api import Browser, expect

from bot.generation.redraw.area import mask_of_cells
from bot.text.languages import speaking
from bot.text.translation import say
from tests.bot.harness import Stage
from tests.bot.sandbox.page.with_bot.conftest import fits, open_on_phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("language", ["en-US", "ja"])
async def test_a_part_is_redrawn_by_keyboard_alone_on_a_phone(stage: Stage, browser: Browser, language: str) -> None:
    _, screen = await open_on_phone(stage, browser, language)
    with speaking(language):
        words = {name: say(name) for name in ("More…", "Redraw part…", "Cells…", "Redraw this part…")}
        chosen = say("Chosen: {cells}", cells="A1, B1")
    await screen.tab_to(words["More…"])
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(2)
    await screen.tab_to(words["Redraw part…"])
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(3)
    await expect(screen.last.locator(".image img")).to_be_visible()
    await screen.tab_to(words["Cells…"])
    await screen.press("Enter")
    await expect(screen.options.first).to_be_visible()
    for cell in ("A1", "B1"):
        await screen.type(cell)
        await expect(screen.options).to_have_count(1)
        await screen.press("Enter", "Control+A", "Delete")
    await screen.tab_to(await screen.page.locator(".select-end button").inner_text())
    await screen.press("Enter")
    await expect(screen.last).to_contain_text(chosen)
    await fits(screen, f"redraw-{language}")
    await screen.tab_to(words["Redraw this part…"])
    await screen.press("Enter")
    await expect(screen.modal).to_be_visible()
    await screen.press("Control+A")
    await screen.type("1girl, blue hair")
    await screen.press("Tab", "Tab")
    await screen.tab_to(await screen.modal.locator("button[type=submit]").inner_text())
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(4)
    await expect(screen.last.locator(".image img")).to_be_visible()
    await fits(screen, f"redrawn-{language}")
    request = stage.engine.requests[-1]
    assert "blue hair" in request.prompt and request.mask is not None
    assert (np.asarray(request.mask) == np.asarray(mask_of_cells(["A1", "B1"], (64, 64)))).all()
    assert screen.mistakes == []
    await screen.page.context.close()
