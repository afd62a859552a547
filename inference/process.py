"""An engine in its own process: if it crashes or hangs, the program that uses it continues and can start another.

The two processes talk over a pipe. When one dies, its end closes, which the other notices at once. On Windows an engine
opens its end only after it has started; until then, only the end of its process shows that it died.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from inference.child_process import (
    CONNECTION_LOST,
    EXIT_GRACE,
    exit_reason,
    ignore_signals,
    pipe,
    send_in_thread,
)
from inference.request import (
    Cancelled,
    EncodedImage,
    EngineDescription,
    GenerationRequest,
    IsCancelled,
    LoadedEngine,
    Offloading,
    OnProgress,
    OnStage,
    OutOfMemory,
    Picture,
    Progress,
    RelayedEngine,
    Stage,
)
from inference.startup.environment import set_up_environment
from inference.startup.garbage import without_garbage_collection
from inference.startup.preparation import engine_context
from inference.watchdog import DEFAULT_TIMEOUTS, SilenceTimer, Timeouts

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

#: Seconds between two checks whether to cancel, and whether the engine hangs.
POLL_INTERVAL = 0.05
#: Seconds between two checks of an idle engine on another machine.
CHECK_INTERVAL = 2.0
PREVIEW_INTERVAL = 1.0


class EngineDied(RuntimeError):
    """The engine's process died, or it hung and was ended. Start it again."""


class EngineFailed(RuntimeError):
    """The engine failed for a reason other than the request; the message comes from the engine."""


class EngineProcess:
    """An engine in a process of its own. Its methods block; call them from a thread, one at a time."""

    def __init__(self, load: Callable[[], LoadedEngine | RelayedEngine], timeouts: Timeouts = DEFAULT_TIMEOUTS) -> None:
        """`load` makes the engine in the new process. It must be picklable: `functools.partial(load_engine, …)`.

        An engine that is silent for longer than `timeouts` allows counts as hung and is ended.
        """
        self._load = load
        self._timeouts = timeouts
        self._process: BaseProcess | None = None
        self._lifecycle = threading.RLock()  # `stop` may come while another thread is in `start`
        self._connection: Connection | None = None
        #: Whether this program ended the process.
        self._was_killed = False
        #: How often the process was started.
        self.starts = 0
        #: As `EngineClient.loaded_models`.
        self.loaded_models: tuple[str, ...] = ()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> EngineDescription:
        """Start the process and load the engine in it. Raises EngineFailed with its reason, or EngineDied."""
        context = engine_context()
        with self._lifecycle:
            self.stop()
            self.loaded_models = ()
            try:
                self._begin(context)
            except (OSError, EOFError) as error:  # the fork server may have just ended
                logger.warning("the engine's process could not be forked (%s), so a new one is started", error)
                self._begin(multiprocessing.get_context("spawn"))
            self._was_killed = False
            self.starts += 1
            atexit.register(self.stop)  # multiprocessing would only send SIGTERM, and wait forever
        silence = SilenceTimer(self._timeouts, Stage.LOADING)
        while (answer := self._receive(silence)) is None:
            pass
        if not isinstance(answer, EngineDescription):
            self.stop()
            raise answer if isinstance(answer, Exception) else EngineFailed(f"The engine answered {answer!r}.")
        self.loaded_models = answer.loaded
        return answer

    def _begin(self, context: ForkServerContext | SpawnContext) -> None:
        ours, theirs = pipe(context)
        process = context.Process(target=_serve, args=(self._load, theirs), name="anima-engine", daemon=True)
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._connection, self._process = ours, process

    def check(self) -> None:
        """As `EngineClient.check`."""
        answer = self._receive(SilenceTimer(self._timeouts, Stage.LOADING), timeout=0.0)
        if isinstance(answer, Exception):
            self.stop()
            raise answer

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> list[EncodedImage]:
        """As `Engine.generate`, but with images as PNG files. Also raises EngineDied and EngineFailed.

        About once a second, the progress includes previews.
        """
        sending = send_in_thread(self._open_connection(), list(requests), "to the engine")
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
                    if on_stage is not None:
                        on_stage(answer)
                case _Step():
                    silence.step_done()
                    if on_progress is not None:
                        on_progress(answer.progress())
                case _LoadedModels():
                    self.loaded_models = answer.names
                case list():
                    if asked_to_cancel:
                        raise Cancelled
                    return answer
                case Exception():
                    raise answer

    def stop(self) -> None:
        """End the process, by force if it does not end by itself. A call in another thread raises EngineDied."""
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

    def _send(self, message: object) -> None:
        try:
            self._open_connection().send(message)
        except OSError:
            raise self._died() from None

    def _receive(self, silence: SilenceTimer, timeout: float = POLL_INTERVAL) -> object:
        """The engine's next message; None if there is none within `timeout` seconds.

        Silence is counted in polls, not by the clock: time in which this process itself was suspended must not count.
        """
        connection, process = self._open_connection(), self._process
        try:
            ready = wait([connection] if process is None else [connection, process.sentinel], timeout)
            if connection in ready or (ready and connection.poll()):  # read what it sent before it ended
                return connection.recv()
        except CONNECTION_LOST:
            raise self._died() from None
        if ready:
            raise self._died()
        silence.tick(timeout)
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
        self._was_killed = True
        process.kill()
        if wait([process.sentinel], EXIT_GRACE):  # unlike `join`, also correct if another thread waits for it
            process.join(EXIT_GRACE)
        else:
            logger.error(
                "The engine's process %s does not end even when killed: it hangs in the GPU's driver. If the GPU's "
                "memory stays in use, restart the machine.",
                process.pid,
            )

    def _died(self) -> EngineDied:
        code = None
        if self._process is not None:
            self._process.join(EXIT_GRACE)
            code = self._process.exitcode
        if self._was_killed:
            return EngineDied("The engine's process was stopped.")
        return EngineDied(exit_reason(code))


def load_engine(
    models: str,
    device: str,
    dtype: str,
    diffusion_model: str | None,
    classifier: str | None = None,
    text_encoder: str | None = None,
    vae: str | None = None,
    nag: bool = True,
    needs_gpu: bool = False,
    offload: Offloading = "auto",
) -> LoadedEngine:
    """Load an engine as `Engine.load` does, warm it up and measure it. Importable without PyTorch.

    classifier: its labels come with each image; None for no labels.
    needs_gpu: raise EngineFailed if `device` is "auto" and PyTorch's build cannot use this machine's GPU.
    """
    with without_garbage_collection():
        from inference.devices import choose_device, gpu_without_build, unused_gpu
        from inference.engine import Engine

    if device == "auto" and needs_gpu:
        if fault := gpu_without_build():
            raise EngineFailed(f"{fault} To generate on the CPU anyway, set ANIMA_DEVICE=cpu.")
        if fault := unused_gpu():
            logger.warning("%s", fault)

    def load() -> Engine:
        engine = Engine.load(models, device, dtype, diffusion_model, text_encoder, vae, nag, offload)
        engine.warm_up()
        engine.measure()
        return engine

    if classifier is None:
        return load()
    from inference.classifier import ClassifyingEngine, ImageClassifier

    # Before the large files, because its name may be wrong.
    image_classifier = ImageClassifier.load(classifier, choose_device(device))
    return ClassifyingEngine(load(), image_classifier)


@dataclass(frozen=True)
class EngineSettings:
    """The arguments of `load_engine`, except for the device, which the caller of `load_on` chooses."""

    models: str
    dtype: str = "auto"
    diffusion_model: str | None = None
    classifier: str | None = None
    text_encoder: str | None = None
    vae: str | None = None
    nag: bool = True
    offload: Offloading = "auto"

    def load_on(self, device: str, *, needs_gpu: bool = False) -> Callable[[], LoadedEngine]:
        """The `load` argument for `EngineProcess`."""
        return partial(load_engine, device=device, needs_gpu=needs_gpu, **asdict(self))


_CANCEL = "cancel"


@dataclass(frozen=True)
class _LoadedModels:
    """The new value of `EngineClient.loaded_models`; sent before the end of each batch."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class _Step:
    step: int
    steps: int
    images: tuple[int, ...]
    previews: tuple[Image.Image, ...]

    def progress(self) -> Progress:
        return Progress(self.step, self.steps, self.images, lambda: self.previews)


def _serve(load: Callable[[], LoadedEngine | RelayedEngine], connection: Connection) -> None:
    """The engine's side: load, then generate what is requested until the other end closes."""
    set_up_environment()
    ignore_signals()
    try:
        engine = load()
        description = _describe(engine)
    except Exception as error:
        connection.send(_loading_error(error))
        return
    try:
        connection.send(description)
        while (message := _next_message(engine, connection)) is not None:
            if message == _CANCEL:
                continue  # for an image that has finished in the meantime
            answer = _draw(engine, message, connection)
            connection.send(_LoadedModels(engine.loaded_models()))
            connection.send(answer)
    except (EOFError, ConnectionError):
        return


def _next_message(engine: LoadedEngine | RelayedEngine, connection: Connection) -> Any:
    """The other side's next message; None after reporting to it that an engine elsewhere has ended."""
    while isinstance(engine, RelayedEngine) and not connection.poll(CHECK_INTERVAL):
        try:
            engine.check()
        except Exception as error:
            connection.send(_portable(error))
            return None
    return connection.recv()


def _describe(engine: LoadedEngine | RelayedEngine) -> EngineDescription:
    if isinstance(engine, RelayedEngine):
        return engine.description
    return EngineDescription(
        engine.name,
        engine.native,
        tuple(engine.lora_names()),
        engine.turbo_lora(),
        engine.loaded_models(),
        full_pass=engine.full_pass,
    )


def _draw(engine: LoadedEngine | RelayedEngine, requests: list[GenerationRequest], connection: Connection) -> object:
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
        return [image if isinstance(image, EncodedImage) else _encoded(image) for image in images]
    except (EOFError, ConnectionError):
        raise  # the other end is gone
    except Exception as error:
        return _portable(error)


def _encoded(image: Picture) -> EncodedImage:
    return EncodedImage(
        image.png(),
        image.image.width,
        image.image.height,
        image.seed,
        image.timings,
        image.labels,
        image.gpu_memory,
        image.notes,
    )


def _loading_error(error: Exception) -> Exception:
    """OutOfMemory where memory was too small, as a later attempt may succeed; other errors as in `_portable`."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OutOfMemory(
            f"The device does not have enough memory for the model ({error}). Stop other programs that use it."
        )
    return _portable(error)


def _portable(error: Exception) -> Exception:
    """The error itself if its class belongs to this package, else EngineFailed with its message."""
    if type(error).__module__.startswith("inference.") and not error.__dict__:
        return error
    return EngineFailed(f"{type(error).__name__}: {error}")
