"""What the process that engines are forked from imports. Nothing else imports this module.

Nothing may run on a device here, nor on several threads: neither survives being copied.
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
    """End this process at once if its parent ends meanwhile; it would notice only afterwards."""
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
# The bot ends it, by ending. A service manager's SIGTERM, which goes to every process, would leave engines without it.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with exit_with_parent(os.getppid()), without_garbage_collection():
    import inference.engine  # noqa: F401, after the environment, which PyTorch reads as it is imported
