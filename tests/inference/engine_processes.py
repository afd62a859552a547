"""The processes of engines: which they are, and whether they still run."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from inference.process import EngineProcess


def has_ended(process: EngineProcess) -> bool:
    return process.pid is None or not is_running(process.pid)


def engines_of(bot: int) -> list[psutil.Process]:
    """The engines' processes of a bot, which are its children or those of the child that they are copied from."""
    found = []
    for process in psutil.Process(bot).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a zombie has no command line
            command, copied = " ".join(process.cmdline()), process.ppid() != bot
            if "spawn_main" in command or ("forkserver" in command and copied):
                found.append(process)
    return found


@contextmanager
def frozen_engines(bot: int) -> Iterator[None]:
    """In the block a bot's engines stand still, so that nothing is drawn; only after minutes do they count as hung."""
    engines = engines_of(bot)
    assert engines
    for engine in engines:
        engine.suspend()
    try:
        yield
    finally:
        for engine in engines:
            engine.resume()


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
