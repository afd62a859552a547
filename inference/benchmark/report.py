"""What was measured, in figures and in words."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from inference.benchmark.timing import Durations, quartiles
from inference.benchmark.workload import PARTS, Part

#: Below this share of its threads' time a process was disturbed by others.
QUIET = 0.9


@dataclass(frozen=True)
class Report:
    """What `anima benchmark` prints."""

    machine: str
    settings: str
    #: Floating-point operations a second of a square matrix product in the same dtype, the best of several.
    matrix_rate: float
    comparisons: Mapping[Part, BackendComparison]
    loop: Loop
    compiled: Compiled | None
    #: Of the CPU, where that is what was measured.
    threads: int | None

    @property
    def processor_share(self) -> float | None:
        """How much of the threads' time the system gave to this process while single networks were timed."""
        if self.threads is None:
            return None
        timed = [self.comparisons[part] for part in ("transformer", "vae")]
        durations = [side.durations for comparison in timed for side in comparison.sides]
        had = sum(sum(each.processor_seconds) for each in durations)
        return had / self.threads / sum(sum(each.seconds) for each in durations)

    def fraction(self, part: Part) -> float:
        """How much of the matrix rate a part reaches."""
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
                Target("60 % of the matrix rate", f"{share:.0%}", share >= 0.6),
                Target("no recompilation between sizes", f"{recompiled}", recompiled == 0),
                Target("8 steps at CFG 1 under 0.5 s (H200)", f"{turbo:.2f} s", turbo < 0.5),
            ]
        return targets

    def __str__(self) -> str:
        lines = [self.machine, self.settings, f"matrix rate {_rate(self.matrix_rate)}", ""]
        for part, comparison in self.comparisons.items():
            lines += _comparison_lines(PARTS[part], comparison, self.fraction(part))
        low, high = quartiles(self.loop.shares)
        lines += [
            f"our loop, er_sde: {_durations(self.loop.durations)}",
            f"  outside the networks {self.loop.overhead:.2%} ({low:.2%} to {high:.2%})",
        ]
        if self.compiled is not None:
            lines += [
                f"8 steps at CFG 1: {_durations(self.compiled.turbo)}",
                f"recompilations over several picture sizes: {self.compiled.recompilations}",
            ]
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
    #: At the highest point, weights and working memory, of a process that does this part only; None off Linux.
    peak_bytes: int | None


@dataclass(frozen=True)
class Loop:
    """A whole image with er_sde, and how much of it was spent inside the networks."""

    durations: Durations
    #: How much of each repetition was spent elsewhere: sampler, noise, guidance, the image's file data.
    shares: tuple[float, ...]

    @property
    def overhead(self) -> float:
        return statistics.median(self.shares)


@dataclass(frozen=True)
class Compiled:
    """What only a GPU shows: compiled blocks over several image sizes, and the fewest steps."""

    recompilations: int
    turbo: Durations


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
