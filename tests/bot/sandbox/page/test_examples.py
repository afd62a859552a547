"""The examples of what the miniature can draw at the top of a channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from playwright.async_api import expect

from bot.sandbox import FakeDiscord, page_server
from tests.bot.conftest import checked_standin
from tests.bot.sandbox.conftest import SpecimenStage

from .conftest import Screen, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLES = ("a red cat", "a blue cat")


@pytest_asyncio.fixture(loop_scope="session")
async def standin(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeDiscord]:
    add_page = partial(page_server.add_routes, examples=EXAMPLES)
    async with checked_standin(monkeypatch, routes=[add_page]) as standin:
        yield standin


async def test_a_click_on_an_example_draws_it(stage: SpecimenStage, screen: Screen) -> None:
    buttons = screen.page.locator(".examples button")
    await expect(buttons).to_have_text(["/anima imagine a red cat", "/anima imagine a blue cat"])
    await buttons.last.click()
    await expect(screen.last.locator("img")).to_be_visible()
    assert stage.bot.seen[-1][0] == "a blue cat"


async def test_no_examples_are_shown_where_the_command_is_not_available(stage: SpecimenStage, screen: Screen) -> None:
    world = stage.discord.world
    await screen.switch_to(world.carol)
    await screen.open(world.carol, world.lounge)
    await expect(screen.page.locator(".examples")).to_have_count(1)
    world.installed_by.discard(world.carol.id)
    await screen.page.reload()
    await screen.shows(world.lounge)
    await expect(screen.page.locator(".examples")).to_have_count(0)


async def test_examples_appear_as_soon_as_the_bot_registers_its_commands(stage: SpecimenStage, screen: Screen) -> None:
    commands = stage.discord.commands.of(None)
    stage.discord.commands.overwrite(None, [])
    await expect(screen.page.locator(".examples")).to_have_count(0)
    stage.discord.commands.overwrite(None, commands)
    await expect(screen.page.locator(".examples button")).to_have_count(2)
    await until(lambda: stage.discord.gateway.is_connected)
