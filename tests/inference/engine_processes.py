"""Whether an engine's process still runs."""

import psutil

from inference.process import EngineProcess


def has_ended(process: EngineProcess) -> bool:
    return process.pid is None or not is_running(process.pid)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
