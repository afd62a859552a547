"""Kills, freezes and cuts off parts of a cluster while it draws: `python -m tests.soak.cluster`.

It needs the right to make network namespaces.

The machines are network namespaces. On one are the head (`anima cluster`) and the bot's driver (`EngineProcess`), on
the other one an engine (`anima engine`). For each fault, the experiment measures how long it takes until the waiting
user is notified, until nothing of the old engine is left on its machine, and until an engine draws again.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from inference import GenerationRequest
from inference.cluster.remote import REMOTE_TIMEOUTS, load_remote_engine
from inference.process import EngineDied, EngineProcess
from tests.inference.cluster.network import HEAD, ROOT, Program, command, engine_of, engines, head, marked, own_folder
from tests.signals import send_signal

#: Seconds after which something that should have happened counts as missing.
TIMEOUT = 240.0
#: Longer than any fault takes.
LONG = [GenerationRequest("1girl", width=128, height=128, steps=1000, seed=seed) for seed in range(16)]
SHORT = [GenerationRequest("1girl, smile", width=128, height=128, steps=3, seed=1)]
ENGINE_IP = "10.99.0.2"


@dataclass(frozen=True)
class FaultTimes:
    """Seconds since the fault; None for what did not happen. said: what the one who waited was told."""

    told: float | None
    said: str
    ended: float | None
    drawing: float | None


class TwoMachines:
    """A head on this machine, and an engine on the other one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = folder / "token"
        self.remote = EngineProcess(partial(load_remote_engine, HEAD, str(self.token)), REMOTE_TIMEOUTS)
        self._head = ExitStack()

    @contextmanager
    def running(self) -> Iterator[None]:
        with other_machine() as enter, ExitStack() as stack:
            self.start_head()
            stack.callback(self._head.close)
            stack.enter_context(engines(self.folder, self.token, enter=enter, address=ENGINE_IP))
            self.remote.start()
            stack.callback(self.remote.stop)
            yield

    def start_head(self) -> None:
        self.head: Program = self._head.enter_context(head(self.folder, self.token))

    def kill_head(self) -> None:
        """As if its machine were switched off; then it is started again, as a service would be."""
        head = psutil.Process(self.head.process.pid)
        send_signal(signal.SIGKILL, [*head.children(recursive=True), head])
        self._head.close()
        self.start_head()

    def find(self, words: str) -> psutil.Process:
        """The process of the other machine whose command has these words."""
        (found,) = [process for process in marked() if words in command(process)]
        return found

    def actor(self) -> psutil.Process:
        return self.find("EngineHost")

    def engine(self) -> psutil.Process:
        return engine_of(self.actor())

    def raylet(self) -> psutil.Process:
        return next(process for process in marked() if process.name() == "raylet")


@contextmanager
def other_machine() -> Iterator[str]:
    """A second namespace with a cable to this one. Yields the command that runs a program there."""
    with subprocess.Popen(["unshare", "-n", "sleep", "infinity"]) as holder:
        try:
            inside = f"nsenter -t {holder.pid} -n"
            await_namespace(holder.pid)
            for command in (
                "ip link set lo up",
                "ip link add va type veth peer name vb",
                f"ip link set vb netns {holder.pid}",
                "ip addr add 10.99.0.1/24 dev va",
                "ip link set va up",
                f"{inside} ip link set lo up",
                f"{inside} ip addr add {ENGINE_IP}/24 dev vb",
                f"{inside} ip link set vb up",
            ):
                subprocess.run(shlex.split(command), check=True)
            yield inside
        finally:
            holder.kill()


def await_namespace(pid: int) -> None:
    """Until the process has left this namespace."""
    here = os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{pid}/ns/net") == here:
        time.sleep(0.01)


def set_cable(state: str) -> None:
    subprocess.run(["ip", "link", "set", "va", state], check=True)


def faults(machines: TwoMachines) -> Mapping[str, tuple[Callable[[], object], Callable[[], object]]]:
    """By name: what happens, and what happens once the one who waits was told."""

    def nothing() -> None: ...

    return {
        "engine killed": (lambda: machines.engine().kill(), nothing),
        "actor killed": (lambda: machines.actor().kill(), nothing),
        "actor frozen": (lambda: machines.actor().suspend(), nothing),
        "raylet killed": (lambda: machines.raylet().kill(), nothing),
        "raylet frozen": (lambda: machines.raylet().suspend(), nothing),
        "head killed, started again": (machines.kill_head, nothing),
        "cable pulled, plugged in afterwards": (lambda: set_cable("down"), lambda: set_cable("up")),
    }


def inject(machines: TwoMachines, happens: Callable[[], object], afterwards: Callable[[], object]) -> FaultTimes:
    old = [machines.actor(), machines.engine()]
    injected: list[float] = []
    ended: list[float] = []

    def on_progress(_: object) -> None:
        if not injected:
            injected.append(time.monotonic())
            threading.Thread(target=happens, daemon=True).start()
            threading.Thread(target=watch_end, daemon=True).start()

    def watch_end() -> None:
        gone, _ = psutil.wait_procs(old, TIMEOUT)
        if len(gone) == len(old):
            ended.append(time.monotonic())

    said, told = "", None
    try:
        machines.remote.generate(LONG, on_progress)
    except EngineDied as error:
        said, told = str(error), time.monotonic() - injected[0]
    afterwards()
    drawing = draw_again(machines)
    while not ended and time.monotonic() - injected[0] < TIMEOUT:
        time.sleep(0.1)
    return FaultTimes(told, said, ended[0] - injected[0] if ended else None, drawing - injected[0] if drawing else None)


def draw_again(machines: TwoMachines) -> float | None:
    """The time when an engine has drawn; restarted as by the bot, with pauses."""
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        try:
            machines.remote.start()
            machines.remote.generate(SHORT)
            return time.monotonic()
        except EngineDied as error:
            print(f"{time.monotonic():.0f} s: not yet: {error}", file=sys.stderr, flush=True)
            time.sleep(1.0)
    return None


def run(names: list[str]) -> Mapping[str, FaultTimes]:
    """Every fault on a cluster of its own. Call it in a network namespace."""
    outcomes = {}
    for number, name in enumerate(names):
        with tempfile.TemporaryDirectory() as folder:
            machines = TwoMachines(Path(folder))
            with machines.running():
                outcomes[name] = inject(machines, *faults(machines)[name])
                if outcomes[name].drawing is None:
                    print((Path(folder) / "engine.log").read_text(), file=sys.stderr)
        print(f"{number + 1}/{len(names)} {name}: {outcomes[name]}", file=sys.stderr, flush=True)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="faults (default: all)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        inside = [sys.executable, "-m", "tests.soak.cluster", "--inside", *arguments.names]
        with own_folder() as environment:
            sys.exit(subprocess.run(["unshare", "-n", *inside], cwd=ROOT, env=environment).returncode)
    with tempfile.TemporaryDirectory() as folder:
        names = list(arguments.names or faults(TwoMachines(Path(folder))))
    print("| | told | old engine gone | drawing again |\n|---|---|---|---|")
    for name, outcome in run(names).items():
        times = (
            f"{each:.1f} s" if each is not None else "never" for each in (outcome.told, outcome.ended, outcome.drawing)
        )
        print(f"| {name} | {' | '.join(times)} |")


if __name__ == "__main__":
    main()
