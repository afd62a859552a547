"""Fuzzes the code that reads untrusted input: `python -m tests.soak.fuzz metadata --cases 1000000`.

Mutates a target's seeds at random and lets the target read the result. A case fails if the target raises an undeclared
exception, or exceeds its bound of processor time or memory (a limit of the address space, above what the process uses
once it is warm). Each failing case is saved to a file that `--again` reads.

With `--coverage`, atheris (`pip install 'anima-bot[fuzz]'`) chooses the cases by which lines they reach.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import random
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from tests.soak.structured import STRUCTURED_TARGETS
from tests.soak.targets import MEBI, FuzzTarget
from tests.soak.targets import TARGETS as MUTATED_TARGETS

if sys.platform != "win32":
    import resource

#: Every target, by its name.
TARGETS = MUTATED_TARGETS | STRUCTURED_TARGETS

#: Seconds of real time after which a case is interrupted; long, because the machine may be busy.
HANGS_AFTER = 120
WHOLE_SEED_EVERY = 2_000
MAX_CHANGES = 6
MAX_FAULTS = 10
LARGE = 512
#: One of so many cases starts from a large seed; small ones are read faster.
LARGE_SEED_EVERY = 200


class Hung(BaseException):
    """A case takes too long."""


def cases(target: FuzzTarget, rng: random.Random) -> Iterator[bytes]:
    """The unchanged seeds, then mutated ones without end."""
    yield from target.seeds
    small = [seed for seed in target.seeds if len(seed) <= LARGE]
    number = 0
    while True:
        number += 1
        seeds = target.seeds if number % LARGE_SEED_EVERY == 0 else small
        if number % WHOLE_SEED_EVERY == 0:
            yield rng.randbytes(rng.randrange(256))
        else:
            yield changed(rng.choice(seeds), small, target, rng)


def changed(seed: bytes, others: list[bytes], target: FuzzTarget, rng: random.Random) -> bytes:
    """A seed after a few mutations."""
    case = bytearray(seed)
    for _ in range(rng.randint(1, MAX_CHANGES)):
        change = rng.choice(CHANGES)
        change(case, others, target, rng)
    return bytes(case[: target.longest])


def _somewhere(case: bytearray, rng: random.Random) -> tuple[int, int]:
    """A range of bytes; short ones are more likely."""
    start = rng.randrange(len(case) + 1)
    return start, min(len(case), start + int(2 ** rng.uniform(0, 8)))


def _flip(case: bytearray, others: list[bytes], target: FuzzTarget, rng: random.Random) -> None:
    if case:
        case[rng.randrange(len(case))] ^= 1 << rng.randrange(8)


def _set(case: bytearray, others: list[bytes], target: FuzzTarget, rng: random.Random) -> None:
    if case:
        case[rng.randrange(len(case))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _cut(case: bytearray, others: list[bytes], target: FuzzTarget, rng: random.Random) -> None:
    start, end = _somewhere(case, rng)
    del case[start:end]


def _truncate(case: bytearray, others: list[bytes], target: FuzzTarget, rng: random.Random) -> None:
    del case[rng.randrange(len(case) + 1) :]


def _repeat(case: bytearray, others: list[bytes], target: FuzzTarget, rng: random.Random) -> None:
    start, end = _somewhere(case, rng)
    case[start:start] = case[start:end] * rng.randint(1, 20)


def _word(case: bytearray, others: list[bytes], target: FuzzTarget, rng: random.Random) -> None:
    at = rng.randrange(len(case) + 1)
    word = rng.choice(target.words) if target.words else rng.randbytes(4)
    case[at : at + rng.choice((0, len(word)))] = word


def _splice(case: bytearray, others: list[bytes], target: FuzzTarget, rng: random.Random) -> None:
    other = rng.choice(others)
    start = rng.randrange(len(other) + 1)
    at = rng.randrange(len(case) + 1)
    case[at : at + rng.randrange(64)] = other[start : start + rng.randrange(256)]


CHANGES: tuple[Callable[[bytearray, list[bytes], FuzzTarget, random.Random], None], ...] = (
    *(_flip, _set, _set, _cut, _repeat, _word, _word, _word, _splice, _truncate),
)


def fault_of(target: FuzzTarget, case: bytes) -> str | None:
    """Why a case fails, None if it passes."""
    started = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, HANGS_AFTER)
    try:
        target.read(case)
    except target.declared:
        pass
    except Hung:
        return f"it hangs: {HANGS_AFTER} seconds were not enough"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return "".join(traceback.format_exception(error)[-3:])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.process_time() - started
    return f"it took {seconds:.1f} s, more than {target.seconds}" if seconds > target.seconds else None


def watch_the_clock() -> None:
    def too_late(number: int, frame: FrameType | None) -> None:
        raise Hung

    signal.signal(signal.SIGALRM, too_late)


def limit_memory(target: FuzzTarget) -> None:
    """Limit the address space to the current size plus the target's bound."""
    size = psutil.Process().memory_info().vms + target.memory * MEBI
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def fuzz(target: FuzzTarget, name: str, count: int, seconds: float, seed: int, faults: Path) -> int:
    """Read `count` cases, or as many as fit into `seconds`, and return the number of different faults."""
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    started, slowest, largest = time.monotonic(), 0.0, psutil.Process().memory_info().rss
    for number, case in enumerate(cases(target, rng), start=1):
        before = time.process_time()
        fault = fault_of(target, case)
        slowest = max(slowest, time.process_time() - before)
        if fault is not None and (what := fault.strip().splitlines()[-1][:200]) is not None:
            found[what] += 1
            if found[what] == 1:
                faults.mkdir(parents=True, exist_ok=True)
                path = faults / f"{name}-{hashlib.sha256(case).hexdigest()[:12]}"
                path.write_bytes(case)
                print(f"case {number} ({path}): {fault}", flush=True)
            if len(found) >= MAX_FAULTS:
                break
        if number % 50_000 == 0:
            print(f"{name}: {number:,} cases, {number / (time.monotonic() - started):.0f} a second", flush=True)
        if number >= count or time.monotonic() - started > seconds:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{name}: {number:,} cases in {time.monotonic() - started:.0f} s, {sum(found.values())} faults of "
        f"{len(found)} kinds; slowest {slowest:.2f} s of {target.seconds:g} s; memory grew by at most "
        f"{(peak - largest) / MEBI:.0f} MiB of {target.memory} MiB",
        flush=True,
    )
    return len(found)


def fuzz_by_coverage(target: FuzzTarget, count: int, seed: int, corpus: Path) -> None:
    """Does not return: the process ends after the last case, or at the first fault, which is saved as `crash-…`."""
    import atheris  # type: ignore[import-not-found, unused-ignore]

    corpus.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(case)

    atheris.instrument_all()

    def one(case: bytes) -> None:
        if (fault := fault_of(target, case)) is not None:
            raise RuntimeError(fault)

    settings = (f"-runs={count}", f"-seed={seed}", f"-max_len={target.longest}")
    atheris.Setup([sys.argv[0], *settings, str(corpus)], one)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each target at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=Path, default=Path("faults"), help="the folder for failing cases")
    parser.add_argument("--again", type=Path, nargs="*", help="read these files instead")
    parser.add_argument("--coverage", action="store_true", help="let atheris choose the cases, for one target")
    parser.add_argument(
        "--corpus", type=Path, default=Path("corpus"), help="the folder for the cases that atheris keeps"
    )
    said: Any = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    watch_the_clock()
    faults = 0
    for name in TARGETS if said.target == "all" else [said.target]:
        target = TARGETS[name]()
        fault_of(target, target.seeds[0])  # what is loaded at the first use does not count
        limit_memory(target)
        if said.again:
            for path in said.again:
                fault = fault_of(target, path.read_bytes())
                faults += fault is not None
                print(f"{path}: {fault or 'ok'}")
        elif said.coverage:
            fuzz_by_coverage(target, said.cases, said.seed, said.corpus / name)
        else:
            faults += fuzz(target, name, said.cases, said.seconds, said.seed, said.faults)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
