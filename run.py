"""Installs Anima Bot into .venv the first time, and starts it. Works on Linux, macOS and Windows, without make.

    python3.13 run.py                  the bot, or the sandbox if .env has no DISCORD_TOKEN
    python3.13 run.py doctor           any other `anima` command
    python3.13 run.py --install        only installs
    python3.13 run.py --install dev    also installs what the tests need

On Windows, type `py -3.13 run.py`.

This file uses only the standard library, and a Python too old for the bot can run it, so that it can say so.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 14)
PYTHONS = "Python {}.{} to {}.{}".format(*OLDEST, *NEWEST)
RECOMMENDED = "3.13"

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
#: Newer than the SOURCES if their packages are installed; the Makefile has the same rule. On Windows it names the CUDA
#: build of PyTorch, if any.
STAMP = VENV / "installed"
SOURCES = (ROOT / "pyproject.toml", ROOT / "constraints.txt")

#: PyTorch's packages for Windows, one folder for each CUDA version. PyPI only has the CPU build.
PYTORCH = "https://download.pytorch.org/whl/"
#: The first driver that runs CUDA 13, and the first compute capability that CUDA 13 has kernels for.
CUDA_13_DRIVER, CUDA_13_CAPABILITY = 580, 7.5
#: The longest path of this folder, in characters. With longer ones, PyTorch's files exceed Windows' limit of 260.
DEEPEST_ON_WINDOWS = 60

SIZE = (
    "Installing the Python packages into .venv, once. Most of it is PyTorch: on Linux, and on Windows with an NVIDIA\n"
    "card, an estimated 3 to 5 GB, elsewhere a few hundred MB. That takes some minutes, or half an hour."
)


def main(arguments: list[str]) -> None:
    only_install = arguments[:1] == ["--install"]
    extras = arguments[1:] if only_install else []
    if extras or not installed():
        sentence = why_not_this_python()
        if sentence:
            sys.exit(sentence)
        install(extras)
    if only_install:
        return
    start(arguments or ["start"])


def installed() -> bool:
    """Whether .venv has the packages that pyproject.toml, constraints.txt and this machine's GPUs currently need."""
    if not (STAMP.exists() and python().exists()):
        return False
    if any(STAMP.stat().st_mtime < source.stat().st_mtime for source in SOURCES):
        return False
    gpus = windows_gpus()
    return not gpus or STAMP.read_text(encoding="utf-8") == cuda_build(gpus)


def python() -> Path:
    """The interpreter of .venv."""
    return VENV / "Scripts" / "python.exe" if sys.platform == "win32" else VENV / "bin" / "python"


def why_not_this_python() -> str | None:
    """Why the packages cannot be installed with the current Python, and what to do; None if they can."""
    this = f"this is {sys.version.split()[0]} ({sys.executable})"
    if not OLDEST <= tuple(sys.version_info[:2]) <= NEWEST:
        return f"Anima Bot needs {PYTHONS}, and {this}. {another_python()}"
    if sys.maxsize < 2**32:
        return f"Anima Bot needs a 64-bit Python, and {this} has 32 bits. {another_python()}"
    if sysconfig.get_platform() == "win-arm64":
        return f"PyTorch has no packages for Python on ARM, and {this}. Install the one for x86-64 from python.org."
    if sys.platform == "darwin" and platform.machine() != "arm64":
        return f"PyTorch has no packages for Macs with Intel processors, or for a Python built for them; {this}."
    if sys.platform == "darwin" and int(platform.mac_ver()[0].partition(".")[0] or 0) < 14:
        return f"PyTorch needs macOS 14 or later, and this is {platform.mac_ver()[0]}."
    return None


def another_python() -> str:
    """How to start this file with a suitable Python."""
    if sys.platform == "win32":
        return (
            f"Use another Python: py -{RECOMMENDED} run.py (to install it: `winget install "
            f"Python.Python.{RECOMMENDED}`, or https://www.python.org)."
        )
    known = [f"python{OLDEST[0]}.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    found = next((name for name in known if shutil.which(name)), None)
    name = found or f"python{RECOMMENDED}"
    where = "" if found else " (to install it, use your system's packages, Homebrew, or https://www.python.org)"
    return f"Use another Python: {name} run.py, or make PYTHON={name} run{where}."


def install(extras: list[str]) -> None:
    """Create .venv and install the packages into it, with these extras of pyproject.toml.

    If that fails, exits with a sentence that says why.
    """
    print(SIZE, flush=True)
    for command in install_commands(extras):
        try:
            code = subprocess.call(command, cwd=str(ROOT))
        except OSError as error:
            sys.exit(f"{command[0]} cannot be started: {error}. Remove the folder {VENV} and start again.")
        if code != 0:
            sys.exit(f"The installation failed; the reason is above. {after_a_failure()}")
    gpus = windows_gpus()
    STAMP.write_text(cuda_build(gpus) if gpus else "", encoding="utf-8")


def install_commands(extras: list[str]) -> list[list[str]]:
    """The commands that create .venv and install the bot, on Windows with an NVIDIA GPU after PyTorch for its CUDA."""
    pip = [str(python()), "-m", "pip", "install", "--disable-pip-version-check", "--constraint", "constraints.txt"]
    commands = [[sys.executable, "-m", "venv", str(VENV)]]
    gpus = windows_gpus()
    if gpus:
        # The full version, or pip would keep an installed CPU build. Without dependencies: they come from PyPI with
        # the bot, because this index lacks some of the pinned versions.
        build = cuda_build(gpus)
        commands.append([*pip, "--no-deps", f"{pinned('torch')}+{build}", "--index-url", PYTORCH + build])
        extras = [*extras, "windows-compile"]
    commands.append([*pip, "--editable", f".[{','.join(extras)}]" if extras else "."])
    return commands


def windows_gpus() -> str:
    """On Windows, the output of nvidia-smi: a line `compute capability, driver` for each GPU. Empty elsewhere."""
    program = shutil.which("nvidia-smi") if sys.platform == "win32" else None
    if program is None:
        return ""
    command = [program, "--query-gpu=compute_cap,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.check_output(command, universal_newlines=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""  # the driver is installed, but finds no GPU


def cuda_build(gpus: str) -> str:
    """The folder of PyTorch's packages that works for all GPUs. `gpus`: from `windows_gpus`."""
    for line in gpus.splitlines():
        capability, _, driver = line.partition(",")
        try:
            if float(capability) < CUDA_13_CAPABILITY or float(driver.strip().partition(".")[0]) < CUDA_13_DRIVER:
                return "cu126"
        except ValueError:
            continue  # old drivers or GPUs say "[N/A]"
    return "cu130"


def pinned(package: str) -> str:
    """A package's line in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


def after_a_failure() -> str:
    if sys.platform == "win32" and len(str(ROOT)) > DEEPEST_ON_WINDOWS:
        return f"Windows limits the length of paths: move the folder {ROOT} to a shorter one, such as C:\\anima-bot."
    return "Start it again to continue; finished downloads are kept. If the bot is running, stop it first."


def start(arguments: list[str]) -> None:
    """Run `anima` with these arguments in the folder of this file, where .env and the database are."""
    os.chdir(str(ROOT))
    command = [str(python()), "-m", "bot", *arguments]
    if sys.platform != "win32":
        os.execv(command[0], command)
    # Windows cannot replace a process. Ctrl-C and Ctrl-Break reach all processes of the console; the bot handles them.
    for name in ("SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.exit(subprocess.Popen(command).wait())


if __name__ == "__main__":
    main(sys.argv[1:])
