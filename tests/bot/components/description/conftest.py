"""A stage with a tagger that answers what a test tells it to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sandbox import FakeDiscord
from tests.bot.fake_tagger import FakeTagger
from tests.bot.harness import Stage


class DescribingStage(Stage):
    """The tagger lives on over restarts of the bot."""

    def __init__(self, discord: FakeDiscord, folder: Path) -> None:
        super().__init__(discord, folder)
        self.tagger = FakeTagger()
        self.settings["anima_tagger"] = folder / "never-opened"

    async def start(self) -> None:
        await super().start()
        self.client.describer._tagger = self.tagger


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path) -> AsyncIterator[DescribingStage]:
    stage = DescribingStage(standin, tmp_path)
    await stage.start()
    yield stage
    stage.tagger.let_go()
    await stage.stop()
