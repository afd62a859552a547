"""Each target with a few cases; run `python -m tests.soak.fuzz` for more."""

from __future__ import annotations

import subprocess
import sys
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.soak.fuzz import LARGE, TARGETS, changed
from tests.soak.targets import FuzzTarget

ROOT = Path(__file__).parents[2]


@cache
def target(name: str) -> FuzzTarget:
    return TARGETS[name]()


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_input_is_read_or_refused(name: str, data: st.DataObject) -> None:
    subject = target(name)
    small = [seed for seed in subject.seeds if len(seed) <= LARGE]
    rng = data.draw(st.randoms(use_true_random=False))
    case = data.draw(st.binary(max_size=300) | st.sampled_from(small).map(lambda s: changed(s, small, subject, rng)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken files Pillow warns
        with suppress(*subject.declared):
            subject.read(case)


@pytest.mark.parametrize("name", TARGETS)
def test_known_attacks_stay_within_their_memory(name: str, tmp_path: Path) -> None:
    """In a process of its own, whose address space is limited to the target's bound."""
    command = [sys.executable, "-m", "tests.soak.fuzz", name, "--cases", str(len(target(name).seeds))]
    done = subprocess.run([*command, "--faults", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
