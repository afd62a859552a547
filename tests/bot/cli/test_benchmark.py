"""`anima benchmark` offers every size, and refuses what it cannot measure in a sentence."""

import argparse
from pathlib import Path

import pytest

from bot.cli import benchmark as command
from inference.benchmark.figures import Figure, write_json
from inference.benchmark.workload import SIZES


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--width", "100"], "width is 100"),
        (["--repeats", "0"], "repeats is 0"),
        (["--threads", "0"], "threads is 0"),
        (["--minutes", "0"], "minutes is 0"),
        (["--json", "there/is/none.json"], "none.json: the folder for this file does not exist"),
        (["--charts", "none.json", "folder"], "none.json: No such file"),
        (["--dtype", "int8"], "dtype is 'int8'"),
        (["--dtype", "float8"], "dtype is 'float8', which is not measured here. Choose float32 or bfloat16."),
    ],
)
def test_invalid_options_are_explained(options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    chosen = parser.parse_args(["benchmark", "--size", "tiny", "--device", "cpu", *options])
    with pytest.raises(SystemExit, match=r"^[12]$"):
        chosen.command(chosen)
    assert sentence in capsys.readouterr().err


def test_the_command_offers_every_size() -> None:
    assert tuple(SIZES) == command.SIZES


def test_charts_are_drawn_from_a_file_without_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = [Figure("decoding", side, "s", (seconds,), 10**9, 10**6) for side, seconds in (("ours", 1), ("b", 2))]
    figures += [Figure("matrix rate", "machine", "FLOP/s", (1e12,)), Figure("memory rate", "machine", "B/s", (1e10,))]
    machine = {"processor": "a processor", "cores": 2, "gpu": None}
    write_json(tmp_path / "here.json", {"measured": "2026-11-29", "machine": machine}, figures)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    chosen = parser.parse_args(["benchmark", "--charts", str(tmp_path / "here.json"), str(tmp_path / "charts")])
    chosen.command(chosen)
    drawn = sorted((tmp_path / "charts").iterdir())
    assert [chart.name for chart in drawn] == ["here-bars.svg", "here-roofline.svg"]
    assert capsys.readouterr().out.split() == [str(chart) for chart in drawn]
