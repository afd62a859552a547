"""Every line to type in the README is one that its program takes, and the extras for each system are those it needs.

Lines are parsed as their programs parse them; nothing is run or installed.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from bot.__main__ import _parser

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "README.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
BACKENDS = ("auto", "cpu", "cu130", "cu126")


def lines_of(section: str) -> list[str]:
    """The lines to type, without comments."""
    text = PAGE[PAGE.index(f"## {section}\n") :].split("\n## ")[0]
    return [re.split(r"\s+#", line)[0] for line in re.findall(r"^ {4}(.+)$", text, re.MULTILINE)]


def fits(version: str) -> None:
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{version}.0"), f"the bot does not run on {version}"


def uv(arguments: list[str]) -> None:
    """As `uv tool install --help` of uv 0.13.9 has it, of which only what the README uses."""
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("-p", "--python", required=True, type=fits)
    parser.add_argument("--torch-backend", choices=BACKENDS)
    parser.add_argument("-c", "--constraints", required=True)
    parser.add_argument("package")
    assert arguments[:2] == ["tool", "install"]
    options = parser.parse_args(arguments[2:])
    assert (ROOT / options.constraints).exists()
    folder, _, extra = options.package.rstrip("]").partition("[")
    assert (ROOT / folder / "pyproject.toml").exists()
    assert not extra or extra in PROJECT["optional-dependencies"]


def anima(arguments: list[str]) -> None:
    _parser().parse_args(arguments)


def py(arguments: list[str]) -> None:
    version, file, *rest = arguments
    fits(version.removeprefix("-"))
    assert (ROOT / file).exists()
    anima(rest)


def python3_13(arguments: list[str]) -> None:
    py(["-3.13", *arguments])


def make(arguments: list[str]) -> None:
    for setting in (each for each in arguments if each.startswith("PYTHON=")):
        fits(setting.removeprefix("PYTHON=python"))
    subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=True, capture_output=True)


def cp(arguments: list[str]) -> None:
    source, target = arguments
    assert (ROOT / source).exists() and target == ".env"


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "uv": uv,
    "anima": anima,
    "py": py,
    "python3.13": python3_13,
    "make": make,
    "cp": cp,
}


@pytest.mark.posix
@pytest.mark.parametrize("line", dict.fromkeys(lines_of("Try it") + lines_of("Run it on Discord")))
def test_each_command_in_the_readme_parses(line: str) -> None:
    program, *arguments = shlex.split(line)
    PROGRAMS[program](arguments)


@pytest.mark.posix
@pytest.mark.parametrize("line", re.findall(r"`((?:make|py|python3\.13) [^`\n]*)`", PAGE))
def test_each_command_inside_a_sentence_parses(line: str) -> None:
    test_each_command_in_the_readme_parses(line)


def test_each_system_has_its_two_commands() -> None:
    lines = lines_of("Try it")
    assert lines[:2] == ["make run", "make test"]
    assert [line.split()[0] for line in lines[2:]] == ["uv", "anima", "py", "uv", "anima"]
    _, _, windows, _, _, macos, _ = lines
    assert "--torch-backend auto" in windows and ".[windows-compile]" in windows
    assert "torch-backend" not in macos


def test_the_extra_for_windows_is_left_out_elsewhere() -> None:
    [triton] = map(Requirement, PROJECT["optional-dependencies"]["windows-compile"])
    assert triton.marker is not None
    assert triton.marker.evaluate({"sys_platform": "win32"})
    assert not triton.marker.evaluate({"sys_platform": "darwin"})


def test_the_page_says_what_was_tested() -> None:
    assert "Tested on Linux. Windows and macOS should work too, but are untested" in PAGE
