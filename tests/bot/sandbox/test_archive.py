"""The stand-in's messages are kept across restarts, with their files, buttons and tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import discord
import pytest

from bot.ops.errors import StartupError
from bot.sandbox import FakeDiscord
from bot.sandbox.archive import Archive
from tests.bot.conftest import checked_standin
from tests.bot.sandbox.conftest import SpecimenStage, png


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.db"


@asynccontextmanager
async def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SpecimenStage]:
    """A stand-in with this archive, and a bot in front of it."""
    async with checked_standin(monkeypatch) as standin:
        with Archive(path, standin):
            stage = SpecimenStage(standin)
            await stage.start()
            yield stage
            await stage.stop()


async def test_a_message_its_picture_and_its_buttons_survive_a_restart(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run(path, monkeypatch) as stage:
        world = stage.discord.world
        sent = await stage.discord.slash(world.alice, world.general, "anima imagine", prompt="a cat")
        before = await sent.response()
    async with run(path, monkeypatch) as stage:
        world = stage.discord.world
        [after] = stage.discord.messages_in(world.general)
        assert (after.id, after.content, after.components) == (before.id, "a cat", before.components)
        assert [file.data for file in after.attachments] == [png()]
        interaction = stage.discord.interactions.get(sent.id)
        assert interaction is not None and interaction.command == "anima imagine"
        async with aiohttp.ClientSession() as session, session.get(stage.discord.cdn.url(after.attachments[0])) as got:
            assert await got.read() == png()
        answer = await (await stage.discord.press(world.alice, after, label="Re-roll")).response()
        assert answer.content == "seed 8" and answer.reply_to is after


async def test_a_token_still_answers_after_a_restart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with run(path, monkeypatch) as stage:
        sent = await stage.ask(lambda interaction: interaction.response.defer(ephemeral=True))
        await sent.acknowledged()
        [loading] = stage.discord.messages_in(stage.discord.world.general)
    async with run(path, monkeypatch) as stage:
        [again] = stage.discord.messages_in(stage.discord.world.general)
        assert again.is_loading and again.visible_to is stage.discord.world.alice
        webhook = discord.Webhook.from_url(
            f"https://discord.com/api/webhooks/{stage.discord.world.application.id}/{sent.interaction.token}",
            session=aiohttp.ClientSession(),
        )
        async with webhook.session:
            await webhook.edit_message(loading.id, content="here it is")
        assert stage.discord.messages_in(stage.discord.world.general)[0].content == "here it is"


async def test_private_messages_and_replies_are_kept_and_deleted_ones_are_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run(path, monkeypatch) as stage:
        world = stage.discord.world
        user = await stage.bot.fetch_user(world.alice.id)
        await user.send("hello")
        gone = await stage.discord.say(world.alice, world.general, "gone")
        stage.discord.delete(world.alice, gone)
        dm = stage.discord.dm(world.alice)
    async with run(path, monkeypatch) as stage:
        world = stage.discord.world
        assert stage.discord.dm(world.alice).id == dm.id
        assert [each.content for each in stage.discord.messages_in(stage.discord.dm(world.alice))] == ["hello"]
        assert stage.discord.messages_in(world.general) == []
        stage.discord.delete_all_messages()
    async with run(path, monkeypatch) as stage:
        assert stage.discord.messages.everywhere() == []


async def test_a_foreign_file_is_refused_in_one_sentence(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to look like one" * 40)
    with pytest.raises(StartupError, match=r"messages\.db cannot be read .* Delete that file"):
        Archive(path, FakeDiscord())
