"""What the release before this one left behind still works: its database, the buttons of its messages, its `.env`."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import EllipsisType

import pytest

from bot.ops.settings import Settings
from bot.rules.server_settings import ServerSettings, limit_outside_servers, load_server_settings
from bot.sandbox import FakeDiscord, Message
from bot.sandbox.model.messages import COMPONENTS_V2
from storage.database import Database
from storage.quotas import Account
from storage.schema import JobState
from tests.bot.conftest import slow_acknowledgements, standin
from tests.bot.harness import Stage, until
from tests.storage.rules import broken_rules

__all__ = ["slow_acknowledgements", "standin"]

LEFT = Path(__file__).parent / "previous_release"
SEVERAL, SINGLE, RUNNING, QUEUED, RENDERED = 1, 2, 4, 5, 7
#: A minute after the latest change in the database.
WRITTEN_AT = datetime(2026, 11, 28, 19, 22, tzinfo=UTC)
KINDS = {"reroll": "reroll", "vary-subtly": "vary", "vary-strongly": "vary"}
BUTTONS = re.findall(r'"custom_id": "([^"]+)"', (LEFT / "buttons.json").read_text(encoding="utf-8"))


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(LEFT / "anima.db", tmp_path / "anima.db"))


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path, database_file: Path) -> AsyncIterator[Stage]:
    await _put_messages_back(standin, database_file)
    stage = Stage(standin, tmp_path, f"sqlite:///{database_file}")
    await stage.start()
    yield stage
    await stage.stop()


async def _put_messages_back(standin: FakeDiscord, database_file: Path) -> None:
    """Restores unfinished jobs' messages: a missing one would count as deleted."""
    database = await Database.open(f"sqlite:///{database_file}", lambda: WRITTEN_AT)
    for job_id in (RUNNING, QUEUED, RENDERED):
        job = await database.jobs.get(job_id)
        assert job is not None
        if job.message_id is None:
            continue
        channel = standin.world.channel(job.channel_id)
        assert channel is not None
        created_at = job.queued_at.timestamp()
        message = Message(job.message_id, channel, standin.world.bot, created_at, flags=COMPONENTS_V2)
        standin.messages._messages_by_id[message.id] = message
    await database.close()


async def test_its_database_opens_with_history_quotas_preferences_and_server_settings(database_file: Path) -> None:
    database = await Database.open(f"sqlite:///{database_file}", lambda: WRITTEN_AT)
    try:
        assert await broken_rules(database) == []
        jobs = [job for number in range(1, 8) if (job := await database.jobs.get(number)) is not None]
        states = Counter(job.state.value for job in jobs)
        assert states == {"delivered": 2, "failed": 1, "running": 1, "queued": 1, "cancelled": 1, "rendered": 1}
        alice, bob, guild_id = jobs[0].user_id, jobs[2].user_id, jobs[0].guild_id
        shown = (await database.images.history(alice)).images
        assert [(image.job_id, image.seed) for image in shown] == [(SINGLE, 300), (SEVERAL, 8), (SEVERAL, 7)]
        [render] = await database.images.renders(RENDERED)
        assert (render.image.seed, render.content[:4]) == (2**64 - 1, b"\x89PNG")
        usage = [await database.quotas.usage(Account(user_id, guild_id)) for user_id in (alice, bob)]
        assert [[charge.credits for charge in each.charges] for each in usage] == [[2.0, 1.0, 1.0], [1.0, 1.0]]
        assert await database.preferences.defaults(alice) == {"steps": 12}
        assert await database.preferences.presets(alice) == {"portrait": {"aspect": "2:3"}}
        settings = await load_server_settings(database.servers, guild_id)
        assert (settings.defaults.steps, settings.defaults.negative) == (8, "ugly")
        assert (settings.limits.side, settings.limits.waiting) == (1024, 9)
        assert (settings.quota.credits, settings.quota.roles) == (50.0, {5: 60.0})
        assert settings.safety.blocked_words == ("spider",)
        assert settings.limits.times_native == 4.0 and settings.limits.steps == 100, (
            "stricter defaults are for new servers"
        )
        outside = await load_server_settings(database.servers, None)
        assert (outside.limits.waiting, outside.quota.credits) == (50, None)
        assert await load_server_settings(database.servers, 10**18) == ServerSettings(), "a new server"
        block = await database.servers.block_of(777, guild_id)
        assert block is not None and (block.reason, block.blocked_by) == ("rude", alice)
    finally:
        await database.close()


@pytest.mark.parametrize(("said", "credits"), [(..., None), (5.0, 5.0), (None, None)])
async def test_outside_of_servers_there_is_still_no_limit_unless_the_operator_sets_one(
    database_file: Path, said: EllipsisType | float | None, credits: float | None
) -> None:
    database = await Database.open(f"sqlite:///{database_file}")
    try:
        await limit_outside_servers(database.servers, said, by=1)
        assert (await load_server_settings(database.servers, None)).quota.credits == credits
    finally:
        await database.close()


async def test_its_unfinished_jobs_are_continued(stage: Stage) -> None:
    job = await stage.in_state(RENDERED, JobState.DELIVERED)
    message = stage.discord.messages.get(job.message_id)
    assert message is not None and [file.filename for file in message.shown] == ["anima-7-1.png"]
    await stage.in_state(RUNNING, JobState.DELIVERED)
    await stage.in_state(QUEUED, JobState.DELIVERED)


@pytest.mark.parametrize("custom_id", BUTTONS)
async def test_its_buttons_do_the_same(stage: Stage, custom_id: str) -> None:
    """A message of the old release is a message of this one with the old custom_id."""
    _, message = await stage.draw("a message of now")
    _, action, job_id, *_ = custom_id.split(":")
    job = await stage.database.jobs.get(int(job_id))
    assert job is not None
    seeds = [image.seed for image in await stage.database.images.of_job(job.id)]
    pressed = await stage.press_forged(message, custom_id, stage.alice, ["1"] if action == "pick" else None)
    match action:
        case "pick":
            shown = await pressed.response()
            assert shown.is_ephemeral and "anima:vary-subtly:1:1" in custom_ids(shown)
        case "reroll" | "vary-subtly" | "vary-strongly":
            await pressed.acknowledged()
            new = await until(lambda: stage.database.jobs.by_interaction(pressed.id))
            assert (new.prompt, new.user_id, new.kind) == (job.prompt, job.user_id, KINDS[action])
        case "upscale":  # it needs the old file, which only Discord has
            assert (await pressed.followup()).is_ephemeral
        case "edit":
            modal = await pressed.modal()
            assert job.prompt in [field.get("value") for _, field in modal.inputs()]
        case "info":
            assert f"`{seeds[0]}`" in (await pressed.response()).text
        case "delete":
            question = await pressed.response()
            [confirm] = [each for each in custom_ids(question) if each.endswith(custom_id.partition("delete")[2])]
            await (await stage.discord.press(stage.alice, question, custom_id=confirm)).response()
            assert all(image.deleted_at is not None for image in await stage.database.images.of_job(job.id))
        case _:
            raise AssertionError(f"{custom_id} is not tested")


def custom_ids(message: Message) -> list[str]:
    return re.findall(r"'custom_id': '([^']+)'", repr(message.components))


def test_its_env_file_is_read_to_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    file = LEFT / "settings.env"
    written = dict(line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines())
    settings = Settings.read(_env_file=file)
    assert set(written) <= {name.upper() for name in Settings.model_fields}
    for name, text in written.items():
        value = getattr(settings, name.lower())
        value = value.get_secret_value() if name == "DISCORD_TOKEN" else value
        assert value == type(value)(text), name
