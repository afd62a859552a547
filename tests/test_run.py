"""`run.py` installs and starts the bot on each system: others are played, and on this one it really starts."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

import run

ROOT = Path(__file__).parents[1]
PIP = ["-m", "pip", "install", "--disable-pip-version-check", "--constraint", "constraints.txt"]
RTX_4090 = "8.9, 581.29"

#: A bot that says how it was started, and ends with a code of its own.
BOT = """
import os, sys
print(sys.argv[1:], os.getcwd(), flush=True)
sys.exit(7)
"""
#: One that ends in its own way at the first Ctrl-C.
BOT_WITH_CTRL_C = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
print("ready", flush=True)
time.sleep(60)
"""
#: Has the file believe that it is on Windows, but for the place of the interpreter.
AS_ON_WINDOWS = """
import sys
sys.path.insert(0, {folder!r})
import run
sys.platform = "win32"
run.python = lambda: {python!r}
run.start(["start"])
"""


class Interpreter(NamedTuple):
    major: int = 3
    minor: int = 13
    micro: int = 2
    releaselevel: str = "final"
    serial: int = 0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where run.py lies in these tests; nothing is installed there."""
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(run, "STAMP", tmp_path / ".venv" / "installed")
    monkeypatch.setattr(run, "SOURCES", (tmp_path / "pyproject.toml", tmp_path / "constraints.txt"))
    return tmp_path


def play(monkeypatch: pytest.MonkeyPatch, system: str, **programs: str) -> None:
    """The system, and what its programs answer; others are not there."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(run.shutil, "which", lambda name: f"/programs/{name}" if name in programs else None)
    monkeypatch.setattr(
        run.subprocess, "check_output", lambda command, **_: programs[command[0].removeprefix("/programs/")]
    )


# What is installed


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_linux_and_macos_install_the_bot_with_the_pinned_packages(
    folder: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    play(monkeypatch, system, **{"nvidia-smi": RTX_4090})
    python = str(folder / ".venv" / "bin" / "python")
    assert run.install_commands([]) == [
        [sys.executable, "-m", "venv", str(folder / ".venv")],
        [python, *PIP, "--editable", "."],
    ]


def test_what_the_tests_need_comes_in_the_same_installation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, "linux")
    assert [command[-1] for command in run.install_commands(["dev"])[1:]] == [".[dev]"]
    play(monkeypatch, "win32", **{"nvidia-smi": RTX_4090})
    assert run.install_commands(["dev"])[-1][-1] == ".[dev,windows-compile]"


def test_it_installs_what_the_tests_need_where_the_bot_is_installed_already(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installations: list[list[str]] = []
    monkeypatch.setattr(run, "installed", lambda: True)
    monkeypatch.setattr(run, "install", installations.append)
    run.main(["--install"])
    run.main(["--install", "dev"])
    assert installations == [["dev"]]


def test_windows_without_an_nvidia_card_installs_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, "win32")
    python = str(folder / ".venv" / "Scripts" / "python.exe")
    assert run.install_commands([])[1:] == [[python, *PIP, "--editable", "."]]


def test_windows_with_a_driver_that_finds_no_card_installs_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, "win32", **{"nvidia-smi": ""})

    def fail(command: list[str], **_: object) -> str:
        raise subprocess.CalledProcessError(6, command)  # "No devices were found"

    monkeypatch.setattr(run.subprocess, "check_output", fail)
    assert len(run.install_commands([])) == 2


def test_windows_with_an_nvidia_card_gets_pytorch_for_it_before_the_bot_and_triton_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, "win32", **{"nvidia-smi": RTX_4090 + "\n"})
    _, pytorch, bot = run.install_commands([])
    index = "https://download.pytorch.org/whl/cu130"
    pinned = next(
        line
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line.startswith("torch==")
    )
    assert pytorch[1:] == [*PIP, "--no-deps", f"{pinned}+cu130", "--index-url", index]
    assert bot[1:] == [*PIP, "--editable", ".[windows-compile]"]


@pytest.mark.parametrize(
    ("gpus", "build"),
    [
        (RTX_4090, "cu130"),
        ("7.5, 580.88", "cu130"),
        ("6.1, 581.29", "cu126"),  # a GTX 1080, for which CUDA 13 has no kernels
        ("8.6, 566.36", "cu126"),  # a driver from before CUDA 13
        ("8.9, 581.29\n6.1, 581.29", "cu126"),
        ("[N/A], 581.29", "cu130"),
    ],
)
def test_older_cards_and_drivers_get_the_older_cuda(gpus: str, build: str) -> None:
    assert run.cuda_build(gpus) == build


def test_it_is_installed_until_the_pins_change(folder: Path) -> None:
    assert not run.installed()
    run.python().parent.mkdir(parents=True)
    run.python().touch()
    run.STAMP.touch()
    for source in run.SOURCES:
        os.utime(source, (0, 0))
    assert run.installed()
    os.utime(folder / "constraints.txt", (run.STAMP.stat().st_mtime + 1,) * 2)
    assert not run.installed()


def test_pytorch_is_installed_again_once_windows_has_a_driver_or_card_that_needs_another_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.subprocess, "call", lambda command, **_: 0)
    played = ({}, {"nvidia-smi": "6.1, 581.29"}, {"nvidia-smi": RTX_4090})
    for programs in played:
        play(monkeypatch, "win32", **programs)
        run.python().parent.mkdir(parents=True, exist_ok=True)
        run.python().touch()
        assert not run.installed()
        run.install([])
        assert run.installed()
    play(monkeypatch, "win32")
    assert run.installed(), "what is there works without a card too"


def test_an_environment_whose_python_is_gone_is_made_again(folder: Path) -> None:
    run.VENV.mkdir()
    run.STAMP.touch()
    assert not run.installed()


def test_a_failed_installation_is_not_taken_for_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(run.subprocess, "call", lambda command, **_: commands.append(command) or len(commands) - 1)
    with pytest.raises(SystemExit, match=r"the reason is above\. Start it again to continue"):
        run.install([])
    assert len(commands) == 2 and not run.STAMP.exists()


def test_a_failure_in_a_deep_folder_of_windows_names_the_length_of_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ROOT", Path("C:/Users/somebody/Documents/programs/from the internet/anima-bot-main"))
    assert "move the folder" not in run.after_a_failure()
    monkeypatch.setattr(sys, "platform", "win32")
    assert "move the folder" in run.after_a_failure()


# Which Python


@pytest.mark.parametrize("version", [(3, 11), (3, 14)])
def test_each_python_that_the_pins_have_wheels_for_will_do(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int]
) -> None:
    monkeypatch.setattr(sys, "version_info", Interpreter(*version))
    assert run.why_not_this_python() is None


@pytest.mark.parametrize("version", [(3, 10), (3, 15)])
def test_another_python_is_refused_with_the_command_that_starts_the_right_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int]
) -> None:
    monkeypatch.setattr(sys, "version_info", Interpreter(*version))
    play(monkeypatch, "win32")
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 to 3\.14, and .*: py -3\.13 run\.py \(to install it"):
        run.main([])
    play(monkeypatch, "linux", **{"python3.12": "", "python3.11": ""})
    with pytest.raises(SystemExit, match=r"python3\.12 run\.py, or make PYTHON=python3\.12 run\."):
        run.main([])
    play(monkeypatch, "darwin")
    with pytest.raises(SystemExit, match=r"python3\.13 run\.py.* \(to install it, .*Homebrew"):
        run.main([])
    assert not run.VENV.exists()


def test_a_python_that_pytorch_has_no_packages_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, "win32")
    monkeypatch.setattr(run.sysconfig, "get_platform", lambda: "win-arm64")
    assert "ARM" in str(run.why_not_this_python())
    monkeypatch.setattr(run.sysconfig, "get_platform", lambda: "win32")
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    assert "64-bit" in str(run.why_not_this_python())


@pytest.mark.parametrize(
    ("machine", "version", "why"),
    [("arm64", "14.5", "None"), ("arm64", "13.7.1", "macOS 14 or later"), ("x86_64", "14.5", "Intel processors")],
)
def test_only_macs_that_pytorch_supports_are_accepted(
    monkeypatch: pytest.MonkeyPatch, machine: str, version: str, why: str
) -> None:
    play(monkeypatch, "darwin")
    monkeypatch.setattr(run.sysconfig, "get_platform", lambda: "macosx-11.0-universal2")
    monkeypatch.setattr(run.platform, "machine", lambda: machine)
    monkeypatch.setattr(run.platform, "mac_ver", lambda: (version, ("", "", ""), machine))
    assert why in str(run.why_not_this_python())


def test_an_old_python_can_read_the_file() -> None:
    """So that it says what is wrong, instead of ending in a SyntaxError."""
    ast.parse((ROOT / "run.py").read_text("utf-8"), feature_version=(3, 7))


# Starting


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """A folder with run.py and an environment in which only the bot is a stand-in."""
    for name in ("run.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / ".venv" / "installed").touch()
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "__main__.py").write_text(BOT)
    return tmp_path


def started(folder: Path, *arguments: str, where: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(folder / "run.py"), *arguments], cwd=where, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout.strip()


@pytest.mark.posix
def test_it_becomes_the_bot_in_its_own_folder_with_the_bots_exit_code(ready: Path) -> None:
    assert started(ready, where=ready.parent) == (7, f"['start'] {ready}")
    assert started(ready, "doctor", "--load", where=ready) == (7, f"['doctor', '--load'] {ready}")
    assert started(ready, "--install", where=ready) == (0, "")


@pytest.mark.posix
def test_on_windows_it_leaves_ctrl_c_to_the_bot_and_ends_with_its_exit_code(ready: Path) -> None:
    (ready / "bot" / "__main__.py").write_text(BOT_WITH_CTRL_C)
    code = AS_ON_WINDOWS.format(folder=str(ready), python=str(ready / ".venv" / "bin" / "python"))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ready
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)  # as the console does: to every process
        assert process.wait(60) == 5


# What is said elsewhere


def test_the_bounds_are_the_same_everywhere() -> None:
    oldest, after = run.OLDEST, (run.NEWEST[0], run.NEWEST[1] + 1)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={oldest[0]}.{oldest[1]},<{after[0]}.{after[1]}"' in project
    for name in ("README.md", "docs/operating.md", "bot/__init__.py"):
        assert run.PYTHONS in (ROOT / name).read_text("utf-8"), name


def test_this_python_can_be_judged_at_all() -> None:
    assert sysconfig.get_platform() and run.why_not_this_python() is None
