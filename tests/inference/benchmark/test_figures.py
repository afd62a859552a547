"""What was measured comes out of its file as it went in; other files are refused in a sentence."""

import json
from pathlib import Path

import pytest

from inference.benchmark.figures import FORMAT, Figure, Measurements, read_json, write_json
from tests.inference.benchmark.test_report import REPORT

NOT_OURS = {
    "no JSON": "{",
    "another format": '{"format": "anima-benchmark 99"}',
    "no figures": json.dumps({"format": FORMAT}),
    "a list": "[]",
    "a figure without values": json.dumps(
        {
            "format": FORMAT,
            "measured": "2026-11-29",
            "machine": {"processor": "a", "cores": 2, "gpu": None},
            "figures": [{"name": "a", "side": "b", "unit": "s", "values": []}],
        }
    ),
}


def written(file: Path) -> Measurements:
    write_json(file, {"measured": "2026-11-29T12:00:00+00:00", **REPORT.as_json()}, REPORT.figures())
    return read_json(file)


def test_figures_are_read_as_they_were_written(tmp_path: Path) -> None:
    measured = written(tmp_path / "figures.json")
    assert measured.figures == tuple(REPORT.figures())
    assert measured.title == "a processor, 2 cores, 2026-11-29"
    decode = measured.of("VAE decode", "ours")
    assert decode is not None and decode.operations == 90 * 10**9 and decode.peak_bytes == 300 * 2**20


def test_the_file_says_machine_command_spread_and_targets(tmp_path: Path) -> None:
    written(tmp_path / "figures.json")
    content = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert content["command"] == "anima benchmark"
    assert content["machine"]["versions"] == {"Python": "3.11", "torch": "2.13"}
    assert {"what", "reached", "met"} <= content["targets"][0].keys()
    spread = Figure("a", "ours", "s", (1.0, 2.0, 3.0, 9.0)).as_json()
    assert (spread["median"], spread["low"], spread["high"]) == (2.5, 1.75, 4.5)


@pytest.mark.parametrize("content", NOT_OURS.values(), ids=NOT_OURS)
def test_a_file_without_figures_is_refused_with_an_explanation(content: str, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.json .*figures.* `anima benchmark --json"):
        read_json(file)
