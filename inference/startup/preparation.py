"""Imports PyTorch ahead of time, in a process that engines are then forked from.

`prepare` starts it, as early as it is known that there is going to be an engine. It imports while the bot itself still
does. An engine's process that starts again after a crash imports nothing. Memory that processes do not change is shared
by them.

Where copying is not safe (macOS, and CPython before 3.11.1, whose server anybody on the machine could talk to) or not
possible (Windows), or where it failed, engines start as other processes do.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext, SpawnContext

logger = logging.getLogger(__name__)

#: Seconds that an engine's start waits for the imports; then it does without.
IMPORT_TIMEOUT = 60.0
IMPORTS = "inference.startup.imports"


class _Preparation:
    def __init__(self) -> None:
        self.over = threading.Event()
        self.succeeded = False

    def run(self) -> None:
        """Fork a process that does nothing: it answers as soon as the imports are done."""
        try:
            trial = multiprocessing.get_context("forkserver").Process(target=_nothing, daemon=True)
            trial.start()
            trial.join()
            self.succeeded = trial.exitcode == 0
        except (OSError, EOFError, RuntimeError) as error:
            logger.info("engines start without a prepared process: %s", error)
        finally:
            self.over.set()


_preparation: _Preparation | None = None


def prepare_engines(also: Sequence[str] = ()) -> None:
    """Begin to import what engines need, and the modules `also`; returns at once. Only the first call has an effect."""
    global _preparation
    if _preparation is not None or not can_be_copied():
        return
    _preparation = _Preparation()
    multiprocessing.set_forkserver_preload([IMPORTS, *also])
    threading.Thread(target=_preparation.run, name="preparing engines", daemon=True).start()


def can_be_copied(platform: str = sys.platform, version: tuple[int, ...] = sys.version_info[:3]) -> bool:
    """Whether processes with PyTorch can be forked on this system, by this Python."""
    return platform == "linux" and version >= (3, 11, 1)


def engine_context() -> ForkServerContext | SpawnContext:
    """How to start an engine's process. Waits for a preparation that is under way.

    Where there is none, a new process: CUDA does not survive a fork, so this one cannot be copied.
    """
    ready = _preparation is not None and _preparation.over.wait(IMPORT_TIMEOUT) and _preparation.succeeded
    return multiprocessing.get_context("forkserver") if ready else multiprocessing.get_context("spawn")


def _nothing() -> None:
    """The task of the trial process."""
