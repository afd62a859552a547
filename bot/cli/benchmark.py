"""`anima benchmark`: measures the networks' speed, next to diffusers' if that is installed."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from bot.cli import USAGE_ERROR, Commands, fail

SIZES = ("tiny", "medium", "full")


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "benchmark",
        help="measure the speed of this machine",
        description="Measures the networks and the sampling loop with random weights, alternating with diffusers if "
        "that is installed: transformer, VAE decode, a whole image, peak memory, and the share of the machine's matrix "
        "throughput. Needs no model.",
    )
    parser.add_argument(
        "--size",
        choices=SIZES,
        help="the networks: full (the released size; default on a GPU), medium (2 of the 28 blocks; default on the "
        "CPU), tiny (to try the command; its numbers mean nothing)",
    )
    parser.add_argument("--width", type=int, help="of the image, in pixels")
    parser.add_argument("--height", type=int, help="of the image, in pixels")
    parser.add_argument("--steps", type=int, help="of the whole image")
    parser.add_argument("--threads", type=int, help="CPU threads (default: PyTorch's choice)")
    parser.add_argument("--repeats", type=int, default=3, help="how often to time each part (default: 3)")
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
        fail(str(error), USAGE_ERROR)
    except RuntimeError as error:
        fail(str(error))
    print(report)
