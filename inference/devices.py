"""Chooses the device, reads its memory, and explains why a GPU is not used."""

from __future__ import annotations

import platform
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from inference.networks.precision import PRECISIONS, Precision
from inference.request import DTYPES, GpuMemory

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
#: The folder with a container's memory limits (cgroup v2).
CONTAINER = Path("/sys/fs/cgroup")
#: The device types that the engine supports. PyTorch calls ROCm's GPUs cuda too.
KINDS = ("cpu", "cuda", "mps", "xpu")
#: Parts of the messages of RuntimeErrors about too little memory, in lower case.
OUT_OF_MEMORY = (
    "out of memory",
    "defaultcpuallocator",
    "out_of_device_memory",
    "out_of_host_memory",
    "out_of_resources",
)
#: The warning for untested devices.
UNTRIED = "Nobody has tried this kind of GPU with the bot yet: compare some images with those of ANIMA_DEVICE=cpu."
#: The most images that MPS generates at once: a tensor of over 4 GiB crashes the process (pytorch/pytorch#149261), and
#: the attention scores of two guided images of 1024x1024 in float32 have that size.
MAX_MPS_BATCH = 1
#: The transformer's width from which bfloat16 measured faster on a processor with AMX. Anima has 2048.
WIDE = 1024
FIRST_WITH_FAST_BFLOAT16 = (8, 0)
FIRST_WITH_FAST_FLOAT16 = (7, 0)


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is CUDA (or ROCm) if available, else the CPU. Raises ValueError.

    MPS and XPU are used only on request: nobody has tried them yet.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(
            f'There is no device {name!r}: it is "auto", "cpu", "cuda", "cuda:1", "mps" or "xpu".'
        ) from None
    if device.type not in KINDS:
        raise ValueError(f'There is no device {name!r}: it is "auto", "cpu", "cuda", "cuda:1", "mps" or "xpu".')
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(
            f"There is no device {name!r}: PyTorch {torch.__version__} finds no Apple GPU here; that needs "
            "macOS 14 on Apple silicon. Use device cpu."
        )
    if device.type == "xpu" and (device.index or 0) >= torch.xpu.device_count():
        raise ValueError(
            f"There is no device {name!r}: this machine shows {torch.xpu.device_count()} XPU devices to PyTorch "
            f"{torch.__version__}. Use device cpu, or install PyTorch's build for Intel GPUs."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"There is no device {name!r}: this machine shows {torch.cuda.device_count()} CUDA devices to PyTorch "
            f"{torch.__version__}. Use device cpu, or fix the driver (see `anima doctor`)."
        )
    return device


def choose_precision(name: str, device: torch.device, width: int) -> Precision:
    """The precision that `name` means on a device. Raises ValueError.

    width: of the transformer; on processors with AMX, small models are no faster in bfloat16. NVIDIA GPUs before Ampere
    compute bfloat16 by way of float32, and those before Volta are slow in float16 too.
    """
    fastest = torch.bfloat16
    if device.type == "cuda" and torch.version.hip is None:
        capability = torch.cuda.get_device_capability(device)
        if capability < FIRST_WITH_FAST_BFLOAT16:
            fastest = torch.float16 if capability >= FIRST_WITH_FAST_FLOAT16 else torch.float32
    if name == "auto":
        if device.type == "cpu" and width >= WIDE and has_amx():
            return Precision(torch.bfloat16)
        return Precision(fastest if device.type == "cuda" else torch.float32)
    if name not in PRECISIONS:
        raise ValueError(f"dtype is {name!r}, but must be one of: {', '.join(DTYPES)}.")
    return Precision(fastest, float8=True) if PRECISIONS[name].float8 else PRECISIONS[name]


def has_amx() -> bool:
    """Whether this processor can multiply matrices in bfloat16 (Intel's AMX) and the system lets programs use it."""
    has: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(has.get("amx_tile") and has.get("amx_bf16"))


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated: on CUDA including PyTorch's unused cache; elsewhere those of main memory."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    available = psutil.virtual_memory().available
    left = container_memory_left(CONTAINER)
    return int(available if left is None else min(available, left))


def largest_batch(device: torch.device) -> int | None:
    """How many images `device` may generate at once; None where only its memory limits that."""
    return MAX_MPS_BATCH if device.type == "mps" else None


def is_out_of_memory(error: Exception) -> bool:
    """Whether `error` is PyTorch's report that a device ran out of memory.

    CUDA has a class for it. MPS ("MPS backend out of memory"), the CPU, Level Zero and SYCL (XPU) raise a RuntimeError,
    each with its own message.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in OUT_OF_MEMORY)


def empty_cache(device: torch.device) -> None:
    """Free the GPU memory that PyTorch caches."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    elif device.type == "xpu":
        torch.xpu.synchronize(device)


def container_memory_left(folder: Path) -> int | None:
    """Bytes left until a container's memory limit; None if there is no limit or it cannot be read.

    Cached files count as free, because the system drops them when memory is needed.
    """
    try:
        limit = int((folder / "memory.max").read_text())  # "max" where there is none
        used = int((folder / "memory.current").read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        files = sum(int(line.split()[1]) for line in lines if line.startswith(("active_file ", "inactive_file ")))
    except (OSError, ValueError, IndexError):
        return None
    return max(0, limit - used + files)


@dataclass(frozen=True)
class DeviceReport:
    """free_bytes, total_bytes: of the GPU's memory, or of main memory if the device is not a CUDA GPU."""

    device: str
    name: str
    precision: Precision
    threads: int
    free_bytes: int
    total_bytes: int
    warnings: tuple[str, ...]

    @property
    def dtype(self) -> str:
        """A name that ANIMA_DTYPE accepts."""
        return self.precision.name


def examine_device(device: str, dtype: str, width: int) -> DeviceReport:
    """Examine the device that the engine would use. Raises ValueError for an unknown device or dtype.

    width: of the transformer, see `choose_precision`.
    """
    unused = unused_gpu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `unused_gpu` already explains what PyTorch would warn about
        chosen = choose_device(device)
    precision = choose_precision(dtype, chosen, width)
    if chosen.type != "cuda":
        memory = psutil.virtual_memory()
        return DeviceReport(
            str(chosen),
            platform.processor() or platform.machine(),
            precision,
            torch.get_num_threads(),
            memory.available,
            memory.total,
            (_why_slow(chosen, unused),),
        )
    free, total = torch.cuda.mem_get_info(chosen)
    capability = torch.cuda.get_device_capability(chosen)
    return DeviceReport(
        str(chosen),
        torch.cuda.get_device_name(chosen),
        precision,
        torch.get_num_threads(),
        free,
        total,
        tuple(gpu_warnings(capability, torch.cuda.get_arch_list(), precision.name)),
    )


def _why_slow(device: torch.device, unused: str | None) -> str:
    if device.type in ("mps", "xpu"):
        return UNTRIED
    if torch.backends.mps.is_available():
        return "This Mac's GPU is not used. ANIMA_DEVICE=mps uses it, which nobody has tried with the bot yet."
    return unused or "No GPU is used: full-size Anima is very slow on a CPU."


def pytorch() -> str:
    """PyTorch's version and what it was built for."""
    if torch.version.cuda:
        built_for = f"CUDA {torch.version.cuda}"
    elif torch.version.hip:
        built_for = f"ROCm {torch.version.hip}"
    elif torch.backends.mps.is_built():
        built_for = "the CPU and MPS"
    elif torch.xpu._is_compiled():
        built_for = "the CPU and XPU"
    else:
        built_for = "the CPU alone"
    return f"{torch.__version__}, built for {built_for}"


def gpu_without_build() -> str | None:
    """A sentence if PyTorch was installed for the CPU alone on a machine with an NVIDIA card; else None."""
    return None if torch.version.cuda is not None else unused_gpu()


def unused_gpu() -> str | None:
    """Why PyTorch does not see the GPU of a machine that has one; None if it does, or there is none."""
    driver = NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi") is not None
    if torch.version.hip is not None or torch.xpu.is_available():
        return None  # PyTorch was installed for another kind of GPU
    return why_no_cuda(driver, torch.version.cuda, _cuda_fault())


def why_no_cuda(driver: bool, cuda: str | None, fault: str | None) -> str | None:
    """`driver`: an NVIDIA driver is installed. `cuda`: the version PyTorch was built for. `fault`: CUDA's error."""
    if not driver or (cuda is not None and fault is None):
        return None
    if cuda is None:
        return (
            "This machine has an NVIDIA driver, but PyTorch was installed for the CPU alone: install its CUDA build, "
            "see https://pytorch.org/get-started/locally."
        )
    return (
        f"This machine has an NVIDIA driver, but PyTorch, built for CUDA {cuda}, cannot use it ({fault}): update the "
        "driver, or install PyTorch for an older CUDA; in a container, pass the GPU in (`--gpus all`)."
    )


def gpu_warnings(capability: tuple[int, int], architectures: Sequence[str], dtype: str) -> list[str]:
    """`capability`: of the GPU, such as (9, 0). `architectures`: PyTorch's kernels, such as sm_90 or compute_120."""
    found = []
    version = f"{capability[0]}.{capability[1]}"
    if not any(_runs_on(architecture, capability) for architecture in architectures):
        found.append(
            f"PyTorch has no kernels for this GPU (compute capability {version}; it has {', '.join(architectures)}): "
            "install a version of PyTorch that has."
        )
    if dtype == "bfloat16" and capability < FIRST_WITH_FAST_BFLOAT16:
        found.append(f"A GPU of compute capability {version} is slow in bfloat16: leave ANIMA_DTYPE out.")
    return found


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Whether a kernel runs on a GPU: binaries (sm) on the same major version, PTX (compute) on any later GPU.

    CUDA C++ Programming Guide, sections Binary Compatibility and PTX Compatibility.
    """
    kind, _, digits = architecture.partition("_")
    digits = "".join(digit for digit in digits if digit.isdecimal())
    built = int(digits[:-1]), int(digits[-1])
    return built <= capability and (kind == "compute" or built[0] == capability[0])


def _cuda_fault() -> str | None:
    """CUDA's error when it is initialized; None if that works."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0].rstrip(".")
    return None


class BatchMeter:
    """Measures the time and GPU memory that one batch takes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last = time.perf_counter()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def lap(self) -> float:
        """Wait for the device to finish its work. Returns the seconds since the last lap."""
        synchronize(self._device)
        last, self._last = self._last, time.perf_counter()
        return self._last - last

    def gpu_memory(self) -> GpuMemory | None:
        if self._device.type != "cuda":
            return None
        total = torch.cuda.get_device_properties(self._device).total_memory
        return GpuMemory(torch.cuda.max_memory_allocated(self._device), total)
