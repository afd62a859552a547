"""What `anima doctor` says about devices, and which of them the engine takes."""

from inspect import signature
from pathlib import Path

import pytest
import torch
from pydantic import SecretStr

import bot.app
import inference.networks.compile as compiling
from bot.cli.doctor import _devices
from bot.ops.errors import StartupError
from bot.ops.settings import Settings
from inference.devices import DeviceReport, examine_device, gpu_warnings, why_no_cuda
from inference.networks.precision import PRECISIONS
from inference.process import load_engine

FAULT = "The NVIDIA driver on your system is too old (found version 11040)"


def test_the_cpu_is_described() -> None:
    report = examine_device("cpu", "auto", 0)
    assert (report.device, report.dtype) == ("cpu", "float32")
    assert report.threads == torch.get_num_threads()
    assert 0 < report.free_bytes <= report.total_bytes


def test_a_device_or_dtype_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no device 'toaster'"):
        examine_device("toaster", "auto", 0)
    with pytest.raises(ValueError, match="dtype is 'int4'"):
        examine_device("cpu", "int4", 0)


@pytest.mark.parametrize(
    ("driver", "cuda", "fault", "advice"),
    [
        (False, None, "no CUDA", None),
        (False, "13.0", "no driver", None),
        (True, "13.0", None, None),
        (True, None, "no CUDA", "install its CUDA build"),
        (True, "13.0", FAULT, "too old"),
    ],
)
def test_an_unused_gpu_is_explained(driver: bool, cuda: str | None, fault: str | None, advice: str) -> None:
    sentence = why_no_cuda(driver, cuda, fault)
    assert sentence is None if advice is None else sentence is not None and advice in sentence


async def test_the_bot_wants_the_gpu_that_is_there_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the sandbox does not: the miniature is quick enough on the CPU."""
    settings = Settings.read(_env_file=None, anima_models=tmp_path, database_url=f"sqlite:///{tmp_path}/anima.db")
    for needs_gpu in (True, False):
        [process] = (await bot.app.engines_of(settings, needs_gpu)).values()
        load = process._load.args[1]  # type: ignore[attr-defined]
        assert signature(load_engine).bind(*load.args, **load.keywords).arguments["needs_gpu"] is needs_gpu
    asked: list[bool] = []

    async def engines(_settings: Settings, needs_gpu: bool = False) -> None:
        asked.append(needs_gpu)
        raise StartupError("no engine")

    monkeypatch.setattr(bot.app, "engines_of", engines)
    with pytest.raises(StartupError, match="no engine"):
        await bot.app.run(settings.model_copy(update={"discord_token": SecretStr("token")}))
    with pytest.raises(StartupError, match="no engine"):
        async with bot.app.open_client(settings):
            pass
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("capability", "architectures", "fits"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 9), ["sm_80", "sm_90"], True),
        ((9, 0), ["sm_90a"], True),
        ((6, 1), ["sm_75", "sm_80"], False),
        ((12, 0), ["sm_80", "sm_90"], False),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((8, 0), ["compute_90"], False),
    ],
)
def test_missing_kernels_for_the_gpu_are_a_warning(
    capability: tuple[int, int], architectures: list[str], fits: bool
) -> None:
    assert any("no kernels" in sentence for sentence in gpu_warnings(capability, architectures, "float32")) != fits


def test_slow_bfloat16_is_a_warning_if_it_is_used() -> None:
    assert "leave ANIMA_DTYPE out" in gpu_warnings((7, 5), ["sm_75"], "bfloat16")[0]
    assert gpu_warnings((7, 5), ["sm_75"], "float32") == gpu_warnings((8, 0), ["sm_80"], "bfloat16") == []


def test_doctor_says_that_blocks_are_not_compiled_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = DeviceReport("cuda:0", "RTX", PRECISIONS["bfloat16"], 8, 1 << 34, 1 << 34, ())
    monkeypatch.setattr(compiling, "has_triton", lambda: False)
    assert any(result.mark == "warning" and "no triton" in result.text for result in _devices({"cuda:0": gpu}))
    monkeypatch.setattr(compiling, "has_triton", lambda: True)
    assert not any("triton" in result.text for result in _devices({"cuda:0": gpu}))


def test_doctor_says_where_compiled_code_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiling, "has_triton", lambda: True)
    (tmp_path / "file").touch()
    for home, is_said in ((tmp_path, False), (tmp_path / "file", True)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        for device in ("cuda:0", "cpu"):
            report = DeviceReport(device, "RTX", PRECISIONS["bfloat16"], 8, 1 << 34, 1 << 34, ())
            said = any(f"{home} cannot be written" in result.text for result in _devices({device: report}))
            assert said == (is_said and device == "cuda:0")
