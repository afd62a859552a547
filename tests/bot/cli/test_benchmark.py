"""`anima benchmark` offers every size, and refuses what it cannot measure in a sentence."""

import argparse

import pytest

from bot.cli import benchmark as command
from inference.benchmark.workload import SIZES


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--width", "100"], "width is 100"),
        (["--repeats", "0"], "repeats is 0"),
        (["--threads", "0"], "threads is 0"),
        (["--dtype", "float8"], "dtype is 'float8'"),
    ],
)
def test_the_command_refuses_what_cannot_be_in_a_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    chosen = parser.parse_args(["benchmark", "--size", "tiny", "--device", "cpu", *options])
    with pytest.raises(SystemExit, match="2"):
        chosen.command(chosen)
    assert sentence in capsys.readouterr().err


def test_the_command_offers_every_size() -> None:
    assert tuple(SIZES) == command.SIZES
