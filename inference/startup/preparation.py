"""Imports PyTorch ahead of time, in a process that engines are then forked from.

`prepare_engines` starts that process as soon as an engine is known to be needed, so that it imports while the bot is
still importing too. An engine that restarts after a crash imports nothing. The processes share memory that they do not
change.

Engines are spawned as usual where forking is impossible (Windows), unsafe (macOS, and CPython before 3.11.1, whose fork
server accepts connections from anybody on the machine) or has failed.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext, SpawnContext

logger = logging.getLogger(__name__)

#: Seconds that an engine's start waits for the imports before it gives up on them.
IMPORT_TIMEOUT = 60.0
IMPORTS = "inference.startup.imports"


class _Preparation:
    def __init__(self) -> None:
        self.over = threading.Event()
        self.succeeded = False

    def run(self) -> None:
        """Fork a process that does nothing, which succeeds once the imports are done."""
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
    """Start importing what engines need, and the modules `also`. Returns at once; only the first call has an effect."""
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
    """How to start an engine's process. Waits for a preparation in progress.

    Without one, engines are spawned: CUDA does not survive a fork, so the bot's own process cannot be forked.
    """
    ready = _preparation is not None and _preparation.over.wait(IMPORT_TIMEOUT) and _preparation.succeeded
    return multiprocessing.get_context("forkserver") if ready else multiprocessing.get_context("spawn")


def _nothing() -> None:
    """The task of the trial process."""
