"""Runs subcommands of `anima` in an empty folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from bot.__main__ import main
from bot.ops.settings import Settings
from inference.startup import preparation
from tests.bot.cli.fake_hub import FakeHub

#: Runs `anima` with arguments and gives its exit code.
Anima = Callable[..., int]


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder, and none of this machine's own settings and tokens."""
    monkeypatch.chdir(tmp_path)
    for name in (*(field.upper() for field in Settings.model_fields), "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture(autouse=True)
def no_engine_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preparation stays for the whole process: other tests would get engines in this one's folder, which is gone."""
    monkeypatch.setattr(preparation, "prepare_engines", lambda also: None)


@pytest.fixture
def anima() -> Anima:
    def run(*arguments: str | Path) -> int:
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            assert isinstance(end.code, int), f"the command ended with {end.code!r}"
            return end.code
        return 0

    return run


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub
