"""Describes the machine and the software versions of a run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

CPUINFO = Path("/proc/cpuinfo")
ASK_DRIVER = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
#: Packages that affect the figures.
PACKAGES = ("torch", "triton", "diffusers")


@dataclass(frozen=True)
class BenchmarkMachine:
    """cores: those this process may use. load: the load average of the last minute; None on Windows."""

    processor: str
    instructions: str
    cores: int
    threads: int
    memory_bytes: int
    system: str
    gpu: BenchmarkGpu | None
    load: float | None
    #: Of Python, of PACKAGES that are installed, and of CUDA or ROCm.
    versions: Mapping[str, str]

    def __str__(self) -> str:
        lines = [
            f"{self.processor}, {self.instructions}, {self.cores} cores, {self.threads} threads, "
            f"{self.memory_bytes / 2**30:.1f} GiB, {self.system}"
        ]
        if self.gpu is not None:
            lines.append(str(self.gpu))
        lines.append(", ".join(f"{name} {number}" for name, number in self.versions.items()))
        if self.load is not None:
            lines.append(f"load average at the start: {self.load:.1f}")
        return "\n".join(lines)


@dataclass(frozen=True)
class BenchmarkGpu:
    """capability: CUDA's compute capability, such as "9.0". driver: NVIDIA's version; None if unknown."""

    name: str
    memory_bytes: int
    capability: str
    driver: str | None

    def __str__(self) -> str:
        driver = "" if self.driver is None else f", driver {self.driver}"
        return f"{self.name}, {self.memory_bytes / 2**30:.1f} GiB, compute capability {self.capability}{driver}"


def examine_machine(device: torch.device) -> BenchmarkMachine:
    """Describe this machine, and `device` if it is a GPU."""
    return BenchmarkMachine(
        processor=_processor(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        cores=len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()}",
        gpu=_gpu(device) if device.type == "cuda" else None,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        versions=_versions(),
    )


def _processor() -> str:
    """The processor's name; on Linux, `platform` does not know it."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu(device: torch.device) -> BenchmarkGpu:
    found = torch.cuda.get_device_properties(device)
    return BenchmarkGpu(found.name, found.total_memory, f"{found.major}.{found.minor}", _driver())


def _driver() -> str | None:
    if shutil.which(ASK_DRIVER[0]) is None:
        return None
    try:
        answer = subprocess.run(ASK_DRIVER, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.partition("\n")[0].strip() or None


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if torch.version.cuda:
        found["CUDA"] = torch.version.cuda
    if torch.version.hip:
        found["ROCm"] = torch.version.hip
    return found
