"""`anima benchmark`: how fast the networks are here, beside diffusers' where that is installed."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from bot.cli import WRONG_USE, Commands, fail

SIZES = ("tiny", "medium", "full")


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "benchmark",
        help="measure the networks on this machine, beside diffusers'",
        description="Measures our networks and our loop with random weights, in turns with diffusers' where that is "
        "installed: transformer, VAE decode, whole picture, peak memory, and how much of the machine's matrix rate "
        "is reached. No model needs to be downloaded.",
    )
    parser.add_argument(
        "--size",
        choices=SIZES,
        help="the networks: full (the released sizes; the default on a GPU), medium (the same with 2 of the 28 "
        "blocks; the default on the CPU), tiny (to try the command: its figures say nothing)",
    )
    parser.add_argument("--width", type=int, help="of the picture, in pixels")
    parser.add_argument("--height", type=int, help="of the picture, in pixels")
    parser.add_argument("--steps", type=int, help="of the whole picture")
    parser.add_argument("--threads", type=int, help="of the CPU; PyTorch's own choice if left out")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is timed (default: 3)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 … (default: auto)")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 (default: auto)")
    parser.set_defaults(command=measure)


def measure(options: argparse.Namespace) -> None:
    from inference import benchmark

    try:
        size = options.size or benchmark.default_size(options.device)
        chosen = {name: getattr(options, name) for name in ("width", "height", "steps")}
        workload = replace(
            benchmark.SIZES[size], **{name: value for name, value in chosen.items() if value is not None}
        )
        report = benchmark.run(
            workload,
            device=options.device,
            dtype=options.dtype,
            threads=options.threads,
            repeats=options.repeats,
            say=lambda line: print(line, file=sys.stderr),
        )
    except ValueError as error:
        fail(str(error), WRONG_USE)
    except RuntimeError as error:
        fail(str(error))
    print(report)
