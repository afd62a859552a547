"""The engine with the tiny random checkpoint of `tests/golden`."""

import os
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from inference import Engine
from inference.startup import preparation
from tests.golden import MODELS


@pytest.fixture(scope="session")
def prepared() -> None:
    """Engines' processes are copied from one, as the bot's are, instead of importing PyTorch each."""
    assert preparation._preparation is None, "a test of the bot has prepared engines and left them to this one"
    preparation.IMPORT_TIMEOUT = 600.0  # long, because the machine may be busy
    preparation.prepare_engines()


@pytest.fixture
def pipe_ends_stay_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on Windows until the child takes its end: in this process a handle of it stays open, so there is no EOF."""
    close, duplicates = Connection.close, []

    def close_but_keep(connection: Connection) -> None:
        duplicates.append(os.dup(connection.fileno()))
        close(connection)

    monkeypatch.setattr(Connection, "close", close_but_keep)
    yield
    monkeypatch.undo()
    for duplicate in duplicates:
        os.close(duplicate)


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.load(MODELS, device="cpu")
