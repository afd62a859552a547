"""The tagger's own process: it starts when it is needed, ends when it is not, and takes nobody with it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from PIL import Image

from inference.tagging.process import TaggerLost, TaggerProcess, TaggerTimeouts, load_tagger
from inference.tagging.tag_list import TaggerError, TagGuess, TagKind
from inference.tagging.tagger import Tagger

ROOT = Path(__file__).parents[3]
#: Seconds; long, because the machine may be busy.
LONG = 60.0


def png(side: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


class ScriptedTagger(Tagger):
    """Answers with the width of the image, or does something worse."""

    def __init__(self, path: str) -> None:
        self.behaviour = path

    def guesses(self, image: Image.Image) -> list[TagGuess]:
        if self.behaviour == "crash" and image.width > 16:
            os._exit(3)
        if self.behaviour == "hang" and image.width > 16:
            time.sleep(LONG)
        if self.behaviour == "fail":
            raise RuntimeError("no such layer")
        if self.behaviour == "signals":
            return [TagGuess(str(signal.getsignal(signal.SIGINT) == signal.SIG_IGN), TagKind.GENERAL, 1.0)]
        return [TagGuess(f"{image.width}_{os.getpid()}", TagKind.GENERAL, 1.0)]


def crash_at_the_start(path: str) -> Tagger:
    os._exit(1)


@contextmanager
def running(behaviour: str = "", **timeouts: float) -> Iterator[TaggerProcess]:
    seconds = TaggerTimeouts(**{"loading": LONG, "tagging": LONG, "idle": LONG} | timeouts)
    tagger = TaggerProcess(behaviour, seconds, ScriptedTagger)
    try:
        yield tagger
    finally:
        tagger.stop()


def ended(pid: int) -> None:
    """Waits until a process has ended."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(LONG)


def test_a_real_tagger_describes_in_its_own_process(tagger_folder: Path) -> None:
    tagger = TaggerProcess(str(tagger_folder), TaggerTimeouts(LONG, LONG, LONG))
    try:
        assert tagger.pid is None  # nobody has asked yet
        assert tagger.guesses(png(300)) == load_tagger(str(tagger_folder)).guesses(Image.open(io.BytesIO(png(300))))
        assert tagger.pid not in (None, os.getpid())
    finally:
        tagger.stop()
    assert tagger.pid is None


def test_problems_with_the_files_are_reported_and_the_next_image_tries_again(tmp_path: Path) -> None:
    tagger = TaggerProcess(str(tmp_path / "none"), TaggerTimeouts(LONG, LONG, LONG))
    for _ in range(2):
        with pytest.raises(TaggerError, match="fix ANIMA_TAGGER"):
            tagger.guesses(png())
    assert tagger.pid is None
    tagger.stop()


def test_one_process_serves_images_of_any_size_one_after_the_other() -> None:
    with running() as tagger:
        names = [tagger.guesses(png(side))[0].name for side in (16, 700, 20)]
    sides, pids = zip(*(name.split("_") for name in names), strict=True)
    assert sides == ("16", "700", "20") and len(set(pids)) == 1


def test_threads_that_ask_together_each_get_their_own_answer() -> None:
    found: dict[int, str] = {}

    def ask(tagger: TaggerProcess, side: int) -> None:
        found[side] = tagger.guesses(png(side))[0].name.partition("_")[0]

    with running() as tagger:
        threads = [threading.Thread(target=ask, args=(tagger, side)) for side in range(20, 26)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
    assert found == {side: str(side) for side in range(20, 26)}


def test_a_failure_is_reported_and_the_process_continues() -> None:
    with running("fail") as tagger:
        for _ in range(2):
            with pytest.raises(TaggerError, match="no such layer"):
                tagger.guesses(png())
        assert tagger.pid is not None


@pytest.mark.parametrize("behaviour", ["crash", "hang"])
def test_a_process_that_crashes_or_hangs_is_ended_and_the_next_image_starts_another(behaviour: str) -> None:
    with running(behaviour, tagging=LONG if behaviour == "crash" else 5.0) as tagger:
        tagger.guesses(png())
        first = tagger.pid
        with pytest.raises(TaggerLost, match=r"ended|silent"):
            tagger.guesses(png(40))
        assert first is not None
        ended(first)
        assert tagger.guesses(png())[0].name.partition("_")[2] not in ("", str(first))


def test_a_process_that_dies_while_loading_is_not_waited_for() -> None:
    tagger = TaggerProcess("", TaggerTimeouts(LONG, LONG, LONG), crash_at_the_start)
    with pytest.raises(TaggerLost, match="ended"):
        tagger.guesses(png())
    tagger.stop()


@pytest.mark.posix
@pytest.mark.timeout(300)
def test_a_process_that_dies_before_it_takes_its_end_of_the_pipe_is_not_waited_for(pipe_ends_stay_open: None) -> None:
    tagger = TaggerProcess("", TaggerTimeouts(3600, 3600, 3600), crash_at_the_start)
    with pytest.raises(TaggerLost, match="ended with exit code 1"):
        tagger.guesses(png())
    tagger.stop()


def test_it_leaves_ctrl_c_to_the_bot() -> None:
    with running("signals") as tagger:
        assert [guess.name for guess in tagger.guesses(png())] == ["True"]


@pytest.mark.parametrize("is_noticed", [True, False])
def test_an_idle_process_ends_by_itself_and_the_next_image_starts_another(
    is_noticed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may also end just while the next image comes, when it still seems to be there."""
    with running(idle=1.0) as tagger:
        first = int(tagger.guesses(png())[0].name.partition("_")[2])
        while tagger.pid is not None:
            time.sleep(0.01)
        if not is_noticed:
            monkeypatch.setattr(TaggerProcess, "pid", property(lambda tagger: first))
        assert tagger.guesses(png())[0].name.partition("_")[2] not in ("", str(first))


def test_stopping_ends_the_image_that_is_under_way_and_starts_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[BaseException] = []
    sent, receive = threading.Event(), TaggerProcess._receive

    def receiving(tagger: TaggerProcess, seconds: float) -> object:
        sent.set()
        return receive(tagger, seconds)

    def ask() -> None:
        try:
            tagger.guesses(png(40))
        except TaggerLost as error:
            errors.append(error)

    with running("hang") as tagger:
        tagger.guesses(png())
        pid = tagger.pid
        monkeypatch.setattr(TaggerProcess, "_receive", receiving)
        thread = threading.Thread(target=ask)
        thread.start()
        assert sent.wait(LONG)
        tagger.stop()
        thread.join(LONG)
        assert len(errors) == 1 and pid is not None
        ended(pid)
        with pytest.raises(TaggerLost):
            tagger.guesses(png())


@pytest.mark.posix
def test_the_process_ends_with_the_one_that_started_it() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from tests.inference.tagging.test_process import start_and_tell; start_and_tell()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        os.kill(parent.pid, signal.SIGKILL)
    ended(child)


def start_and_tell() -> None:
    tagger = TaggerProcess("", TaggerTimeouts(LONG, LONG, LONG), ScriptedTagger)
    tagger.guesses(png())
    print(tagger.pid, flush=True)
    time.sleep(LONG)
