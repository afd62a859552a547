"""Peak memory is measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference.benchmark.backends import AnimaBackend
from inference.benchmark.memory import peak_bytes
from tests.inference.benchmark.tiny import TINY


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_peak_memory_holds_weights_and_more_for_a_larger_picture(models: Path, ours: AnimaBackend) -> None:
    small, large = (peak_bytes(ours, "vae", models, replace(TINY, width=side, height=side)) for side in (64, 512))
    assert small is not None and large is not None
    weights = sum(weight.nbytes for weight in ours.weights("vae"))
    pixels = 512 * 512 * TINY.vae_width * 4
    assert weights <= small < large
    assert large - small > pixels
