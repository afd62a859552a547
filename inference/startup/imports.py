"""The imports of the process that engines are forked from. Nothing else imports this module.

It must not use a device or start threads: neither survives a fork.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from inference.startup.environment import set_up_environment
from inference.startup.garbage import without_garbage_collection

#: Seconds between two checks whether the bot is still running.
POLL_INTERVAL = 0.1


@contextmanager
def exit_with_parent(parent: int) -> Iterator[None]:
    """End this process at once if its parent ends meanwhile; otherwise it would notice only after the imports."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_INTERVAL):
            if os.getppid() != parent:
                os._exit(0)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield
    over.set()
    watcher.join()


set_up_environment()
# It ends when the bot does. A service manager sends SIGTERM to every process, but engines still need this one.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with exit_with_parent(os.getppid()), without_garbage_collection():
    import inference.engine  # noqa: F401, after the environment, which PyTorch reads as it is imported
