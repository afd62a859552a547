"""An engine that hangs or is killed, at whatever stage, is reported at once and can be started again."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
from PIL import Image

from inference import GenerationRequest, Progress
from inference.process import EngineDied, EngineProcess, load_engine
from inference.watchdog import Timeouts
from tests.golden import MODELS
from tests.inference.engine_processes import has_ended
from tests.inference.sleeping_engine import PLACES, load

pytestmark = [pytest.mark.posix, pytest.mark.usefixtures("prepared")]

REQUEST = GenerationRequest("1girl", width=64, height=64, steps=4, seed=7)
#: Seconds of silence allowed in the stage in which an engine is going to hang; elsewhere the usual ones are.
SHORT = 0.5
#: The same for an engine that also goes through this stage without hanging, perhaps on a busy machine.
SHORT_FOR_A_RESTART = 3.0


@pytest.fixture
def started() -> Iterator[list[EngineProcess]]:
    """Processes to be ended after the test."""
    processes: list[EngineProcess] = []
    yield processes
    for process in processes:
        process.stop()


def start_and_generate(process: EngineProcess) -> int:
    process.start()
    return len(process.generate([REQUEST]))


@pytest.mark.parametrize(
    ("place", "timeouts", "message"),
    [
        ("loading", Timeouts(loading=SHORT), "while loading"),
        ("conditioning", Timeouts(conditioning=SHORT), "while reading the prompts"),
        ("step 1", Timeouts(first_step=SHORT), "while sampling"),
        ("step 3", Timeouts(step=SHORT), "while sampling"),
        ("decoding", Timeouts(decoding=SHORT), "while decoding"),
        ("finishing", Timeouts(finishing=SHORT), "while finishing the pictures"),
    ],
)
def test_a_silent_engine_is_stopped(
    started: list[EngineProcess], tmp_path: Path, place: str, timeouts: Timeouts, message: str
) -> None:
    process = EngineProcess(partial(load, place, tmp_path / "asleep"), timeouts)
    started.append(process)
    with pytest.raises(EngineDied, match=rf"hung: it was silent for .* {message}"):
        start_and_generate(process)
    assert has_ended(process)


def test_an_engine_that_hung_can_be_restarted(started: list[EngineProcess], tmp_path: Path) -> None:
    process = EngineProcess(partial(load, "step 3", tmp_path / "asleep"), Timeouts(step=SHORT_FOR_A_RESTART))
    started.append(process)
    with pytest.raises(EngineDied, match="hung"):
        start_and_generate(process)
    with pytest.raises(EngineDied):
        process.generate([REQUEST])
    assert start_and_generate(process) == 1


def test_a_hanging_engine_can_be_stopped(
    started: list[EngineProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.process.EXIT_GRACE", 1.0)
    process = EngineProcess(partial(load, "nowhere", tmp_path / "asleep"))
    started.append(process)
    process.start()
    engine = psutil.Process(process.pid)
    engine.suspend()
    process.stop()
    _, alive = psutil.wait_procs([engine], timeout=60)
    for each in alive:
        each.kill()
    assert not alive


@pytest.mark.parametrize("place", PLACES)
def test_a_killed_engine_is_reported_at_once_and_can_be_restarted(
    started: list[EngineProcess], tmp_path: Path, place: str
) -> None:
    process = EngineProcess(partial(load, place, tmp_path / "asleep"))
    started.append(process)
    killer = threading.Thread(target=kill_once_asleep, args=(process, tmp_path / "asleep"))
    killer.start()
    with pytest.raises(EngineDied, match="SIGKILL"):
        start_and_generate(process)
    killer.join()
    assert has_ended(process)
    assert start_and_generate(process) == 1


def kill_once_asleep(process: EngineProcess, asleep: Path) -> None:
    while not asleep.exists() or process.pid is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)


def test_a_real_engine_that_is_stopped_in_a_step_is_ended(started: list[EngineProcess]) -> None:
    process = EngineProcess(partial(load_engine, str(MODELS), "cpu", "auto", None), Timeouts(step=1.0))
    started.append(process)
    process.start()

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGSTOP)

    with pytest.raises(EngineDied, match=r"hung: it was silent for .* while sampling"):
        process.generate([GenerationRequest("1girl", width=256, height=256, steps=1000)], stop)
    assert has_ended(process)


def test_a_listener_that_was_away_for_long_does_not_take_the_engine_for_hung(
    started: list[EngineProcess], tmp_path: Path
) -> None:
    process = EngineProcess(partial(load, "nowhere", tmp_path / "asleep"), Timeouts(step=SHORT_FOR_A_RESTART))
    started.append(process)
    process.start()

    def be_away(progress: Progress) -> None:
        if progress.step == 1:
            time.sleep(1.5 * SHORT_FOR_A_RESTART)

    assert process.generate([REQUEST], be_away)


def test_time_in_which_both_processes_were_stopped_is_no_silence_of_the_engine(
    started: list[EngineProcess], tmp_path: Path
) -> None:
    process = EngineProcess(partial(load, "nowhere", tmp_path / "asleep"), Timeouts(conditioning=SHORT_FOR_A_RESTART))
    started.append(process)
    process.start()
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    polls = 0

    def poll() -> bool:
        nonlocal polls
        polls += 1
        if polls == 2:
            time.sleep(1.5 * SHORT_FOR_A_RESTART)
        if polls == 4:
            os.kill(pid, signal.SIGCONT)
        return False

    assert process.generate([REQUEST], cancelled=poll)
    assert polls >= 4


def test_an_engine_frozen_before_a_request_is_stopped_however_much_it_is_sent(
    started: list[EngineProcess], tmp_path: Path
) -> None:
    process = EngineProcess(partial(load, "nowhere", tmp_path / "asleep"), Timeouts(conditioning=SHORT_FOR_A_RESTART))
    started.append(process)
    process.start()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    large = Image.effect_noise((2048, 2048), 50).convert("RGB")
    with pytest.raises(EngineDied, match="while reading the prompts"):
        process.generate([replace(REQUEST, image=large)])
    assert start_and_generate(process) == 1
