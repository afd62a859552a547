"""Times the start of an engine in a separate process, and checks whether the second start compiles anything.

Run as a program, this module is that process: it loads a model, draws one image, and prints the timings as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil

from inference.benchmark.figures import FRESHLY_COMPILED, STARTS, Figure
from inference.startup.environment import set_up_environment

#: Steps of the image: as few as possible, because the start is measured and not the drawing.
STEPS = 1
STAGES = ("importing", "loading", "compiling", "first image")
#: Environment variables that would move compiled code out of this measurement's folder.
OTHER_FOLDERS = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


def measure_starts(models: Path, folder: Path, device: str, dtype: str, size: tuple[int, int]) -> list[Figure]:
    """Measure two starts, one after the other, which share the compiled code in `folder`. size: of the image.

    `folder` must be empty. Raises RuntimeError if a start fails.
    """
    environment = {name: value for name, value in os.environ.items() if name not in OTHER_FOLDERS}
    environment["XDG_CACHE_HOME"] = str(folder)
    figures = []
    for side in STARTS:
        command = [sys.executable, "-m", __spec__.name, str(models), device, dtype, *map(str, size)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"The engine did not start in a separate process: {run.stderr.strip()[-400:]}")
        seconds = json.loads(run.stdout.splitlines()[-1])
        figures += [Figure(stage, side, "s", (float(seconds[stage]),)) for stage in STAGES]
        figures.append(Figure(FRESHLY_COMPILED, side, "1", (float(seconds[FRESHLY_COMPILED]),)))
    return figures


def main(models: str, device: str, dtype: str, width: int, height: int) -> None:
    set_up_environment()
    from inference.benchmark.workload import PROMPT
    from inference.devices import synchronize
    from inference.engine import Engine

    # The system's clock, not a monotonic one, because create_time() uses it; it is precise enough for all stages.
    laps = [psutil.Process().create_time(), time.time()]
    engine = Engine.load(models, device, dtype)
    synchronize(engine.device)
    laps.append(time.time())
    engine.warm_up()
    synchronize(engine.device)
    laps.append(time.time())
    engine.generate([replace(engine.native.request(PROMPT), width=width, height=height, steps=STEPS)])
    laps.append(time.time())
    seconds: dict[str, float] = {stage: end - start for stage, (start, end) in zip(STAGES, pairwise(laps), strict=True)}
    seconds[FRESHLY_COMPILED] = _freshly_compiled()
    print(json.dumps(seconds))


def _freshly_compiled() -> int:
    """How many graphs PyTorch did not find in its cache, by its own counters."""
    if "torch._dynamo" not in sys.modules:
        return 0
    from torch._dynamo.utils import counters

    return sum(counters["inductor"][name] for name in ("fxgraph_cache_miss", "fxgraph_cache_bypass"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
