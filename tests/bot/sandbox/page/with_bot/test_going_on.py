"""By keyboard alone, on a phone's width, in two languages: an image is upscaled, extended, shared and described."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from bot.messages.buttons import LABELS
from bot.sandbox import FakeDiscord
from bot.text.languages import language_of, speaking
from bot.text.translation import say
from tests.bot.components.description.conftest import DescribingStage
from tests.bot.components.sharing.test_share import name_gallery
from tests.bot.sandbox.page.conftest import Screen
from tests.bot.sandbox.page.with_bot.conftest import fits, open_on_phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[DescribingStage]:
    stage = DescribingStage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


async def to_item(screen: Screen, name: str) -> None:
    """To an entry of the menu that is open."""
    for _ in await screen.page.get_by_role("menuitem").all():
        if await screen.focused() == name:
            return
        await screen.press("ArrowDown")
    raise AssertionError(f"{name} is not in the menu")


@pytest.mark.parametrize("language", ["en-US", "ja"])
async def test_an_image_is_upscaled_shared_and_described_by_keyboard_alone_on_a_phone(
    stage: DescribingStage, browser: Browser, language: str
) -> None:
    gallery = await name_gallery(stage)
    alice, screen = await open_on_phone(stage, browser, language)
    with speaking(language):
        words = {name: say(name) for name in ("Upscale", "More…", "Share", "Describe", "Draw this")}
        shared, shows = say("Shared in the gallery: {link}").partition("{")[0], say("What the picture shows")
    menu = language_of(language).translations.pgettext("menu", "Anima: parameters")

    await screen.tab_to(words["Upscale"])
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(2)
    await expect(screen.last.locator(".image img")).to_be_visible()
    assert stage.engine.requests[-1].width > stage.engine.requests[0].width
    await fits(screen, f"upscaled-{language}")

    await screen.tab_to(words["More…"])
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(3)
    await screen.tab_to(words["Share"])
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(4)
    await expect(screen.last).to_contain_text(shared)
    [post] = [message for message in stage.discord.messages_in(gallery) if not message.is_ephemeral]
    await fits(screen, f"shared-{language}")

    await screen.page.locator("#messages > .message .more").first.focus()
    await screen.press("Enter")
    await expect(screen.page.get_by_role("menuitem").first).to_be_focused()
    await to_item(screen, menu)
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(5)
    await screen.tab_to(words["Describe"])
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(6)
    await expect(screen.last).to_contain_text(shows)
    await expect(screen.last).to_contain_text("1girl, smile")
    await fits(screen, f"described-{language}")
    await screen.tab_to(words["Draw this"])
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(7)
    await expect(screen.last.locator(".image img")).to_be_visible()
    assert stage.engine.requests[-1].prompt.endswith("1girl, smile")

    await screen.open(alice, gallery)
    await expect(screen.last.locator(".image img")).to_be_visible()
    assert post.attachments
    await fits(screen, f"gallery-{language}")
    assert screen.mistakes == []
    await screen.page.context.close()


@pytest.mark.parametrize("language", ["en-US", "ja"])
async def test_an_image_is_extended_by_keyboard_alone_on_a_phone(
    stage: DescribingStage, browser: Browser, language: str
) -> None:
    _, screen = await open_on_phone(stage, browser, language)
    with speaking(language):
        more, extend, zoom_out = (say(LABELS[name]) for name in ("more", "extend", "zoom-out"))
    await screen.tab_to(more)
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(2)
    await screen.tab_to(extend)
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(3)
    await expect(screen.last.get_by_role("button", name=zoom_out)).to_be_visible()
    await fits(screen, f"extend-{language}")
    await screen.tab_to(zoom_out)
    await screen.press("Enter")
    await expect(screen.messages).to_have_count(4)
    await expect(screen.last.locator(".image img")).to_be_visible()
    await fits(screen, f"extended-{language}")
    first, extended = stage.engine.requests
    assert extended.width > first.width and extended.height > first.height and extended.mask is not None
    assert screen.mistakes == []
    await screen.page.context.close()
