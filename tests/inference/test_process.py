"""An engine in a process of its own makes the same images, and every way in which it can end is reported."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from inference import Cancelled, EncodedImage, Engine, GenerationRequest, InvalidRequest, Progress, TurboLora, process
from inference.process import EngineDied, EngineProcess, load_engine
from inference.request import CheckpointError, EngineDescription
from inference.weights.modelspec import ANIMA
from tests.golden import MODELS
from tests.inference.engine_processes import has_ended, is_running

#: One worker runs them all, so that the process they share is started once.
pytestmark = [pytest.mark.xdist_group("engine process"), pytest.mark.usefixtures("prepared")]

REQUEST = GenerationRequest("1girl, smile", width=64, height=64, steps=4, seed=7)
LONG_REQUEST = GenerationRequest("1girl, smile", width=256, height=256, steps=1000, seed=7)


@pytest.fixture(scope="module")
def started(
    prepared: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[EngineProcess, EngineDescription]]:
    """One process for this file's tests, for starting one takes long, and what it said at the start."""
    models = shutil.copytree(MODELS, tmp_path_factory.mktemp("process") / "models")
    shutil.copy(models / "loras" / "lokr.safetensors", models / "loras" / "turbo.safetensors")
    whole = load_file(models / "loras" / "lokr.safetensors")
    save_file({**whole, "lora_unet_double_blocks_0_qkv.alpha": torch.ones(1)}, models / "loras" / "odd.safetensors")
    shutil.copy(models / "diffusion_models/anima-tiny.safetensors", models / "diffusion_models/second.safetensors")
    process = EngineProcess(partial(load_engine, str(models), "cpu", "auto", "anima-tiny"))
    yield process, process.start()
    process.stop()


@pytest.fixture
def running(started: tuple[EngineProcess, EngineDescription]) -> EngineProcess:
    process, _ = started
    if has_ended(process):
        process.start()
    return process


def test_it_generates_the_image_that_an_engine_in_this_process_generates(
    running: EngineProcess, engine: Engine
) -> None:
    reported: list[Progress] = []
    [image] = running.generate([REQUEST], reported.append)
    assert [progress.step for progress in reported] == [1, 2, 3, 4]
    here = np.array(engine.generate([REQUEST])[0].image, np.int16)
    assert np.abs(np.array(Image.open(io.BytesIO(image.png)), np.int16) - here).max() <= 1
    assert (image.width, image.height, image.seed) == (64, 64, 7)


def test_notes_come_with_the_image(running: EngineProcess) -> None:
    [image] = running.generate([replace(REQUEST, loras=(("odd", 1.0),))])
    assert len(image.notes) == 1
    assert "lora_unet_double_blocks_0_qkv.alpha" in image.notes[0]


def test_it_says_what_it_has_loaded(started: tuple[EngineProcess, EngineDescription]) -> None:
    _, description = started
    assert description.name == "anima-tiny"
    assert description.native.sizes[0] == (1024, 1024)
    assert "lokr" in description.loras
    assert description.turbo == TurboLora("turbo", steps=10, cfg_scale=1.0)
    assert description.loaded == ("anima-tiny",)


def test_after_each_batch_it_says_which_models_are_on_the_device(
    started: tuple[EngineProcess, EngineDescription], running: EngineProcess
) -> None:
    running.generate([replace(REQUEST, model="second")])
    assert running.loaded_models == ("second", "anima-tiny")
    with pytest.raises(InvalidRequest, match="There are: anima-tiny, second"):
        running.generate([replace(REQUEST, model="third")])
    running.generate([REQUEST])
    assert running.loaded_models == ("anima-tiny", "second")


def test_an_invalid_request_raises_its_own_error_and_the_engine_continues(running: EngineProcess) -> None:
    with pytest.raises(InvalidRequest, match="steps"):
        running.generate([GenerationRequest("", steps=0)])
    assert running.generate([REQUEST])


def test_cancelling_stops_it_and_the_next_image_is_generated(running: EngineProcess) -> None:
    steps: list[int] = []
    with pytest.raises(Cancelled):
        running.generate([LONG_REQUEST], lambda progress: steps.append(progress.step), lambda: len(steps) >= 2)
    assert steps[-1] < 1000
    assert running.generate([REQUEST])


@pytest.mark.posix
def test_a_killed_engine_is_reported_and_can_be_started_again(running: EngineProcess) -> None:
    def kill(progress: Progress) -> None:
        if progress.step == 2 and running.pid is not None:
            os.kill(running.pid, signal.SIGKILL)

    with pytest.raises(EngineDied, match="SIGKILL"):
        running.generate([LONG_REQUEST], kill)
    assert has_ended(running)
    with pytest.raises(EngineDied):
        running.generate([REQUEST])
    running.start()
    assert running.generate([REQUEST])


def test_an_engine_starts_without_the_prepared_process_if_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ended(SpawnContext):
        def Process(self, *_: object, **__: object) -> BaseProcess:  # type: ignore[override]
            return Unstartable()

    class Unstartable(SpawnProcess):
        def start(self) -> None:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(process, "engine_context", Ended)
    engine = EngineProcess(partial(load_engine, str(MODELS), "cpu", "auto", None))
    engine.start()
    assert engine.generate([REQUEST])
    engine.stop()


@pytest.mark.posix
def test_an_engine_that_was_killed_while_idle_is_noticed_by_looking(running: EngineProcess) -> None:
    running.check()
    assert running.pid is not None
    os.kill(running.pid, signal.SIGKILL)
    with pytest.raises(EngineDied, match="SIGKILL"):
        while True:
            running.check()
    running.start()
    running.check()


def test_an_engine_elsewhere_is_looked_at_while_it_has_nothing_to_do(tmp_path: Path) -> None:
    engine = EngineProcess(partial(dying_elsewhere, tmp_path / "dead"))
    engine.start()
    engine.check()
    (tmp_path / "dead").touch()
    with pytest.raises(EngineDied, match="gone from its machine"):
        while True:
            engine.check()
    assert has_ended(engine)


class DyingElsewhere:
    """An engine on another machine, which is gone as soon as a file exists."""

    description = EngineDescription("far", ANIMA, (), None)

    def __init__(self, dead: Path) -> None:
        self._dead = dead

    def loaded_models(self) -> tuple[str, ...]:
        return ()

    def check(self) -> None:
        if self._dead.exists():
            raise EngineDied("It is gone from its machine.")

    def generate(self, *_: object) -> list[EncodedImage]:
        raise AssertionError


def dying_elsewhere(dead: Path) -> DyingElsewhere:
    process.CHECK_INTERVAL = 0.01  # of the engine's process
    return DyingElsewhere(dead)


def test_an_engine_for_a_process_is_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[Engine] = []
    monkeypatch.setattr(Engine, "warm_up", lambda engine: warmed.append(engine))
    engine = load_engine(str(MODELS), "cpu", "auto", None)
    assert warmed == [engine]


def test_an_engine_that_cannot_load_says_why(tmp_path: Path) -> None:
    process = EngineProcess(partial(load_engine, str(tmp_path / "nothing"), "cpu", "auto", None))
    with pytest.raises(CheckpointError, match="There is no models folder"):
        process.start()
    assert has_ended(process)


@pytest.mark.posix
def test_it_ends_when_its_starter_is_killed() -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(MODELS)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    while is_running(pid):  # at last the test's own timeout ends this
        time.sleep(0.05)


STARTER = """
import sys, time
from functools import partial
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from inference import GenerationRequest
from inference.process import EngineProcess, load_engine

if __name__ == "__main__":
    process = EngineProcess(partial(load_engine, sys.argv[1], "cpu", "auto", None))
    process.start()
    print(process.pid, flush=True)
    process.generate([GenerationRequest("1girl", width=256, height=256, steps=1000)])
"""
