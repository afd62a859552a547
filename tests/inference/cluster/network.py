"""A cluster in a network namespace of its own, since Ray listens on every address of its machine."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from inference.cluster.supervisor import MARK
from inference.cluster.token import ensure_token
from inference.miniature.commands import MODELS

ROOT = Path(__file__).parent.parent.parent.parent
HEAD_IP, PORT = "10.99.0.1", 6379
HEAD = f"{HEAD_IP}:{PORT}"
TIMEOUT = 240.0
SETUP = (
    "ip link set lo up && ip link add va type veth peer name vb && ip addr add 10.99.0.1/24 dev va && "
    "ip link set va up && ip link set vb up"
)


def can_make_namespaces() -> bool:
    """Whether this user may make a network namespace with a link in it."""
    if not all(map(shutil.which, ("unshare", "ip"))):
        return False
    return subprocess.run(["unshare", "-n", "sh", "-c", SETUP], capture_output=True).returncode == 0


@contextmanager
def own_folder() -> Iterator[dict[str, str]]:
    """The environment for a cluster whose temporary files are apart from those of others on this machine.

    Its path is short, since those of UNIX sockets have at most 107 bytes.
    """
    with tempfile.TemporaryDirectory(prefix="ac-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield {**os.environ, "TMPDIR": folder}


def marked() -> list[psutil.Process]:
    """What supervisors of this cluster started and is still there."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            environment = process.environ()
            is_ours = MARK in environment and environment.get("TMPDIR") == os.environ["TMPDIR"]
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def command(process: psutil.Process) -> str:
    """The command line of a process that `marked` found."""
    return " ".join(process.info["cmdline"] or ())


def engine_of(host: psutil.Process) -> psutil.Process:
    """The engine's process of an actor."""
    for child in host.children():
        with suppress(psutil.NoSuchProcess):  # others come and go
            if "spawn_main" in " ".join(child.cmdline()):
                return child
    raise AssertionError("the actor has no engine")


class Program:
    """A program that runs until it is stopped; what it prints goes to `log`."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path, enter: str = "") -> None:
        """`enter`: the command that runs it on another machine, if any."""
        self.log = log
        with log.open("w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                [*shlex.split(enter), sys.executable, "-m", "bot", *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_for(self, words: str) -> None:
        """Wait until it prints `words`. Raises AssertionError where it ends before that, or takes too long."""
        end = time.monotonic() + TIMEOUT
        while words not in self.text:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.text}"
            assert time.monotonic() < end, f"it never said {words!r}:\n{self.text}"
            time.sleep(0.2)

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()


@contextmanager
def head(folder: Path, token: Path) -> Iterator[Program]:
    ensure_token(token)
    program = Program(["cluster", "--address", HEAD_IP, "--token", str(token)], {}, folder / "head.log")
    try:
        program.wait_for("Ray runtime started")
        yield program
    finally:
        program.stop()


@contextmanager
def engines(
    folder: Path, token: Path, devices: str = "cpu", *, enter: str = "", address: str | None = None
) -> Iterator[Program]:
    """enter, address: for another machine, the command that runs a program there and its IP."""
    environment = {"ANIMA_MODELS": str(MODELS), "ANIMA_DEVICE": devices}
    where = () if address is None else ("--address", address)
    program = Program(["engine", HEAD, "--token", str(token), *where], environment, folder / "engine.log", enter)
    try:
        yield program
    finally:
        program.stop()
