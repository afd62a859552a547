"""The engine draws on a device as strict as a Mac's GPU: without float64, and with nothing from another device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from inference import Engine
from inference.devices import choose_precision, largest_batch
from inference.request import SAMPLERS, SCHEDULERS
from inference.sampling import noise
from tests.golden import MODELS
from tests.inference.strict_mps import DEVICE, NAME, MpsTensor, StrictMps, cpu_generators

#: torchsde makes generators on the device for these, which only a build for Macs can.
NOT_PLAYED = {name for name in SAMPLERS if name.endswith("_gpu")}
SOURCE = Image.linear_gradient("L").resize((64, 64)).convert("RGB")


@pytest.fixture(scope="module")
def mps() -> Iterator[Engine]:
    """An engine whose networks are on the device; whoever uses it enters StrictMps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends.mps, "is_available", lambda: True)
        patch.setattr(torch.mps, "synchronize", lambda: None)
        patch.setattr(torch.mps, "empty_cache", lambda: None)
        patch.setattr(noise, "_generator", cpu_generators(noise._generator))
        with StrictMps():
            engine = Engine.load(MODELS, device=NAME)
        assert all(isinstance(weight, MpsTensor) for weight in engine.transformer.parameters())
        yield engine


def both(mps: Engine, cpu: Engine, **settings: Any) -> tuple[Image.Image, Image.Image]:
    """The image as the device draws it, and as the CPU does."""
    request = cpu.native.request("1girl, smile", **{"width": 32, "height": 32, "steps": 2, "seed": 5, **settings})
    with StrictMps() as device:
        [drawn] = mps.generate([request])
    assert device.calls > 100
    [expected] = cpu.generate([request])
    return drawn.image, expected.image


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in NOT_PLAYED])
def test_every_sampler_draws(mps: Engine, sampler: str) -> None:
    with StrictMps():
        mps.generate([mps.native.request("1girl", width=32, height=32, steps=2, seed=5, sampler=sampler)])


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde"])
def test_a_seed_is_the_image_of_the_cpu_with_samplers_that_take_no_noise_from_the_device(
    mps: Engine, engine: Engine, sampler: str
) -> None:
    drawn, expected = both(mps, engine, sampler=sampler)
    assert drawn.tobytes() == expected.tobytes()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_draws(mps: Engine, engine: Engine, scheduler: str) -> None:
    drawn, expected = both(mps, engine, sampler="euler", scheduler=scheduler)
    assert drawn.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"image": SOURCE, "denoise": 0.6},
        {"image": SOURCE, "denoise": 0.8, "mask": SOURCE.convert("L")},
        {"cfg_scale": 1.0, "negative_prompt": "hat", "nag": True},
        {"variation_seed": 6, "variation_strength": 0.3},
        {"fast": True, "steps": 6},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_everything_that_can_be_asked_for_draws(mps: Engine, engine: Engine, settings: dict[str, Any]) -> None:
    drawn, expected = both(mps, engine, sampler="euler", **settings)
    assert drawn.tobytes() == expected.tobytes()


@pytest.mark.parametrize("settings", [{}, {"fast": True, "steps": 6}, {"image": SOURCE, "denoise": 0.5}], ids="-".join)
def test_a_large_image_is_drawn_in_tiles(
    mps: Engine, engine: Engine, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    tiles_of_64 = replace(engine.native, sizes=((64, 64),))
    for each in (mps, engine):
        monkeypatch.setattr(each, "native_of", lambda _model: tiles_of_64)
    drawn, expected = both(mps, engine, sampler="euler", width=160, height=96, tiled=True, **settings)
    assert drawn.tobytes() == expected.tobytes()


def test_a_lora_is_merged_there(mps: Engine, engine: Engine) -> None:
    loras = (("lokr", 0.8),)
    engine.generate([engine.native.request("1girl", width=32, height=32, steps=1, seed=5, loras=loras)])
    # The layers that LoRA files are held against are known now, made outside the stand-in and truly without numbers.
    both(mps, engine, loras=loras)


def test_it_draws_one_image_at_a_time_in_float32() -> None:
    assert largest_batch(DEVICE) == 1
    assert choose_precision("auto", DEVICE, 2048).compute == torch.float32


# The stand-in itself


def test_there_is_no_float64_on_the_device_nor_on_the_way_to_it() -> None:
    with StrictMps():
        here = torch.ones(3, device=NAME)
        for make in (
            here.double,
            lambda: torch.ones(3, dtype=torch.float64).to(DEVICE),
            lambda: torch.ones(3, dtype=torch.float64).to(here),
            lambda: torch.zeros(3, dtype=torch.float64, device=NAME),
            lambda: torch.tensor([1.0], dtype=torch.float64, device=NAME),
            lambda: torch.randn(3, dtype=torch.float64, device=NAME),
        ):
            with pytest.raises(TypeError, match="doesn't support float64"):
                make()


def test_only_scalars_are_combined_across_devices() -> None:
    with StrictMps():
        here, elsewhere = torch.ones(3, device=NAME), torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            here + elsewhere
        assert (here * torch.tensor(2.0) + elsewhere.to(DEVICE)).cpu().tolist() == [3.0, 3.0, 3.0]
        assert (here.device, here.cpu().device.type) == (DEVICE, "cpu")


def test_meta_tensors_stay_meta() -> None:
    with StrictMps():
        assert torch.ones(3).to("meta").is_meta
        assert torch.empty(3, device="meta").is_meta
