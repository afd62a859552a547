"""`anima benchmark`: measures the networks' speed, compared with diffusers' if that is installed."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bot.cli import USAGE_ERROR, Commands, fail

SIZES = ("tiny", "medium", "full")
#: The default time limit of `--everything`, for GPUs that are available only briefly.
MINUTES = 8.0


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "benchmark",
        help="measure the speed of this machine",
        description="Measures the networks and the sampling loop with random weights, alternating with diffusers if "
        "that is installed: transformer, VAE decode, a whole image, peak memory, and the share of the machine's matrix "
        "throughput. Needs no model. The report names the machine and the versions.",
    )
    parser.add_argument(
        "--size",
        choices=SIZES,
        help="the networks: full (the released size; default on a GPU), medium (2 of the 28 blocks; default on the "
        "CPU), tiny (to try the command; its numbers mean nothing)",
    )
    parser.add_argument("--width", type=int, help="the image's width in pixels")
    parser.add_argument("--height", type=int, help="the image's height in pixels")
    parser.add_argument("--steps", type=int, help="sampling steps of the whole image")
    parser.add_argument("--threads", type=int, help="CPU threads (default: PyTorch's choice)")
    parser.add_argument("--repeats", type=int, default=3, help="how often to time each part (default: 3)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 … (default: auto)")
    parser.add_argument(
        "--dtype",
        default="auto",
        help="auto, float32, bfloat16; float16 only if diffusers is not installed (default: auto)",
    )
    parser.add_argument(
        "--everything",
        action="store_true",
        help="also measure modes, batches, 8 bits and starts (the default on a GPU)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="a time limit: parts are repeated less often, but none is skipped (default: "
        f"{MINUTES:g} for everything, else no limit)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file too")
    parser.add_argument(
        "--charts",
        nargs=2,
        type=Path,
        metavar=("FILE", "FOLDER"),
        help="measure nothing; draw the charts of FILE (from --json) as SVG into FOLDER",
    )
    parser.set_defaults(command=benchmark)


def benchmark(options: argparse.Namespace) -> None:
    try:
        if options.charts is not None:
            _draw(*options.charts)
        else:
            _measure(options)
    except ValueError as error:
        fail(str(error), USAGE_ERROR)
    except RuntimeError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror or error}.")


def _draw(file: Path, folder: Path) -> None:
    from inference.benchmark.charts.bars import draw_bars
    from inference.benchmark.charts.roofline import draw_roofline
    from inference.benchmark.figures import read_json

    measured = read_json(file)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (("bars", draw_bars), ("roofline", draw_roofline)):
        chart = folder / f"{file.stem}-{name}.svg"
        chart.write_text(draw(measured), encoding="utf-8")
        print(chart)


def _measure(options: argparse.Namespace) -> None:
    from inference import benchmark
    from inference.benchmark.figures import write_json

    measured = datetime.now(UTC).isoformat(timespec="seconds")
    usual = benchmark.default_size(options.device)
    chosen = {name: getattr(options, name) for name in ("width", "height", "steps")}
    workload = replace(
        benchmark.SIZES[options.size or usual], **{name: value for name, value in chosen.items() if value is not None}
    )
    everything = options.everything or usual == "full"
    minutes = MINUTES if options.minutes is None and everything else options.minutes
    how = benchmark.BenchmarkOptions(
        device=options.device,
        dtype=options.dtype,
        threads=options.threads,
        repeats=options.repeats,
        everything=everything,
        minutes=minutes,
        command=shlex.join(["anima", *sys.argv[1:]]),
    )
    if options.json is not None and not options.json.absolute().parent.is_dir():
        raise ValueError(f"{options.json}: the folder for this file does not exist.")
    report = benchmark.run(workload, how, say=lambda line: print(line, file=sys.stderr))
    print(report)
    if options.json is not None:
        write_json(options.json, {"measured": measured, **report.as_json()}, report.figures())
