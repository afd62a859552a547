"""What happens to an engine on another machine: run by `test_cluster` in a network namespace. Prints a JSON object."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from inference import GenerationRequest
from inference.cluster.remote import REMOTE_TIMEOUTS, load_remote_engine
from inference.cluster.token import ensure_token
from inference.process import EngineDied, EngineProcess
from tests.inference.cluster.network import HEAD, TIMEOUT, Program, command, engine_of, engines, head, marked

REQUESTS = [GenerationRequest("1girl, smile", width=128, height=128, steps=3, seed=seed) for seed in (1, 2)]
#: Long enough to be struck while it is drawn.
LONG = [GenerationRequest("1girl", width=128, height=128, steps=1000, seed=3)]


def actor() -> psutil.Process:
    (found,) = [process for process in marked() if "EngineHost" in command(process)]
    return found


def struck(engine: EngineProcess, number: int, process: psutil.Process) -> dict[str, Any]:
    """Send a signal to a process while the engine draws; what the caller gets to hear, and after how long."""
    sent: list[float] = []

    def strike(progress: object) -> None:
        if not sent:
            os.kill(process.pid, number)
            sent.append(time.monotonic())

    try:
        engine.generate(LONG, strike)
    except EngineDied as error:
        return {"error": str(error), "seconds": time.monotonic() - sent[0]}
    return {"error": None}


def main(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    token, wrong = folder / "token", folder / "wrong"
    ensure_token(wrong)
    remote = EngineProcess(partial(load_remote_engine, HEAD, str(token)), REMOTE_TIMEOUTS)
    try:
        remote.start()
    except EngineDied as error:
        found["no head"] = str(error)
    with head(folder, token):
        refused = Program(["engine", HEAD, "--token", str(wrong)], {}, folder / "refused.log")
        found["wrong token"] = (refused.process.wait(120), refused.text.strip().splitlines()[-1])
        with engines(folder, token):
            found["description"] = remote.start().name
            found["pngs"] = [image.png.hex() for image in remote.generate(REQUESTS)]
            host = actor()
            found["engine killed"] = struck(remote, signal.SIGKILL, engine_of(host))
            remote.start()
            host = actor()
            children = host.children(recursive=True)
            found["actor killed"] = struck(remote, signal.SIGKILL, host)
            psutil.wait_procs(children, TIMEOUT)
            found["left of the actor"] = sum(child.is_running() for child in children)
            remote.start()
            found["actor frozen"] = struck(remote, signal.SIGSTOP, actor())
            remote.start()
            found["again"] = len(remote.generate(REQUESTS))
        found["left of the machine"] = [command(process)[:80] for process in marked()]
    remote.stop()
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
