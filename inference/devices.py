"""Which device generates the images, and why a GPU is not used, for `anima doctor`."""

from __future__ import annotations

import platform
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from inference.engine import choose_device, choose_dtype

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
FIRST_WITH_FAST_BFLOAT16 = (8, 0)


@dataclass(frozen=True)
class DeviceReport:
    """free_bytes, total_bytes: of the GPU's memory, or of the machine's on the CPU."""

    device: str
    name: str
    dtype: str
    threads: int
    free_bytes: int
    total_bytes: int
    warnings: tuple[str, ...]


def examine_device(device: str = "auto", dtype: str = "auto") -> DeviceReport:
    """Look at the device that the engine would use. Raises ValueError for a device or dtype there is not."""
    unused = unused_gpu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unused_gpu says what PyTorch would warn of
        chosen = choose_device(device)
    name_of_dtype = str(choose_dtype(dtype, chosen)).removeprefix("torch.")
    if chosen.type != "cuda":
        memory = psutil.virtual_memory()
        return DeviceReport(
            str(chosen),
            platform.processor() or platform.machine(),
            name_of_dtype,
            torch.get_num_threads(),
            memory.available,
            memory.total,
            (unused or "No GPU is used: Anima at full size takes very long to draw on a CPU.",),
        )
    free, total = torch.cuda.mem_get_info(chosen)
    capability = torch.cuda.get_device_capability(chosen)
    return DeviceReport(
        str(chosen),
        torch.cuda.get_device_name(chosen),
        name_of_dtype,
        torch.get_num_threads(),
        free,
        total,
        tuple(gpu_warnings(capability, torch.cuda.get_arch_list(), name_of_dtype)),
    )


def pytorch() -> str:
    """PyTorch's version and what it was built for."""
    return f"{torch.__version__}, built for {f'CUDA {torch.version.cuda}' if torch.version.cuda else 'the CPU alone'}"


def unused_gpu() -> str | None:
    """Why PyTorch does not see the GPU of a machine that has one; None if it does, or there is none."""
    driver = NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi") is not None
    return why_no_cuda(driver, torch.version.cuda, _cuda_fault())


def why_no_cuda(driver: bool, cuda: str | None, fault: str | None) -> str | None:
    """`driver`: an NVIDIA driver is installed. `cuda`: what PyTorch was built for. `fault`: what CUDA says."""
    if not driver or (cuda is not None and fault is None):
        return None
    if cuda is None:
        return (
            "This machine has an NVIDIA driver, but PyTorch was installed for the CPU alone: install its CUDA build, "
            "see https://pytorch.org/get-started/locally."
        )
    return (
        f"This machine has an NVIDIA driver, but PyTorch, built for CUDA {cuda}, cannot use it ({fault}): update the "
        "driver, or install PyTorch for an older CUDA; in a container, hand the GPU in (`--gpus all`)."
    )


def gpu_warnings(capability: tuple[int, int], architectures: Sequence[str], dtype: str) -> list[str]:
    """`capability` of the GPU, as (9, 0); `architectures` that PyTorch has kernels for, as sm_90 or compute_120."""
    found = []
    version = f"{capability[0]}.{capability[1]}"
    if not any(_runs_on(architecture, capability) for architecture in architectures):
        found.append(
            f"PyTorch has no kernels for this GPU (compute capability {version}; it has {', '.join(architectures)}): "
            "install a version of PyTorch that has."
        )
    if dtype == "bfloat16" and capability < FIRST_WITH_FAST_BFLOAT16:
        found.append(f"A GPU of compute capability {version} is slow in bfloat16: try ANIMA_DTYPE=float32.")
    return found


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Binaries (sm) run on later minor versions of their GPU; PTX (compute) is compiled for any later one.

    CUDA C++ Programming Guide, sections Binary Compatibility and PTX Compatibility.
    """
    kind, _, digits = architecture.partition("_")
    digits = "".join(digit for digit in digits if digit.isdecimal())
    built = int(digits[:-1]), int(digits[-1])
    return built <= capability and (kind == "compute" or built[0] == capability[0])


def _cuda_fault() -> str | None:
    """What CUDA says when it is started; None if it starts."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0].rstrip(".")
    return None
