"""The page with the bot itself behind it, in place of the small one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser

from bot.sandbox import FakeDiscord, User
from tests.bot.harness import Stage
from tests.bot.sandbox.page.conftest import Screen, new_screen

#: Pixels that a phone is wide.
PHONE = 380


@pytest_asyncio.fixture(loop_scope="session")
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


async def open_on_phone(stage: Stage, browser: Browser, language: str) -> tuple[User, Screen]:
    """Alice, who speaks this language as her server does, in front of a channel with one image."""
    world = stage.discord.world
    world.users[stage.alice.id] = alice = replace(stage.alice, locale=language)
    world.guild.locale = language
    await stage.draw("1girl, red hair", alice)
    screen = await new_screen(
        browser, stage.discord.page_url, viewport={"width": PHONE, "height": 800}, locale=language
    )
    await screen.open(alice, stage.general)
    return alice, screen


async def fits(screen: Screen, name: str) -> None:
    """Nothing of the last message is wider than the phone. WALKTHROUGH_PICTURES may name a folder for a picture."""
    for part in await screen.last.locator("button, img, .text").all():
        box = await part.bounding_box()
        assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= PHONE)
    if folder := os.environ.get("WALKTHROUGH_PICTURES"):
        await screen.page.screenshot(path=Path(folder) / f"phone-{name}.png")
