"""Takes the screenshots of the README from the sandbox with the miniature: `make screenshots`.

It needs what the tests need: Playwright and a chromium. It asks and presses as a person would, so it also notices when
the way there has changed.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import Page, async_playwright, expect

from bot.ops.settings import MINIATURE, Settings
from bot.sandbox.fake_discord import FakeDiscord
from bot.sandbox.model.world import User
from bot.sandbox.session import open_sandbox

FOLDER = Path("docs/pictures")
WIDTH, HEIGHT = 1280, 820
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
#: Milliseconds that an image may take, including loading the model.
TIMEOUT = 120_000

PROMPT = "@micah, red hair, blue background"
PROMPT_OF_EMI = "@micah, long hair, pink hair, green background"


async def take_screenshots(chromium: str, folder: Path) -> None:
    """Writes channel.png, commands.png and form.png into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=TIMEOUT)
    with TemporaryDirectory() as scratch:
        settings = Settings.read(database_url=f"sqlite:///{scratch}/anima.db", anima_models=MINIATURE)
        async with open_sandbox(settings) as sandbox, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            context = await browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark", reduced_motion="reduce"
            )
            page = await context.new_page()
            await _walk(page, sandbox.discord, folder)
            await browser.close()


async def _walk(page: Page, discord: FakeDiscord, folder: Path) -> None:
    world = discord.world
    await _open(page, discord, world.emi)
    await _draw(page, PROMPT_OF_EMI)
    await _open(page, discord, world.alice)
    await _draw(page, PROMPT)
    await page.screenshot(path=folder / "channel.png")

    await page.keyboard.type("/")
    await expect(page.locator("#panel").get_by_role("option").first).to_be_visible()
    await page.screenshot(path=folder / "commands.png")
    await page.locator("#text").fill("")

    last = page.locator("#messages > .message").last
    await last.get_by_role("button", name=re.compile("^Edit")).click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.screenshot(path=folder / "form.png")


async def _open(page: Page, discord: FakeDiscord, user: User) -> None:
    await page.goto(f"{discord.page_url}#{user.id}/{discord.world.general.id}")
    await expect(page.locator("#who")).to_have_value(str(user.id))
    await expect(page.locator("#messages .beginning")).to_be_attached()


async def _draw(page: Page, prompt: str) -> None:
    """Requests an image and waits until it is shown with its buttons."""
    before = await page.locator("#messages .image").count()
    await page.locator("#text").fill(f"/anima imagine {prompt}")
    await page.keyboard.press("Enter")
    await expect(page.locator("#messages .image")).to_have_count(before + 1)
    # Until the image is done there is only a preview, with other buttons.
    await expect(
        page.locator("#messages > .message").last.get_by_role("button", name=re.compile("^Edit"))
    ).to_be_visible()
    await page.locator("#messages .image img").last.evaluate("(image) => image.decode()")


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("There is no chromium on this machine. Install it, as in: apt-get install chromium")
    asyncio.run(take_screenshots(chromium, FOLDER))
    print(f"Wrote {FOLDER}/channel.png, commands.png and form.png")


if __name__ == "__main__":
    main()
