"""Turning weights back while a model is loaded takes no second copy of it."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.header_only import SIZES
from tests.inference.weights.benchmark_loading import FORMS, MEBI, peaks

#: 20 million numbers, the largest tensor of which is a twentieth.
SMALL = replace(SIZES, width=512, depth=4, head_dim=64, mlp_width=2048, modulation_rank=64).shapes
#: What an allocator keeps back and the system counts late.
SLACK = 16 * MEBI


@pytest.mark.skipif(sys.platform != "linux", reason="the system counts anonymous memory nowhere else")
def test_no_form_takes_more_memory_than_the_plain_file_and_its_largest_tensor(tmp_path: Path) -> None:
    found = {name: peak for name, peak, _end in peaks(SMALL, "float32", tmp_path)}
    whole, largest = (4 * count(map(math.prod, SMALL.values())) for count in (sum, max))
    assert found.keys() == FORMS.keys()
    assert whole - SLACK < found["plain"] < whole + largest + SLACK
    for name, peak in found.items():
        assert peak <= found["plain"] + largest + SLACK, name
