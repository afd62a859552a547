"""Devices other than CUDA and the CPU, whose errors and limits differ; and a PyTorch that does not fit its machine."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from PIL import Image

import inference.devices
import inference.engine
from inference import Engine, GenerationRequest, OutOfMemory
from inference.devices import (
    BatchMeter,
    choose_device,
    choose_precision,
    empty_cache,
    examine_device,
    gpu_without_build,
    is_out_of_memory,
    largest_batch,
    pytorch,
)
from inference.process import EngineFailed, load_engine
from tests.golden import MODELS, relative_error

REQUEST = GenerationRequest("1girl", width=64, height=64, steps=2, seed=7)

#: As PyTorch and what is below it word them.
FULL = (
    "MPS backend out of memory (MPS allocated: 17.70 GB, other allocations: 384.00 KB, max allowed: 18.13 GB). Tried "
    "to allocate 1024.00 MB on private pool.",
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 "
    "bytes. Error code 12 (Cannot allocate memory)",
    "Native API failed. Native API returns: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
    "level_zero backend failed with error: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)",
)


@pytest.mark.parametrize("text", FULL)
def test_a_device_that_is_full_is_recognised_by_its_words(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))


def test_no_other_error_counts_as_a_full_device() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("text", FULL)
def test_a_batch_too_large_for_such_a_device_is_generated_in_halves(engine: Engine, text: str) -> None:
    requests = [replace(REQUEST, seed=seed) for seed in range(3)]
    wanted = engine.generate(requests)

    def too_many(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > 2:
            raise RuntimeError(text)

    with engine.transformer.register_forward_pre_hook(too_many):
        got = engine.generate(requests)
    for one, other in zip(got, wanted, strict=True):
        assert relative_error(one.latent, other.latent) < 1e-4


def test_one_image_too_large_for_it_is_explained_and_other_errors_are_unchanged(engine: Engine) -> None:
    def fail(text: str) -> None:
        def hook(*_: object) -> None:
            raise RuntimeError(text)

        with engine.transformer.register_forward_pre_hook(hook):
            engine.generate([REQUEST])

    with pytest.raises(OutOfMemory, match="does not have enough memory for this picture"):
        fail(FULL[0])
    with pytest.raises(RuntimeError, match="the driver crashed"):
        fail("the driver crashed")


class FullAtFirst:
    """A network's call that finds the memory full the first time."""

    def __init__(self, call: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.call = call
        self.count = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.count += 1
        if self.count == 1:
            raise RuntimeError(FULL[0])
        return self.call(images)


def test_an_image_that_it_cannot_decode_whole_is_decoded_in_tiles(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = FullAtFirst(engine.vae.decode)
    monkeypatch.setattr(engine.vae, "decode", decode)
    assert engine.generate([REQUEST])
    assert decode.count == 2


def test_an_image_that_it_cannot_encode_whole_is_encoded_in_tiles(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = FullAtFirst(engine.vae.encode)
    monkeypatch.setattr(engine.vae, "encode", encode)
    assert engine.generate([replace(REQUEST, image=Image.new("RGB", (64, 64)), denoise=0.5)])
    assert encode.count == 2


def test_mps_generates_one_image_at_a_time_and_each_is_the_one_of_a_batch(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert largest_batch(torch.device("mps")) == 1
    assert largest_batch(torch.device("cuda")) is largest_batch(torch.device("cpu")) is None
    requests = [replace(REQUEST, seed=seed) for seed in range(3)]
    wanted = engine.generate(requests)
    rows: list[int] = []
    monkeypatch.setattr(inference.engine, "largest_batch", lambda _device: 1)
    with engine.transformer.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0]))):
        got = engine.generate(requests)
    assert set(rows) == {2}  # the prompt and the negative prompt
    assert [image.seed for image in got] == [0, 1, 2]
    for one, other in zip(got, wanted, strict=True):
        assert relative_error(one.latent, other.latent) < 1e-4


def test_auto_is_never_a_device_that_nobody_has_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 1)
    assert choose_device("auto").type == "cpu"
    assert [choose_device(name).type for name in ("mps", "xpu")] == ["mps", "xpu"]
    assert choose_precision("auto", torch.device("mps"), 2048).compute == torch.float32


def test_devices_that_are_not_there_or_not_known_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 1)
    for name in ("mps", "xpu:1", "meta", "vulkan"):
        with pytest.raises(ValueError, match=f"There is no device '{name}'"):
            choose_device(name)


def test_untried_devices_are_called_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert "ANIMA_DEVICE=mps" in examine_device("cpu", "auto", 0).warnings[0]
    assert "Nobody has tried" in examine_device("mps", "auto", 0).warnings[0]


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_their_memory_is_given_back_and_their_work_waited_for(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    calls: list[str] = []
    module = getattr(torch, kind)
    monkeypatch.setattr(module, "empty_cache", lambda: calls.append("empty"))
    monkeypatch.setattr(module, "synchronize", lambda *_: calls.append("wait"))
    empty_cache(torch.device(kind))
    BatchMeter(torch.device(kind)).lap()
    assert calls == ["empty", "wait"]


@pytest.mark.parametrize(
    ("cuda", "hip", "mps", "built_for"),
    [
        ("13.0", None, False, "CUDA 13.0"),
        (None, "7.1", False, "ROCm 7.1"),
        (None, None, True, "the CPU and MPS"),
        (None, None, False, "the CPU alone"),
    ],
)
def test_what_pytorch_was_built_for_is_said(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, hip: str | None, mps: bool, built_for: str
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: mps)
    monkeypatch.setattr(torch.xpu, "_is_compiled", lambda: False)
    assert pytorch() == f"{torch.__version__}, built for {built_for}"


@pytest.fixture
def cpu_build_beside_an_nvidia_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(inference.devices.shutil, "which", lambda name: f"C:\\Windows\\System32\\{name}.exe")


@pytest.mark.usefixtures("cpu_build_beside_an_nvidia_card")
def test_a_cpu_build_beside_an_nvidia_card_is_refused_with_doctors_sentence() -> None:
    sentence = examine_device("auto", "auto", 0).warnings[0]
    assert "install its CUDA build" in sentence
    with pytest.raises(EngineFailed) as refused:
        load_engine(str(MODELS), "auto", "auto", None, needs_gpu=True)
    assert str(refused.value).startswith(sentence) and "ANIMA_DEVICE=cpu" in str(refused.value)


@pytest.mark.usefixtures("cpu_build_beside_an_nvidia_card")
def test_it_is_used_where_the_cpu_is_asked_for_and_in_the_sandbox() -> None:
    assert load_engine(str(MODELS), "cpu", "auto", None, needs_gpu=True).name == "anima-tiny"
    assert load_engine(str(MODELS), "auto", "auto", None).name == "anima-tiny"


def test_a_cuda_build_that_cannot_use_the_card_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inference.devices, "gpu_without_build", lambda: None)
    monkeypatch.setattr(inference.devices, "unused_gpu", lambda: "The driver is too old.")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.WARNING):
        load_engine(str(MODELS), "auto", "auto", None, needs_gpu=True)
    assert "The driver is too old." in caplog.text


def test_a_build_for_rocm_beside_an_nvidia_card_is_no_cpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", "7.1")
    monkeypatch.setattr(inference.devices.shutil, "which", lambda _name: "/usr/bin/nvidia-smi")
    assert gpu_without_build() is None


@pytest.mark.parametrize(
    ("has", "width", "auto"),
    [
        ({"amx_tile": True, "amx_bf16": True, "avx512_bf16": True}, 2048, "bfloat16"),
        ({"amx_tile": True, "amx_bf16": True, "avx512_bf16": True}, 256, "float32"),
        ({"amx_tile": False, "amx_bf16": True}, 2048, "float32"),  # the system does not let programs use it
        ({"amx_tile": False, "amx_bf16": False, "avx512_bf16": True}, 2048, "float32"),
        ({}, 2048, "float32"),
    ],
)
def test_a_processor_draws_wide_models_in_bfloat16_where_it_has_a_unit_for_that(
    monkeypatch: pytest.MonkeyPatch, has: dict[str, bool], width: int, auto: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert choose_precision("auto", torch.device("cpu"), width).name == auto
    assert choose_precision("float32", torch.device("cpu"), width).name == "float32"


def test_the_number_format_is_chosen_by_the_models_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_tile": True, "amx_bf16": True})
    assert Engine.load(MODELS, device="cpu").dtype == torch.float32, "the golden checkpoint is narrow"
    monkeypatch.setattr(inference.devices, "WIDE", 1)
    assert Engine.load(MODELS, device="cpu").dtype == torch.bfloat16
