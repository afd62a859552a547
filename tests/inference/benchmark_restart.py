"""Compares an engine's first start with its start after a crash: `python -m tests.inference.benchmark_restart`.

Each round is a new Python that starts an engine, kills the engine's process and starts it again. A start ends when the
first image (64x64, one step) is there. `--spawn` has engines start as on Windows and macOS, where nothing is forked.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil

from inference import GenerationRequest
from inference.process import EngineProcess, load_engine
from inference.startup.preparation import prepare_engines

MINIATURE = Path(__file__).parents[2] / "inference" / "miniature" / "models"
ONE_STEP = GenerationRequest("1girl", width=64, height=64, steps=1)


def measure(is_spawned: bool) -> tuple[float, float]:
    """Seconds of the first start and of the one after a crash, in this process."""
    began = time.perf_counter()
    if not is_spawned:
        prepare_engines()
    engine = EngineProcess(partial(load_engine, str(MINIATURE), "cpu", "auto", None))
    engine.start()
    engine.generate([ONE_STEP])
    first = time.perf_counter() - began

    crashed = psutil.Process(engine.pid)
    crashed.kill()
    psutil.wait_procs([crashed])
    began = time.perf_counter()
    engine.start()
    engine.generate([ONE_STEP])
    again = time.perf_counter() - began
    engine.stop()
    return first, again


def measure_in_new_process(is_spawned: bool) -> tuple[float, float]:
    command = [sys.executable, "-m", "tests.inference.benchmark_restart", "--one", *(["--spawn"] if is_spawned else [])]
    first, again = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return first, again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spawn", action="store_true", help="as on Windows and macOS")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.spawn)))
        return
    rounds = [measure_in_new_process(options.spawn) for _ in range(options.rounds)]
    for name, seconds in zip(("first start", "after a crash"), zip(*rounds, strict=True), strict=True):
        print(f"{name}: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f} s")
    print(f"ratio: median {statistics.median(again / first for first, again in rounds):.2f}")


if __name__ == "__main__":
    main()
