"""`anima sandbox`: the command, the page in a browser, and the real engine with the miniature model."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser import BROWSER_TIMEOUT, CHROMIUM, MISSING, open_browser
from tests.end_to_end.bot_process import ROOT, TIMEOUT
from tests.ports import free_port

#: Pixels of a picture of the miniature.
WIDTH = 128

PICTURE_COLOUR = """async (image) => {
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
    canvas.drawImage(image, 0, 0);
    return [image.naturalWidth, ...canvas.getImageData(2, 2, 1, 1).data];
}"""


async def anima(folder: Path, *arguments: str) -> Process:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = (sys.executable, "-m", "bot", "sandbox", *arguments)
    return await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT)


@asynccontextmanager
async def sandbox(folder: Path, port: int) -> AsyncIterator[tuple[Process, str]]:
    """The process and the address that it prints; killed at the end if it still runs."""
    process = await anima(folder, "--port", str(port))
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), TIMEOUT)).decode()
        address = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert address is not None, line + (await process.stdout.read()).decode()
        yield process, address[0]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended_by_ctrl_c(process: Process) -> tuple[int | None, str]:
    process.send_signal(signal.SIGINT)
    said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
    return process.returncode, said.decode()


@pytest.mark.browser
@pytest.mark.posix
@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
async def test_a_picture_is_drawn_in_the_browser_and_the_sandbox_ends_and_starts_again(tmp_path: Path) -> None:
    async with open_browser() as browser:
        page = await browser.new_page()
        page.set_default_timeout(BROWSER_TIMEOUT)
        port = free_port()
        async with sandbox(tmp_path, port) as (process, address):
            await page.goto(address)
            first = await draw(page, "@micah, red hair, blue background")
            width, red, _, blue, _ = await first.evaluate(PICTURE_COLOUR)
            assert width == WIDTH and blue > red + 40, "the background is what the prompt says"
            assert await ended_by_ctrl_c(process) == (0, "\n")
        await expect(page.locator("#status")).to_contain_text("isn't responding")
        async with sandbox(tmp_path, port) as (process, again):
            assert again == address
            await expect(page.locator("#status")).to_be_hidden()
            kept = page.locator("#messages > .message")
            await expect(kept).to_have_count(1)
            await expect(kept.locator(".image img")).to_have_js_property("naturalWidth", WIDTH)
            await kept.get_by_role("button", name=re.compile("Re-roll")).click()
            again = kept.last.locator(".image img")
            await expect(kept).to_have_count(2)
            await expect(again).to_have_js_property("naturalWidth", WIDTH)
            page.once("dialog", lambda dialog: dialog.accept())
            await page.get_by_role("button", name="Start over").click()
            await expect(kept).to_have_count(0)
            await draw(page, "@micah, red hair, green background")
            await page.locator("#text").fill("/anima quota")
            await page.keyboard.press("Enter")
            await expect(page.locator(".command-form")).to_be_visible()
            await page.keyboard.press("Enter")
            answer = page.locator("#messages > .message").last
            await expect(answer).to_contain_text("Only you can see this")
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.wait(), TIMEOUT) == 0
    assert (tmp_path / "anima-sandbox.db").is_file() and not (tmp_path / "anima.db").exists()


async def draw(page: Page, prompt: str):  # type: ignore[no-untyped-def]
    """Type the command, and return the image that is posted."""
    await expect(page.locator("#messages .beginning")).to_be_visible()
    await page.locator("#text").fill(f"/anima imagine {prompt}")
    await page.keyboard.press("Enter")
    picture = page.locator("#messages > .message").last.locator(".image img")
    await expect(picture).to_have_js_property("naturalWidth", WIDTH)  # previews are smaller
    return picture


@pytest.mark.posix
async def test_ctrl_c_while_the_model_is_loading_ends_everything_quietly(tmp_path: Path) -> None:
    async with sandbox(tmp_path, 0) as (process, _):
        assert await ended_by_ctrl_c(process) == (0, "\n")


async def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await anima(tmp_path, "--port", str(port))
        said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
    assert process.returncode == 1
    assert re.fullmatch(
        rf"Port {port} is in use by another program\. Choose another one: anima sandbox --port \d+\n",
        said.decode(),
    )


@pytest.mark.parametrize("port", ["99999", "-1", "page"])
async def test_a_port_that_cannot_be_is_one_sentence(tmp_path: Path, port: str) -> None:
    process = await anima(tmp_path, f"--port={port}")
    said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
    assert process.returncode == 2
    assert f"{port!r} is not a port; use a number up to 65535" in said.decode()


async def test_with_a_prompt_one_picture_is_saved_and_nothing_else_and_again(tmp_path: Path) -> None:
    process = await anima(tmp_path, "--prompt", "@micah, red hair")
    said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
    assert process.returncode == 0, said.decode()
    [picture] = (tmp_path / "pictures").iterdir()
    assert f"Saved pictures/{picture.name}" in said.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]
    first = picture.read_bytes()
    again = await anima(tmp_path, "--prompt", "@micah, blue hair")
    await asyncio.wait_for(again.communicate(), TIMEOUT)
    assert len(list((tmp_path / "pictures").iterdir())) == 2 and picture.read_bytes() == first
