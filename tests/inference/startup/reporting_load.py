"""What is called in an engine's process to load it, and ends with a report of that process instead."""

import os
import sys

import psutil


def report(variables: tuple[str, ...] = ()) -> None:
    """Raises RuntimeError: whether the engine was imported before, this process's parent, and variables."""
    parent = psutil.Process().ppid()
    values = [os.environ.get(name) for name in variables]
    raise RuntimeError(f"imported={'inference.engine' in sys.modules} parent={parent} {' '.join(map(str, values))}")
