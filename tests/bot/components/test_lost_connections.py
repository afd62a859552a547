"""A connection that is lost once, while somebody waits for an answer, is no answer."""

from __future__ import annotations

import aiohttp
import discord
import pytest

from bot.jobs.delivery import outbox
from bot.messages import attachments
from bot.sandbox import Message
from bot.sandbox.server.faults import When
from tests.bot.components.sharing.test_share import name_gallery, posts, share
from tests.bot.harness import Stage


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "RETRY_DELAY", 0.01)
    monkeypatch.setattr(outbox, "MIN_RETRY_DELAY", 0.01)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_answer_is_edited_again_also_with_a_file(stage: Stage, when: When) -> None:
    _, message = await stage.draw("1girl")
    stage.discord.faults.drop("PATCH", "^/webhooks/", when=when, times=2)
    assert "How it was made" in (await (await stage.press_more(message, "Info")).response()).text
    more = await (await stage.press(message, "More…")).response()
    stage.discord.faults.drop("PATCH", "^/webhooks/", when=when, times=2)
    shown = await (await stage.press(more, "Redraw part…")).response()
    assert "Redraw a part" in shown.text and len(shown.attachments[0].data) > 1000


@pytest.mark.parametrize("label", ["Upscale", "Redraw part…", "Left"])
async def test_the_message_of_an_image_is_looked_up_again(stage: Stage, label: str) -> None:
    _, message = await stage.draw("1girl")
    more = await (await stage.press(message, "More…")).response()
    if label == "Left":
        more = await (await stage.press(more, "Extend…")).response()
    stage.discord.faults.drop("GET", f"/messages/{message.id}", when="before", times=2)
    under: Message = message if label == "Upscale" else more
    sent = await stage.press(under, label)
    if label == "Redraw part…":
        assert (await sent.response()).attachments
    else:
        await stage.delivered(sent)


async def test_a_file_is_downloaded_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _, message = await stage.draw("1girl")
    download, lost = attachments._download, [ConnectionResetError("lost"), aiohttp.ServerDisconnectedError()]

    async def download_in_the_end(client: discord.Client, url: str) -> bytes:
        if lost:
            raise lost.pop()
        return await download(client, url)

    monkeypatch.setattr(attachments, "_download", download_in_the_end)
    await stage.delivered(await stage.press(message, "Upscale"))
    assert lost == []


async def test_without_an_answer_the_image_comes_from_the_message_with_the_button(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    more = await (await stage.press(message, "More…")).response()
    stage.discord.faults.drop("GET", f"/messages/{message.id}", when="before", times=20)
    assert (await (await stage.press(more, "Redraw part…")).response()).attachments


async def test_the_history_shows_what_there_is(stage: Stage) -> None:
    _, message = await stage.draw("1girl")
    stage.discord.faults.drop("GET", f"/messages/{message.id}", when="before", times=2)
    listed = await stage.answer("history")
    assert "1girl" in listed.text and any(item.get("accessory") for item in listed.components)
    stage.discord.faults.drop("GET", f"/messages/{message.id}", when="before", times=20)
    assert "1girl" in (await stage.answer("history")).text


@pytest.mark.parametrize("status", [None, 503])
async def test_a_post_in_the_gallery_is_removed_all_the_same(stage: Stage, status: int | None) -> None:
    gallery = await name_gallery(stage)
    await share(stage, *await stage.draw("1girl"))
    [post] = posts(stage)
    question = await (await stage.press(post, "Remove…")).response()
    if status is None:
        stage.discord.faults.drop("DELETE", f"^/channels/{gallery.id}/", when="before", times=2)
    else:
        stage.discord.faults.answer("DELETE", f"^/channels/{gallery.id}/", status, times=2)
    assert "Removed" in (await stage.turned(question, "Remove from the gallery")).text
    assert posts(stage) == []
