"""The results of a run: figures, text and targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from inference.benchmark.figures import (
    DIFFUSERS,
    FAST,
    FEW_STEPS,
    FLOAT8_SIDE,
    FRESHLY_COMPILED,
    MACHINE_SIDE,
    MATRIX_RATE,
    MEMORY_RATE,
    OURS,
    STARTS,
    Figure,
)
from inference.benchmark.machine import BenchmarkMachine
from inference.benchmark.timing import Durations, quartiles
from inference.benchmark.workload import PARTS, Part

#: If the process had less than this share of its threads' time, other programs disturbed it.
QUIET = 0.9


@dataclass(frozen=True)
class Report:
    """What `anima benchmark` prints."""

    machine: BenchmarkMachine
    command: str
    settings: str
    #: Floating-point operations a second of a square matrix product in the same dtype, the best of several.
    matrix_rate: float
    #: Bytes a second that copying reads and writes together.
    memory_rate: float
    comparisons: Mapping[Part, BackendComparison]
    loop: Loop
    compiled: Compiled | None
    swaps: Swaps
    #: PyTorch's threads, if the CPU was measured.
    threads: int | None
    #: What else was measured: modes, batches, starts.
    more: tuple[Figure, ...] = ()

    def figures(self) -> list[Figure]:
        """Everything that was measured, in one format."""
        found = [
            Figure(MATRIX_RATE, MACHINE_SIDE, "FLOP/s", (self.matrix_rate,)),
            Figure(MEMORY_RATE, MACHINE_SIDE, "B/s", (self.memory_rate,)),
        ]
        for part, comparison in self.comparisons.items():
            found += _part_figures(PARTS[part], comparison)
        found.append(Figure("whole image, er_sde", OURS, "s", self.loop.durations.seconds))
        found.append(Figure("outside the networks", OURS, "1", self.loop.shares))
        found.append(Figure("another model from its file", OURS, "s", self.swaps.from_file.seconds))
        if self.swaps.moves is not None:
            leaving, coming = self.swaps.moves
            found.append(Figure("a model to main memory", OURS, "s", leaving.seconds))
            found.append(Figure("a model from main memory", OURS, "s", coming.seconds))
        if self.compiled is not None:
            if not any(each.side == FEW_STEPS for each in self.more):
                found.append(Figure(PARTS["picture"], FEW_STEPS, "s", self.compiled.turbo.seconds))
            found.append(Figure("recompilations", OURS, "1", (float(self.compiled.recompilations),)))
        return [*found, *self.more]

    def as_json(self) -> dict[str, object]:
        """The part of the JSON file (see `inference.benchmark.figures`) that this report fills, without the figures."""
        return {
            "command": self.command,
            "machine": asdict(self.machine),
            "settings": self.settings,
            "targets": [asdict(target) for target in self.targets()],
        }

    @property
    def processor_share(self) -> float | None:
        """The share of its threads' time that this process actually had while single networks were timed."""
        if self.threads is None:
            return None
        timed = [self.comparisons[part] for part in ("transformer", "vae")]
        durations = [side.durations for comparison in timed for side in comparison.sides]
        had = sum(sum(each.processor_seconds) for each in durations)
        return had / self.threads / sum(sum(each.seconds) for each in durations)

    def fraction(self, part: Part) -> float:
        """What fraction of the matrix rate a part reaches."""
        comparison = self.comparisons[part]
        return comparison.flops / comparison.ours.durations.median / self.matrix_rate

    def targets(self) -> list[Target]:
        """The targets that this run can check."""
        targets = []
        transformer, vae = self.comparisons["transformer"], self.comparisons["vae"]
        if transformer.speedup is not None and vae.speedup is not None:
            speedup = transformer.speedup
            targets.append(Target("transformer not slower than diffusers'", f"{speedup:.2f} times", speedup >= 1))
            if self.compiled is None:
                faster = vae.speedup
                targets.append(Target("VAE decode 2.3 times as fast", f"{faster:.2f} times", faster >= 2.3))
        if vae.theirs is not None and vae.ours.peak_bytes is not None and vae.theirs.peak_bytes is not None:
            share = vae.ours.peak_bytes / vae.theirs.peak_bytes
            targets.append(Target("VAE decode in less memory", f"{share:.0%} of theirs", share < 1))
        overhead = self.loop.overhead
        targets.append(Target("loop's overhead under 1 %", f"{overhead:.2%}", overhead < 0.01))
        if self.compiled is not None:
            share, turbo = self.fraction("transformer"), self.compiled.turbo.median
            recompiled = self.compiled.recompilations
            targets += [
                Target("78 % of the matrix rate", f"{share:.0%}", share >= 0.78),
                Target("no recompilation between sizes", f"{recompiled}", recompiled == 0),
                Target("8 steps at CFG 1 within 0.27 s (H200)", f"{turbo:.2f} s", turbo <= 0.27),
            ]
            image = self.comparisons["picture"]
            targets.append(_within("an image", image.ours.durations.median, 1.75))
            if image.speedup is not None:
                faster = image.speedup
                targets.append(Target("an image 1.15 times as fast as diffusers'", f"{faster:.2f}", faster >= 1.15))
            for side, seconds in ((FLOAT8_SIDE, 1.3), (FAST, 1.2)):
                targets += [_within(side, each.median, seconds) for each in self.more if each.side == side]
        for figure in self.more:
            if (figure.name, figure.side) == (FRESHLY_COMPILED, STARTS[-1]):
                targets.append(
                    Target("the second start compiles nothing", f"{figure.median:g}", not any(figure.values))
                )
        return targets

    def __str__(self) -> str:
        rates = f"matrix rate {_rate(self.matrix_rate)}, memory rate {self.memory_rate / 1e9:,.1f} GB/s"
        lines = [f"command: {self.command}", str(self.machine), self.settings, rates, ""]
        for part, comparison in self.comparisons.items():
            lines += _comparison_lines(PARTS[part], comparison, self.fraction(part))
        low, high = quartiles(self.loop.shares)
        lines += [
            f"our loop, er_sde: {_durations(self.loop.durations)}",
            f"  outside the networks {self.loop.overhead:.2%} ({low:.2%} to {high:.2%})",
        ]
        lines += _swap_lines(self.swaps, self.loop.durations.median)
        if self.compiled is not None:
            lines += [
                f"8 steps at CFG 1: {_durations(self.compiled.turbo)}",
                f"recompilations over several picture sizes: {self.compiled.recompilations}",
            ]
        lines += [_figure_line(figure) for figure in self.more]
        if self.processor_share is not None:
            lines.append(f"the process had {self.processor_share:.0%} of its threads' time")
            if self.processor_share < QUIET:
                lines.append("Other programs were running, so all times are too long; take the figures with caution.")
        lines.append("")
        lines += [
            f"{'met   ' if target.met else 'MISSED'} {target.what}: {target.reached}" for target in self.targets()
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Target:
    what: str
    reached: str
    met: bool


@dataclass(frozen=True)
class BackendComparison:
    ours: Measured
    theirs: Measured | None
    #: The relative error of our result against theirs.
    difference: float | None
    flops: int
    #: Size of the weights, which must be read at least.
    weight_bytes: int | None = None

    @property
    def sides(self) -> list[Measured]:
        return [side for side in (self.ours, self.theirs) if side is not None]

    @property
    def speedup(self) -> float | None:
        return None if self.theirs is None else self.theirs.durations.median / self.ours.durations.median


@dataclass(frozen=True)
class Measured:
    """One part on one side."""

    durations: Durations
    #: Weights and working memory at the peak of this part; None on the CPU outside Linux.
    peak_bytes: int | None


@dataclass(frozen=True)
class Loop:
    """A whole image with er_sde, and how much of its time was spent outside the networks."""

    durations: Durations
    #: The share of each repetition spent outside: sampler, noise, guidance, the image's file data.
    shares: tuple[float, ...]

    @property
    def overhead(self) -> float:
        return statistics.median(self.shares)


@dataclass(frozen=True)
class Compiled:
    """Measured only on a GPU: recompilations over several image sizes, and an image with few steps (turbo)."""

    recompilations: int
    turbo: Durations


@dataclass(frozen=True)
class Swaps:
    """How long switching the diffusion model takes. size: bytes of its weights."""

    size: int
    #: From its file, which is in the system's page cache.
    from_file: Durations
    #: From the device to main memory, and back; None if the device is the CPU.
    moves: tuple[Durations, Durations] | None


def _within(side: str, reached: float, seconds: float) -> Target:
    return Target(f"{side} within {seconds:g} s (H200)", f"{reached:.2f} s", reached <= seconds)


def _part_figures(name: str, comparison: BackendComparison) -> list[Figure]:
    sides = {OURS: comparison.ours} | ({} if comparison.theirs is None else {DIFFUSERS: comparison.theirs})
    return [
        Figure(
            name, side, "s", measured.durations.seconds, comparison.flops, comparison.weight_bytes, measured.peak_bytes
        )
        for side, measured in sides.items()
    ]


def _figure_line(figure: Figure) -> str:
    (low, high), unit = figure.quartiles, "" if figure.unit == "1" else f" {figure.unit}"
    spread = "" if len(figure.values) == 1 else f" ({low:.4g} to {high:.4g}, {len(figure.values)} times)"
    return f"{figure.name}, {figure.side}: {figure.median:.4g}{unit}{spread}"


def _swap_lines(swaps: Swaps, image: float) -> list[str]:
    timed = {"another model from its file": swaps.from_file}
    if swaps.moves is not None:
        timed |= dict(zip(("a model to main memory", "a model from main memory"), swaps.moves, strict=True))
    return [
        f"{what}: {_durations(durations)}, {swaps.size / durations.median / 1e9:,.2f} GB/s, "
        f"{durations.median / image:.2f} of that image"
        for what, durations in timed.items()
    ]


def _comparison_lines(name: str, comparison: BackendComparison, fraction: float) -> list[str]:
    ours, theirs = comparison.ours, comparison.theirs
    rate = comparison.flops / ours.durations.median
    lines = [name, f"  ours       {_durations(ours.durations)}{_peak(ours.peak_bytes)}"]
    if theirs is not None:
        lines += [
            f"  diffusers  {_durations(theirs.durations)}{_peak(theirs.peak_bytes)}",
            f"  ours are {comparison.speedup:.2f} times as fast; results differ by {comparison.difference:.1e}",
        ]
    operations = f"  ours: {comparison.flops / 1e9:,.1f} GFLOP at {_rate(rate)}, {fraction:.0%} of the matrix rate"
    return [*lines, operations, ""]


def _durations(durations: Durations) -> str:
    low, high = durations.quartiles
    return f"{durations.median:.3f} s ({low:.3f} to {high:.3f})"


def _peak(peak: int | None) -> str:
    return "" if peak is None else f", at most {peak / 2**20:,.0f} MiB"


def _rate(operations: float) -> str:
    return f"{operations / 1e9:,.0f} GFLOP/s"
