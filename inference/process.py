"""An engine in its own process: if it crashes or hangs, the program that uses it goes on and starts another.

The two processes talk over a pipe. When one dies its end is closed, which the other notices at once.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING

from inference.request import (
    Cancelled,
    EncodedImage,
    EngineDescription,
    GenerationRequest,
    IsCancelled,
    LoadedEngine,
    OnProgress,
    OutOfMemory,
    Progress,
    Stage,
)
from inference.watchdog import DEFAULT_TIMEOUTS, SilenceTimer, Timeouts

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

#: Seconds between two checks whether to cancel, and whether the engine hangs.
POLL = 0.05
PREVIEW_INTERVAL = 1.0
EXIT_GRACE = 5.0
#: What a connection raises whose other end is gone, or that `stop` closes while another thread uses it.
CONNECTION_LOST = (EOFError, OSError, TypeError)


class EngineDied(RuntimeError):
    """The engine's process died or hung while it was in use; it is ended. Start it again."""


class EngineFailed(RuntimeError):
    """The engine failed for a reason other than the request; the message is the engine's."""


class EngineProcess:
    """An engine in a process of its own. Its methods block; call them from a thread, one at a time."""

    def __init__(self, load: Callable[[], LoadedEngine], timeouts: Timeouts = DEFAULT_TIMEOUTS) -> None:
        """`load` makes the engine, in the new process; it has to be picklable: `functools.partial(load_engine, …)`.

        An engine that is silent for longer than `timeouts` allows counts as hung and is ended.
        """
        self._load = load
        self._timeouts = timeouts
        self._process: BaseProcess | None = None
        self._lifecycle = threading.RLock()  # `stop` may come while another thread is in `start`
        self._connection: Connection | None = None
        #: How often the process was started.
        self.starts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> EngineDescription:
        """Start the process and load the engine in it. Raises EngineFailed with its reason, or EngineDied."""
        with self._lifecycle:
            self.stop()
            context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(self._load, theirs), name="anima-engine", daemon=True)
            self._process.start()
            self.starts += 1
            atexit.register(self.stop)  # multiprocessing would only send SIGTERM, and wait for ever
            theirs.close()
        silence = SilenceTimer(self._timeouts, Stage.LOADING)
        while (answer := self._receive(silence)) is None:
            pass
        if not isinstance(answer, EngineDescription):
            self.stop()
            raise answer if isinstance(answer, Exception) else EngineFailed(f"The engine answered {answer!r}.")
        return answer

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> list[EncodedImage]:
        """As `Engine.generate`, with images as PNG files. Raises what that raises, EngineDied and EngineFailed.

        Previews come about once a second; the progress between them has none.
        """
        sending = self._start_sending(list(requests))
        silence = SilenceTimer(self._timeouts, Stage.CONDITIONING)
        asked_to_cancel = False
        while True:
            answer = self._receive(silence)
            if not asked_to_cancel and cancelled is not None and not sending.is_alive() and cancelled():
                asked_to_cancel = True
                self._send(_CANCEL)
            match answer:
                case Stage():
                    silence.stage_started(answer)
                case _Step():
                    silence.step_done()
                    if on_progress is not None:
                        on_progress(answer.progress())
                case list():
                    if asked_to_cancel:
                        raise Cancelled
                    return answer
                case Exception():
                    raise answer

    def stop(self) -> None:
        """End the process, gently at first. A call that another thread is in ends in EngineDied."""
        with self._lifecycle:
            atexit.unregister(self.stop)
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._process is not None:
                self._process.join(EXIT_GRACE)
                self._kill(self._process)
                self._process = None

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise EngineDied("The engine is not running.")
        return self._connection

    def _start_sending(self, message: object) -> threading.Thread:
        """Send in a thread: requests with large images do not fit into the pipe, and an engine may have frozen."""
        connection, pickled = self._open_connection(), ForkingPickler.dumps(message)

        def send() -> None:
            with suppress(*CONNECTION_LOST):  # `_receive` notices too
                connection.send_bytes(pickled)

        thread = threading.Thread(target=send, name="to the engine", daemon=True)
        thread.start()
        return thread

    def _send(self, message: object) -> None:
        try:
            self._open_connection().send(message)
        except OSError:
            raise self._died() from None

    def _receive(self, silence: SilenceTimer) -> object:
        """The engine's next message; None if there is none within POLL seconds.

        Silence is counted in polls, not by the clock: time in which this process was stopped is not the engine's.
        """
        connection = self._open_connection()
        try:
            if connection.poll(POLL):
                return connection.recv()
        except CONNECTION_LOST:
            raise self._died() from None
        silence.tick(POLL)
        if silence.is_too_long:
            raise self._hung(silence)
        return None

    def _hung(self, silence: SilenceTimer) -> EngineDied:
        if self._process is not None:
            self._kill(self._process)
        return EngineDied(
            f"The engine hung: it was silent for {silence.seconds:.0f} seconds while {silence.stage.value}, so its "
            "process was ended."
        )

    def _kill(self, process: BaseProcess) -> None:
        process.kill()
        if wait([process.sentinel], EXIT_GRACE):  # unlike `join`, correct also where another thread waits for it
            process.join(EXIT_GRACE)
        else:
            logger.error(
                "The engine's process %s does not end even when killed: it hangs in the GPU's driver. If the GPU's "
                "memory stays taken, restart the machine.",
                process.pid,
            )

    def _died(self) -> EngineDied:
        code = None
        if self._process is not None:
            self._process.join(EXIT_GRACE)
            code = self._process.exitcode
        if code is not None and code < 0:
            return EngineDied(f"The engine's process was ended by {signal.Signals(-code).name}.")
        return EngineDied(f"The engine's process ended with exit code {code}.")


def load_engine(
    models: str,
    device: str,
    dtype: str,
    diffusion_model: str | None,
    classifier: str | None = None,
    text_encoder: str | None = None,
    vae: str | None = None,
    nag: bool = True,
) -> LoadedEngine:
    """`Engine.load`, importable without PyTorch, and warmed up; with a `classifier` its images are labelled."""
    from inference.engine import Engine, choose_device

    def load() -> Engine:
        engine = Engine.load(models, device, dtype, diffusion_model, text_encoder, vae, nag)
        engine.warm_up()
        return engine

    if classifier is None:
        return load()
    from inference.classifier import ClassifyingEngine, ImageClassifier

    image_classifier = ImageClassifier.load(
        classifier, choose_device(device)
    )  # before the large files: it may be misnamed
    return ClassifyingEngine(load(), image_classifier)


_CANCEL = "cancel"


@dataclass(frozen=True)
class _Step:
    step: int
    steps: int
    images: tuple[int, ...]
    previews: tuple[Image.Image, ...]

    def progress(self) -> Progress:
        return Progress(self.step, self.steps, self.images, lambda: self.previews)


def _serve(load: Callable[[], LoadedEngine], connection: Connection) -> None:
    """The engine's side: load, then generate what is requested until the other end closes."""
    # Threads that wait by spinning make an image ten times as slow as soon as another program wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the parent process; the engine ends when the pipe closes
    try:
        engine = load()
        description = EngineDescription(engine.name, engine.native, tuple(engine.lora_names()), engine.turbo_lora())
    except Exception as error:
        connection.send(_loading_error(error))
        return
    try:
        connection.send(description)
        while True:
            message = connection.recv()
            if message == _CANCEL:
                continue  # for an image that was finished in the meantime
            connection.send(_draw(engine, message, connection))
    except (EOFError, ConnectionError):
        return


def _draw(engine: LoadedEngine, requests: list[GenerationRequest], connection: Connection) -> object:
    last_preview = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last_preview
        previews: Sequence[Image.Image] = ()
        if time.monotonic() - last_preview >= PREVIEW_INTERVAL:
            previews = progress.previews()
            last_preview = time.monotonic()
        connection.send(_Step(progress.step, progress.steps, progress.pictures, tuple(previews)))

    def cancelled() -> bool:
        return connection.poll() and connection.recv() == _CANCEL

    try:
        images = engine.generate(requests, report, cancelled, connection.send)
        return [
            EncodedImage(
                image.png(),
                image.image.width,
                image.image.height,
                image.seed,
                image.timings,
                image.labels,
                image.gpu_memory,
                image.notes,
            )
            for image in images
        ]
    except (EOFError, ConnectionError):
        raise  # the other end is gone
    except Exception as error:
        return _portable(error)


def _loading_error(error: Exception) -> Exception:
    """OutOfMemory may pass when other programs free memory; other errors as in `_portable`."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OutOfMemory(f"The device's memory does not hold the model ({error}). Stop other programs that use it.")
    return _portable(error)


def _portable(error: Exception) -> Exception:
    """The error itself where its class is one that users of an engine know, else EngineFailed with its message."""
    if type(error).__module__.startswith("inference.") and not error.__dict__:
        return error
    return EngineFailed(f"{type(error).__name__}: {error}")
