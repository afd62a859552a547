"""A real browser that shows the sandbox's page."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright, expect

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--renderer-process-limit=1"]
#: Milliseconds that a test waits for the browser and what its pages show; long, because the machine may be busy.
BROWSER_TIMEOUT = 120_000

#: The first one is Chromium without its windows and takes a third less processor time.
CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, CHROMIUMS)), None)
MISSING = "There is no chromium on this machine, so the page cannot be shown."


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """The test is skipped where there is none. Contexts and pages have to be given BROWSER_TIMEOUT each."""
    if CHROMIUM is None:
        pytest.skip(MISSING)
    expect.set_options(timeout=BROWSER_TIMEOUT)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=BROWSER_TIMEOUT)
        yield browser
        await browser.close()
