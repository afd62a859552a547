"""Keeps Ray running on a machine with engines, and ends processes that it leaves behind.

Ray's head never readmits a machine that was cut off for a while, but the machine's processes keep running and hold the
GPU. So the supervisor checks every few seconds whether the head considers this machine alive. If not, it ends all
processes that it started, and starts Ray again.
"""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from inference.cluster.node_watch import ALIVE, MISMATCH
from inference.cluster.ray_settings import node_command, refusal
from inference.cluster.remote import own_address
from inference.process import EngineDied

logger = logging.getLogger(__name__)

#: Ray is restarted if `node_watch` has not reported this machine alive for MAX_SILENCE seconds. Ray's start may take
#: START_TIMEOUT seconds, and the first report after it as long again.
MAX_SILENCE, START_TIMEOUT = 30.0, 120.0
#: Seconds before a node is restarted. The delay doubles each time, and starts over after a node that ran for long.
MIN_RESTART_DELAY, MAX_RESTART_DELAY = 2.0, 60.0
#: Seconds that processes get to end before they are killed.
END_GRACE = 5.0
#: An environment variable that marks all processes of a supervisor. Each supervisor on a machine has another value.
MARK = "ANIMA_CLUSTER_NODE"


class NodeRefused(RuntimeError):
    """This machine cannot be part of the cluster; the message says what to do."""


@dataclass
class NodeSupervisor:
    """Runs a node with `engines` engines, in `environment`, for the head at `head` (`host:port`).

    address: the IP by which other machines reach this one; None for its IP on the way to the head.
    """

    head: str
    address: str | None
    engines: int
    environment: Mapping[str, str]
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Keep the node running until `stop`. Raises NodeRefused."""
        delay = MIN_RESTART_DELAY
        while not self.stopped.is_set():
            began = time.monotonic()
            self._run_once()
            if self.stopped.is_set():
                return
            delay = (
                MIN_RESTART_DELAY if time.monotonic() - began > MAX_RESTART_DELAY else min(2 * delay, MAX_RESTART_DELAY)
            )
            logger.warning("joining %s again in %.0f s", self.head, delay)
            self.stopped.wait(delay)

    def stop(self) -> None:
        """Make `run` end everything and return. Call it from a signal handler or another thread."""
        self.stopped.set()

    def _run_once(self) -> None:
        """Run the node until it ends, or until the head no longer counts it as alive."""
        try:
            address = self.address or own_address(self.head)
        except EngineDied as error:
            logger.warning("%s", error)
            return
        mark = f"{self.head} {address} {_network()}"
        end_marked(mark)  # left behind by a supervisor that was killed
        environment = {**self.environment, MARK: mark}
        with subprocess.Popen(
            node_command(self.head, self.engines, address),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as node:
            output = _Lines(node)
            try:
                self._watch(node, output, environment, address)
            finally:
                _end(node)
                end_marked(mark)
        if why := refusal(output.text):
            raise NodeRefused(why)

    def _watch(self, node: subprocess.Popen[str], output: _Lines, environment: Mapping[str, str], address: str) -> None:
        started_by = time.monotonic() + START_TIMEOUT
        while "Ray runtime started" not in output.text:
            if node.poll() is not None or self.stopped.wait(0.2):
                return
            if time.monotonic() > started_by:
                logger.warning("Ray did not start within %.0f s", START_TIMEOUT)
                return
        with subprocess.Popen(
            watch_command(self.head, address),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as watch:
            said, limit = _Lines(watch), time.monotonic() + START_TIMEOUT
            try:
                while node.poll() is None and not self.stopped.is_set():
                    if (line := said.next(1.0)) is not None:
                        if line.startswith(MISMATCH):
                            raise NodeRefused(line.removeprefix(MISMATCH))
                        if line == ALIVE:
                            if limit - time.monotonic() > MAX_SILENCE:
                                logger.info("joined the cluster at %s", self.head)
                            limit = time.monotonic() + MAX_SILENCE
                    if time.monotonic() > limit or (watch.poll() is not None and said.is_empty):
                        logger.warning("the cluster at %s no longer considers this machine alive", self.head)
                        return
            finally:
                _end(watch)


def watch_command(head: str, address: str) -> list[str]:
    return [sys.executable, "-m", "inference.cluster.node_watch", head, address]


def end_marked(mark: str) -> None:
    """End all processes of this user that a supervisor with this mark started, and their children."""
    found = [process for process in psutil.process_iter() if _mark_of(process) == mark]
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(found, END_GRACE)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, END_GRACE)


def _network() -> str:
    """The network namespace of this process: an address is unique only within one."""
    try:
        return os.readlink("/proc/self/ns/net")
    except OSError:  # not on Linux
        return ""


def _mark_of(process: psutil.Process) -> str | None:
    try:
        mark: str | None = process.environ().get(MARK)
        return mark
    except (psutil.Error, OSError):  # another user's, or gone
        return None


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(END_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()


class _Lines:
    """The lines that a process prints, read in a thread."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.text = ""
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    @property
    def is_empty(self) -> bool:
        return self._lines.empty()

    def next(self, timeout: float) -> str | None:
        try:
            return self._lines.get(timeout=timeout)
        except queue.Empty:
            return None

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with suppress(ValueError):  # it was closed
            for line in process.stdout:
                self.text += line
                self._lines.put(line.rstrip("\n"))
