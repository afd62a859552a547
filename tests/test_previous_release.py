"""What the release before this one left behind still works: its database, the buttons of its messages, its `.env`."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.ops.settings import Settings
from bot.sandbox import FakeDiscord
from storage.database import Database
from storage.quotas import Account
from tests.bot.conftest import standin
from tests.bot.harness import Stage, until
from tests.storage.rules import broken_rules

__all__ = ["standin"]

LEFT = Path(__file__).parent / "previous_release"
SEVERAL, SINGLE = 1, 2
BUTTONS = re.findall(r'"custom_id": "([^"]+)"', (LEFT / "buttons.json").read_text())


@pytest.fixture
def database_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(LEFT / "anima.db", tmp_path / "anima.db"))


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path, database_file: Path) -> AsyncIterator[Stage]:
    stage = Stage(standin, tmp_path)
    await stage.start()
    yield stage
    await stage.stop()


async def test_its_database_opens_with_history_quota_and_preferences(database_file: Path) -> None:
    database = await Database.open(f"sqlite:///{database_file}")
    try:
        assert await broken_rules(database) == []
        jobs = [job for number in range(1, 7) if (job := await database.jobs.get(number)) is not None]
        states = Counter(job.state.value for job in jobs)
        assert states == {"delivered": 2, "failed": 1, "running": 1, "queued": 1, "cancelled": 1}
        alice = jobs[0].user_id
        shown = (await database.images.history(alice)).images
        assert [(image.job_id, image.seed) for image in shown] == [(SINGLE, 300), (SEVERAL, 8), (SEVERAL, 7)]
        assert (await database.quotas.usage(Account(alice, jobs[0].guild_id))) is not None
        assert sum(job.cost for job in jobs if job.user_id == alice) > 0
        assert await database.preferences.defaults(alice) == {"steps": 12}
    finally:
        await database.close()


@pytest.mark.parametrize("custom_id", BUTTONS)
async def test_its_buttons_are_answered(stage: Stage, custom_id: str) -> None:
    _, message = await stage.draw("a message of now")
    pressed = await stage.press_forged(message, custom_id, stage.alice, ["1"] if ":pick:" in custom_id else None)
    await pressed.acknowledged()
    if any(
        action in custom_id for action in (":reroll:", ":vary-")
    ):  # upscaling needs the old file, which only Discord has
        job = await until(lambda: stage.database.jobs.by_interaction(pressed.id))
        old = await stage.database.jobs.get(int(custom_id.split(":")[2]))
        assert old is not None and (job.prompt, job.user_id) == (old.prompt, old.user_id)


def test_its_env_file_is_read_to_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    file = LEFT / "settings.env"
    written = dict(line.split("=", 1) for line in file.read_text().splitlines())
    settings = Settings.read(_env_file=file)
    assert set(written) == {name.upper() for name in Settings.model_fields}
    for name, text in written.items():
        value = getattr(settings, name.lower())
        value = value.get_secret_value() if name == "DISCORD_TOKEN" else value
        assert value == type(value)(text), name
