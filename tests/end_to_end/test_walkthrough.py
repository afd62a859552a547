"""A walk through the sandbox in a real browser: member, moderator and admin, several languages, the miniature.

It takes a picture at every stop. They are kept in the folder that WALKTHROUGH_PICTURES names, if it does.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from bot.messages.buttons import LABELS
from bot.ops.settings import MINIATURE, Settings
from bot.sandbox import Channel, FakeDiscord, User
from bot.sandbox.session import open_sandbox
from bot.text.languages import reader_language, speaking
from bot.text.translation import say
from tests.browser import BROWSER_TIMEOUT, CHROMIUM, MISSING, open_browser
from tests.end_to_end.test_several_models import BASE, QUICK, two_models

pytestmark = [
    pytest.mark.browser,
    pytest.mark.posix,
    pytest.mark.skipif(CHROMIUM is None, reason=MISSING),
]


class Visitor:
    """Somebody who uses the page, and takes pictures of it."""

    def __init__(self, page: Page, discord: FakeDiscord, folder: Path, locale: str) -> None:
        self.page, self.discord, self.folder, self.locale = page, discord, folder, locale
        self._stops = 0
        self._name = ""

    async def become(self, user: User, channel: Channel, name: str) -> None:
        """Opens the page as `user`, both in this visitor's language; `name` begins the pictures' names from now on."""
        self.discord.world.guild.locale = self.locale  # what everybody reads is in the server's language
        user.locale, self._name, self._stops = self.locale, name, 0
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.discord.page_url}#{user.id}/{channel.id}")
        await expect(self.page.locator("#who")).to_have_value(str(user.id))
        await expect(self.page.locator("#messages .beginning")).to_be_visible()

    async def photograph(self, what: str) -> None:
        self._stops += 1
        await self.page.screenshot(path=self.folder / f"{self._name}-{self._stops:02}-{what}.png")

    @property
    def messages(self) -> Locator:
        return self.page.locator("#messages > .message")

    def said(self, sentence: str) -> str:
        """A sentence of the bot in this visitor's language."""
        with speaking(self.locale):
            return say(sentence)

    def entry(self, name: str) -> Locator:
        """The entry of a message's menu with that (English) name."""
        with speaking(self.locale):
            name = reader_language().translations.pgettext("menu", name)
        return self.page.get_by_role("menuitem", name=name)

    def button(self, name: str, within: Locator | None = None) -> Locator:
        """The last button of that (English) name."""
        return (within or self.page).get_by_role("button", name=re.compile(f"^{re.escape(self.said(name))}")).last

    async def command(self, text: str) -> Locator:
        """Pastes a command and sends it; returns the message that answers it, once it says something."""
        before = await self.messages.count()
        await self.page.locator("#text").fill(f"/{text} ")
        await expect(self.page.locator(".command-form")).to_be_visible()
        await self.page.keyboard.press("Enter")
        await expect(self.messages.nth(before)).to_be_visible()
        answer = self.page.locator(f"#{await self.messages.nth(before).get_attribute('id')}")
        await expect(answer.locator(".thinking")).to_have_count(0)
        return answer

    async def imagine(self, options: str, pictures: int = 1) -> Locator:
        """Draws, and returns the finished message."""
        message = await self.command(f"anima imagine {options}")
        await self.drawn(message, pictures)
        return message

    async def drawn(self, message: Locator, pictures: int = 1) -> None:
        # Until the images are done there is a preview, without the buttons that finished ones have.
        finished = self.button(LABELS["more"], message).or_(self.button(LABELS["info"], message))  # the latter: a grid
        await expect(finished.first).to_be_visible()
        await expect(message.locator(".image img")).to_have_count(pictures)
        await message.locator(".image img").last.evaluate("(image) => image.decode()")

    async def info(self, message: Locator) -> None:
        """Presses *Info*, which is behind *More…*."""
        before = await self.messages.count()
        await self.button(LABELS["more"], message).click()
        await expect(self.messages).to_have_count(before + 1)
        await self.photograph("more")
        await self.button(LABELS["info"], self.messages.last).click()
        await expect(self.messages).to_have_count(before + 2)

    async def menu(self, message: Locator) -> None:
        """Opens the menu of a message."""
        await message.hover()
        await message.locator(".more").click()
        await expect(self.page.get_by_role("menuitem").first).to_be_visible()

    async def scroll_to(self, message: Locator) -> None:
        """Scrolls to a message once it has its text; an update replaces its element, so this scrolls at once."""
        await expect(message.locator(".thinking")).to_have_count(0)
        await message.evaluate("(element) => element.scrollIntoView({ block: 'nearest' })")

    async def dismiss(self) -> None:
        await self.page.keyboard.press("Escape")
        await expect(self.page.get_by_role("dialog")).to_have_count(0)


@asynccontextmanager
async def opened(
    browser: Browser, folder: Path, locale: str, models: Path = MINIATURE, diffusion_model: str | None = None
) -> AsyncIterator[Visitor]:
    settings = Settings.read(
        database_url=f"sqlite:///{folder}/anima.db", anima_models=models, anima_diffusion_model=diffusion_model
    )
    async with open_sandbox(settings) as sandbox:
        context = await browser.new_context(
            viewport={"width": 1280, "height": 900}, color_scheme="dark", reduced_motion="reduce", locale=locale
        )
        context.set_default_timeout(BROWSER_TIMEOUT)
        yield Visitor(await context.new_page(), sandbox.discord, pictures_folder(folder, locale), locale)
        await context.close()


def pictures_folder(otherwise: Path, locale: str) -> Path:
    folder = Path(os.environ.get("WALKTHROUGH_PICTURES") or otherwise / "walkthrough") / locale
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest.mark.parametrize("locale", ["en-US", "ja", "es-ES"])
async def test_a_walk_as_member_moderator_and_admin(browser: Browser, tmp_path: Path, locale: str) -> None:
    async with opened(browser, tmp_path, locale) as visitor:
        await walk_as_member(visitor)
        await walk_as_moderator(visitor)
        await walk_as_admin(visitor)
        taken = sorted(path.name for path in visitor.folder.glob("*.png"))
    assert {name.split("-")[0] for name in taken} == {"member", "moderator", "admin"} and len(taken) > 15


async def test_a_walk_with_two_models(browser: Browser, tmp_path: Path) -> None:
    async with opened(browser, tmp_path, "en-US", two_models(tmp_path), BASE) as visitor:
        world = visitor.discord.world
        await visitor.become(world.alice, world.general, "models")
        await visitor.page.locator("#text").fill("/anima imagine prompt:@micah, smile model:")
        await expect(visitor.page.get_by_role("option", name=f"{QUICK} — turbo model")).to_be_visible()
        await visitor.photograph("autocomplete")
        await visitor.become(world.alice, world.general, "models")
        message = await visitor.imagine(f"prompt:@micah, smile model:{QUICK} seed:5")
        await expect(message).to_contain_text(f"{QUICK}, 128x128, 3 steps, CFG 1")
        await visitor.info(message)
        await expect(visitor.messages.last).to_contain_text(f"Model {QUICK}")
        await visitor.photograph("info")
        grid = await visitor.command("anima compare prompt:@micah, smile columns:model")
        await visitor.drawn(grid)
        await visitor.photograph("compare")


async def walk_as_member(visitor: Visitor) -> None:
    world = visitor.discord.world
    await visitor.become(world.alice, world.general, "member")
    await visitor.photograph("start")
    await visitor.page.locator(".examples button").first.click()
    await expect(visitor.messages).to_have_count(1)
    await visitor.drawn(visitor.messages.first)
    await visitor.photograph("example")
    await visitor.imagine("prompt:@micah, green hair, smile count:2 seed:5", pictures=2)
    await visitor.photograph("two-pictures")
    await visitor.info(visitor.messages.first)
    await visitor.photograph("info")
    await visitor.button(LABELS["edit"], visitor.messages.first).click()
    await expect(visitor.page.get_by_role("dialog")).to_be_visible()
    await visitor.photograph("edit")
    await visitor.dismiss()
    await visitor.imagine("prompt:@micah, red hair --ar 2:3 --no hat --seed 5")
    await visitor.photograph("hint")
    for command in ("history", "queue", "quota", "help", "preferences", "privacy"):
        await visitor.command(f"anima {command}")
        await visitor.photograph(command)
    await visitor.menu(visitor.messages.first)
    await visitor.photograph("menu")
    await visitor.entry("Anima: report").click()
    await expect(visitor.page.get_by_role("menuitem")).to_have_count(0)
    await visitor.page.wait_for_timeout(500)
    await visitor.scroll_to(visitor.messages.last)
    await visitor.photograph("report")
    await visitor.page.keyboard.press("Escape")


async def walk_as_moderator(visitor: Visitor) -> None:
    world = visitor.discord.world
    await visitor.become(world.bob, world.general, "moderator")
    await visitor.drawn(visitor.messages.first)
    await visitor.menu(visitor.messages.first)
    await visitor.photograph("menu")
    before = await visitor.messages.count()
    await visitor.entry("Anima: moderate…").click()
    await expect(visitor.messages).to_have_count(before + 1)
    await visitor.scroll_to(visitor.messages.last)
    await visitor.photograph("moderate")


async def walk_as_admin(visitor: Visitor) -> None:
    world = visitor.discord.world
    await visitor.become(world.owner, world.general, "admin")
    panel = await visitor.command("anima-admin")
    await visitor.photograph("panel")
    pages = panel.locator(".select, [role=combobox]").last
    await pages.click()
    await visitor.photograph("pages")
    await visitor.page.get_by_role("option", name=visitor.said("Suggested settings")).click()
    await expect(panel).to_contain_text(visitor.said("Suggested settings"))
    await visitor.page.wait_for_timeout(500)
    await visitor.scroll_to(panel)
    await visitor.photograph("suggested-settings")
    await visitor.button("Large public server", panel).click()
    await expect(visitor.button("Apply", panel)).to_be_visible()
    await visitor.scroll_to(panel)
    await visitor.photograph("suggested-changes")
