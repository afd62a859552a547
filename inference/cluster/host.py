"""The Ray actor on a machine with a GPU: it owns an `EngineProcess` there, and knows nothing about jobs."""

from __future__ import annotations

import json
import logging
import os
import platform
import queue
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from inference.cluster.messages import HostLoaded, HostModels, HostStep
from inference.metadata import model_hash
from inference.process import EngineDied, EngineProcess, EngineSettings
from inference.request import GenerationRequest
from inference.weights.headers.diffusion_models import find_diffusion_model

logger = logging.getLogger(__name__)

#: The variable in which `anima engine` passes its settings to the actors, through Ray.
HOST_SETTINGS = "ANIMA_ENGINE_HOST"
#: Batches whose messages are kept: the current one, and the one before, whose reader may not know yet that it ended.
KEPT_BATCHES = 2


@dataclass(frozen=True)
class HostSettings:
    """How to load engines on this machine. devices: one for each engine."""

    engine: EngineSettings
    devices: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> HostSettings:
        values = json.loads(environment[HOST_SETTINGS])
        return cls(EngineSettings(**values["engine"]), tuple(values["devices"]))


class EngineHost:
    """Runs an engine for a driver, which polls for the messages of each batch.

    With polling, a burst of messages travels together, and a slow reader does not slow the engine down. Methods may be
    called from several threads; batches are drawn one at a time.
    """

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        """load: as for `EngineProcess`; None to follow `HOST_SETTINGS`, on a device that no other host uses.

        Raises EngineDied if all devices are in use.
        """
        self._settings: HostSettings | None = None
        if load is None:
            self._settings = HostSettings.from_environment()
            self._device = lock_device(self._settings.devices)
            load = self._settings.engine.load_on(self._device.name, needs_gpu=True)
        self._engine = EngineProcess(load)
        self._messages: dict[int, queue.SimpleQueue[object]] = {}
        self._cancelled: set[int] = set()
        self._drawing = threading.Lock()

    def start(self, batch: int) -> None:
        """Start loading the engine. The message of `batch` will be HostLoaded or an error."""

        def load(tell: Callable[[object], None]) -> None:
            description = self._engine.start()
            classifies = self._settings is not None and self._settings.engine.classifier is not None
            tell(
                HostLoaded(replace(description, model_hash=self._model_hash(), classifies=classifies), platform.node())
            )

        self._in_thread(batch, load)

    def begin(self, batch: int, requests: Sequence[GenerationRequest]) -> None:
        """Start drawing. The messages of `batch` are stages, HostStep, HostModels, and finally images or an error."""

        def draw(tell: Callable[[object], None]) -> None:
            images = self._engine.generate(
                requests,
                lambda progress: tell(HostStep.of(progress)),
                lambda: batch in self._cancelled,
                tell,
            )
            tell(HostModels(self._engine.loaded_models))
            tell(images)

        self._in_thread(batch, draw)

    def messages(self, batch: int, timeout: float) -> list[object]:
        """All messages so far. Waits up to `timeout` seconds for the first."""
        pending = self._messages[batch]
        try:
            found = [pending.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not pending.empty():
            found.append(pending.get())
        return found

    def check(self) -> None:
        """Raises EngineDied if the engine ended while idle. Does nothing while it works."""
        if self._drawing.acquire(blocking=False):
            try:
                self._engine.check()
            finally:
                self._drawing.release()

    def cancel(self, batch: int) -> None:
        self._cancelled.add(batch)

    def stop(self) -> None:
        """End the engine. Not needed before the host is killed: its engine notices that and ends."""
        self._engine.stop()

    def process_ids(self) -> tuple[int, int | None]:
        """The process ids of this actor and of its engine."""
        return os.getpid(), self._engine.pid

    def _model_hash(self) -> str:
        if self._settings is None:
            return ""
        engine = self._settings.engine
        return model_hash(find_diffusion_model(Path(engine.models), engine.diffusion_model))

    def _in_thread(self, batch: int, work: Callable[[Callable[[object], None]], None]) -> None:
        pending = self._messages[batch] = queue.SimpleQueue()
        for old in sorted(self._messages)[:-KEPT_BATCHES]:
            del self._messages[old]
            self._cancelled.discard(old)

        def run() -> None:
            try:
                with self._drawing:
                    work(pending.put)
            except Exception as error:
                pending.put(error)

        threading.Thread(target=run, name=f"batch {batch}", daemon=True).start()


@dataclass(frozen=True)
class DeviceLock:
    """A device that no other host on this machine can take while this process lives."""

    name: str
    lock: int


def lock_device(devices: Sequence[str], folder: Path | None = None) -> DeviceLock:
    """Lock the first free one of `devices`. Raises EngineDied if all are in use, so that the caller tries again."""
    folder = folder or Path(tempfile.gettempdir()) / f"anima-engines{_of_this_user()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for number, device in enumerate(devices):
        lock = os.open(folder / f"{number}-{device.replace(':', '-')}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(lock)
        except (BlockingIOError, PermissionError):
            os.close(lock)
        else:
            return DeviceLock(device, lock)
    raise EngineDied(f"All engines of {platform.node()} are in use ({', '.join(devices)}).")


# The bot imports this module on every system, so modules of a single system are imported only where they are used.
if sys.platform == "win32":

    def _of_this_user() -> str:
        return ""  # on Windows each user has a folder for temporary files

    def _lock(file: int) -> None:
        """Lock a file until it is closed. Raises PermissionError if it is locked already."""
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:

    def _of_this_user() -> str:
        return f"-{os.getuid()}"

    def _lock(file: int) -> None:
        """Lock a file until it is closed. Raises BlockingIOError if it is locked already."""
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
