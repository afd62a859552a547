"""A real browser that shows the page, with a small bot behind it. One browser serves all tests of a process.

A tab is a fraction of the work of a window, so most tests have a tab each in one window. They share nothing in it:
every test has a server, and with it an origin, of its own, and the page keeps nothing in the browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from bot.sandbox import Channel, FakeDiscord, User, page_server
from tests.bot.conftest import checked_standin
from tests.bot.sandbox.conftest import Answer, SpecimenStage
from tests.browser import BROWSER_TIMEOUT, open_browser

VIEWPORT = {"width": 1280, "height": 800}

#: Presses of Tab, more than there are places to stop at.
MAX_STOPS = 80


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def window(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Its first tab stays empty. Without any, the window would close, and the process that renders its tabs end."""
    window = await new_window(browser)
    await window.new_page()
    yield window
    await window.close()


class Screen:
    """A tab that shows the page, and where things are in it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.requested: list[str] = []
        self.mistakes: list[str] = []
        self._tabs_before = list(page.context.pages)
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("pageerror", lambda error: self.mistakes.append(str(error)))
        page.on("console", self._note_error)

    def _note_error(self, message: ConsoleMessage) -> None:
        # The browser reports every refusal; the page shows those of the stand-in to the person.
        if message.type == "error" and "status of 422" not in message.text:
            self.mistakes.append(message.text)

    @property
    def tabs_opened(self) -> list[str]:
        """The addresses of tabs that were opened since."""
        return [page.url for page in self.page.context.pages if page not in self._tabs_before]

    async def open(self, user: User, channel: Channel) -> None:
        await self.page.goto(f"{self.address}#{user.id}/{channel.id}")
        await self.shows(channel)

    async def shows(self, channel: Channel) -> None:
        await expect(self.page.locator("#channel-title")).to_contain_text(channel.name)
        await expect(self.page.locator("#messages .beginning")).to_be_visible()

    @property
    def text(self) -> Locator:
        return self.page.locator("#text")

    @property
    def messages(self) -> Locator:
        return self.page.locator("#messages > .message")

    @property
    def last(self) -> Locator:
        return self.messages.last

    @property
    def options(self) -> Locator:
        """What the list above the composer, or that of an open menu, offers."""
        return self.page.locator(".listbox:not([hidden]) [role=option]")

    @property
    def modal(self) -> Locator:
        return self.page.locator("dialog.modal")

    def button(self, name: str, within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("button", name=name, exact=True)

    def option_field(self, name: str) -> Locator:
        return self.page.locator(".command-form").get_by_label(name, exact=True)

    async def type(self, text: str) -> None:
        await self.page.keyboard.type(text)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def focused(self) -> str:
        """What the focused element is called, at its beginning."""
        called: str = await self.page.evaluate(
            "(document.activeElement.ariaLabel ?? document.activeElement.textContent).slice(0, 80)"
        )
        return called

    async def tab_to(self, name: str) -> None:
        for _ in range(MAX_STOPS):
            called = await self.focused()
            if called.startswith(name) or called.endswith(name):
                return
            await self.press("Tab")
        raise AssertionError(f"{name} is not reached by Tab")

    async def pick_command(self, name: str) -> None:
        """Types a command's name and takes what the picker offers first."""
        await self.text.fill(f"/{name}")
        await expect(self.options.first).to_contain_text(f"/{name}")
        await self.press("Enter")

    async def ask(self, stage: SpecimenStage, answer: Answer) -> None:
        """Types `/specimen`, which the bot answers with what the test wants to see."""
        stage.bot.answer = answer
        await self.pick_command("specimen")
        await self.press("Enter")

    async def choose_message_command(self, message: Locator, name: str) -> None:
        await message.hover()
        await message.locator(".more").click()
        await self.page.get_by_role("menuitem", name=name, exact=True).click()

    async def switch_to(self, user: User, channel: Channel | None = None) -> None:
        await self.page.locator("#who").select_option(str(user.id))
        if channel is not None:
            await self.shows(channel)


async def new_window(browser: Browser, **options: Any) -> BrowserContext:
    window = await browser.new_context(reduced_motion="reduce", **options)
    window.set_default_timeout(BROWSER_TIMEOUT)
    return window


async def new_tab(window: BrowserContext, address: str, viewport: Any = VIEWPORT) -> Screen:
    """The test closes it."""
    page = await window.new_page()
    await page.set_viewport_size(viewport)
    return Screen(page, address)


async def new_screen(browser: Browser, address: str, **options: Any) -> Screen:
    """In a window of its own."""
    return Screen(await (await new_window(browser, **options)).new_page(), address)


@pytest_asyncio.fixture(loop_scope="session")
async def standin(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDiscord]:
    async with checked_standin(monkeypatch, routes=[page_server.add_routes]) as standin:
        yield standin


@pytest_asyncio.fixture(loop_scope="session")
async def stage(standin: FakeDiscord) -> AsyncIterator[SpecimenStage]:
    stage = SpecimenStage(standin)
    await stage.start()
    yield stage
    await stage.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def screen(window: BrowserContext, stage: SpecimenStage) -> AsyncIterator[Screen]:
    """Alice in #general. Whatever the test does, the page makes no mistake and asks nobody but its own server."""
    screen = await new_tab(window, stage.discord.page_url)
    await screen.open(stage.discord.world.alice, stage.discord.world.general)
    yield screen
    await window.set_offline(False)
    for page in window.pages[1:]:
        await page.close()
    assert screen.mistakes == []
    assert [url for url in screen.requested if not url.startswith((screen.address, "blob:"))] == []


async def shown(stage: SpecimenStage, answer: Answer) -> None:
    """Has the bot answer Alice in #general with what the test wants to see."""
    interaction = await stage.ask(answer)
    await interaction.acknowledged()


async def until(what: Any) -> None:
    async with asyncio.timeout(BROWSER_TIMEOUT / 1000):
        while not what():
            await asyncio.sleep(0.01)
