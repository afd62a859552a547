"""A host's messages come in order, and its devices are taken by one host each."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from inference import GenerationRequest
from inference.cluster.host import EngineHost, HostSettings, lock_device
from inference.cluster.messages import HostLoaded, HostModels, HostStep
from inference.process import EngineDied, EngineSettings
from inference.request import Cancelled, EncodedImage, InvalidRequest, Stage
from tests.inference import sleeping_engine

pytestmark = pytest.mark.posix

REQUEST = GenerationRequest("1girl", width=64, height=64)


def failing_load() -> None:
    raise InvalidRequest("There is no such model.")


def all_messages(host: EngineHost, batch: int) -> Iterator[object]:
    while True:
        for message in host.messages(batch, 0.2):
            yield message
            if isinstance(message, HostLoaded | list | Exception):
                return


@pytest.fixture
def host(tmp_path: Path) -> Iterator[EngineHost]:
    host = EngineHost(partial(sleeping_engine.load, "nowhere", tmp_path / "asleep"))
    host.start(1)
    assert [type(message) for message in all_messages(host, 1)] == [HostLoaded]
    yield host
    host.stop()


def test_a_batchs_messages_end_with_its_images(host: EngineHost) -> None:
    host.begin(2, [REQUEST, REQUEST])
    messages = list(all_messages(host, 2))
    assert [message for message in messages if isinstance(message, Stage)] == [
        Stage.CONDITIONING,
        Stage.SAMPLING,
        Stage.DECODING,
        Stage.FINISHING,
    ]
    assert [message.step for message in messages if isinstance(message, HostStep)] == [1, 2, 3, 4]
    models, images = messages[-2:]
    assert models == HostModels(("sleeping",))
    assert isinstance(images, list) and all(isinstance(image, EncodedImage) for image in images) and len(images) == 2


def test_messages_fetched_late_are_complete(host: EngineHost) -> None:
    host.begin(2, [REQUEST])
    host.begin(3, [REQUEST])
    assert isinstance(list(all_messages(host, 3))[-1], list)
    assert isinstance(list(all_messages(host, 2))[-1], list)


def test_without_news_an_empty_list_comes_after_the_timeout(host: EngineHost) -> None:
    host.begin(2, [REQUEST])
    list(all_messages(host, 2))
    assert host.messages(2, 0.05) == []


def test_an_error_of_loading_is_a_message() -> None:
    host = EngineHost(failing_load)
    host.start(1)
    (error,) = all_messages(host, 1)
    assert isinstance(error, InvalidRequest) and "no such model" in str(error)
    host.stop()


def test_a_cancelled_batch_ends_in_cancelled(tmp_path: Path) -> None:
    host = EngineHost(partial(sleeping_engine.load, "nowhere", tmp_path / "asleep"))
    host.start(1)
    list(all_messages(host, 1))
    host.cancel(2)
    host.begin(2, [REQUEST])
    assert isinstance(list(all_messages(host, 2))[-1], Cancelled)
    host.stop()


def test_an_engine_that_dies_is_a_message(host: EngineHost) -> None:
    engine = host.process_ids()[1]
    assert engine is not None
    os.kill(engine, 9)
    host.begin(2, [REQUEST])
    assert isinstance(list(all_messages(host, 2))[-1], EngineDied)


def test_an_engine_that_dies_while_idle_is_found_by_looking(host: EngineHost) -> None:
    host.check()
    engine = host.process_ids()[1]
    assert engine is not None
    os.kill(engine, 9)
    with pytest.raises(EngineDied):
        while True:
            host.check()


def test_each_device_is_taken_once(tmp_path: Path) -> None:
    first, second = lock_device(["cpu", "cuda:1"], tmp_path), lock_device(["cpu", "cuda:1"], tmp_path)
    assert (first.name, second.name) == ("cpu", "cuda:1")
    with pytest.raises(EngineDied, match=r"All engines of .* are in use"):
        lock_device(["cpu", "cuda:1"], tmp_path)
    os.close(first.lock)
    assert lock_device(["cpu", "cuda:1"], tmp_path).name == "cpu"


def test_a_device_may_be_listed_twice(tmp_path: Path) -> None:
    assert [lock_device(["cpu", "cpu"], tmp_path).name for _ in range(2)] == ["cpu", "cpu"]


def test_settings_pass_through_the_environment() -> None:
    settings = HostSettings(EngineSettings("/models", "bfloat16", nag=False), ("cuda:0", "cuda:1"))
    assert HostSettings.from_environment({"ANIMA_ENGINE_HOST": settings.to_json()}) == settings


@pytest.mark.parametrize("classifier", [None, "a/classifier"])
def test_a_host_says_whether_it_has_a_classifier(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, classifier: str | None
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = HostSettings(EngineSettings(str(tmp_path), classifier=classifier), ("cpu",))
    monkeypatch.setenv("ANIMA_ENGINE_HOST", settings.to_json())
    monkeypatch.setattr(EngineSettings, "load_on", lambda *args, **more: sleeping_engine_here)
    monkeypatch.setattr(EngineHost, "_model_hash", lambda host: "0123456789")
    host = EngineHost()
    host.start(1)
    [loaded] = all_messages(host, 1)
    host.stop()
    os.close(host._device.lock)
    assert isinstance(loaded, HostLoaded) and loaded.description.classifies == (classifier is not None)


def sleeping_engine_here() -> object:
    return sleeping_engine.load("nowhere", Path("/nowhere/asleep"))


def test_old_batches_are_forgotten(host: EngineHost) -> None:
    for batch in (2, 3, 4):
        host.begin(batch, [REQUEST])
        list(all_messages(host, batch))
    with pytest.raises(KeyError):
        host.messages(2, 0)
