"""How much memory there is, and how much generating is taken to need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inference import Engine, GenerationRequest, devices
from inference.devices import container_memory_left, free_memory
from inference.fast.block_cache import BlockCache
from inference.miniature.commands import MODELS as MINIATURE
from inference.networks.precision import PRECISIONS
from inference.pool.memory import NeededMemory, generating_bytes
from inference.pool.models import DiffusionModels

REQUEST = GenerationRequest("1girl", width=64, height=64, steps=2)
CPU = torch.device("cpu")


def container(folder: Path, limit: str, used: int = 700, files: tuple[int, int] = (100, 50)) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 550\nactive_file {files[0]}\ninactive_file {files[1]}\n")
    return folder


def test_a_container_has_what_is_left_to_its_limit_and_what_it_keeps_of_files(tmp_path: Path) -> None:
    assert container_memory_left(container(tmp_path, "1000")) == 450
    assert container_memory_left(container(tmp_path, "600")) == 50
    assert container_memory_left(container(tmp_path, "300")) == 0


def test_without_a_limit_or_a_container_there_is_no_figure(tmp_path: Path) -> None:
    assert container_memory_left(tmp_path) is None
    assert container_memory_left(container(tmp_path, "max")) is None


def test_free_memory_is_no_more_than_the_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "CONTAINER", container(tmp_path, "1000"))
    assert free_memory(CPU) == 450
    monkeypatch.setattr(devices, "CONTAINER", tmp_path / "none")
    assert free_memory(CPU) > 450


def test_larger_images_batches_and_guidance_need_more_and_tiles_no_more_than_one(engine: Engine) -> None:
    model = DiffusionModels(engine.files, CPU, torch.float32).default

    def needed(*batch: GenerationRequest) -> int:
        return generating_bytes(model, engine.vae, batch, torch.float32)

    plain = replace(REQUEST, cfg_scale=1.0)
    assert needed(plain) < needed(REQUEST) < needed(REQUEST, REQUEST, REQUEST)
    assert needed(plain) < needed(replace(plain, sampler="euler_cfg_pp"))
    large = replace(REQUEST, width=4096, height=4096)
    native = replace(REQUEST, width=model.native.sizes[0][0], height=model.native.sizes[0][1])
    assert needed(replace(large, tiled=True)) == needed(native) < needed(large)
    assert needed(large) >= engine.vae.decoding_bytes(torch.empty(1, 16, 512, 512, device="meta"))


def test_decoding_in_tiles_asks_for_the_memory_of_one_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine.load(MINIATURE, device="cpu", dtype="float32")
    freed: list[int] = []
    monkeypatch.setattr(engine.parts, "to_device", lambda _part, needed=0: freed.append(needed))
    width, height = (2 * side for side in engine.native.sizes[0])
    assert (width, height) == (256, 256)
    engine.generate([replace(REQUEST, width=width, height=height, steps=1, tiled=tiled) for tiled in (False, True)])
    latents = [torch.empty(1, 16, height // scale, width // scale, device="meta") for scale in (8, 16)]
    assert [needed for needed in freed if needed] == [engine.vae.decoding_bytes(latent) for latent in latents]


def test_doctor_counts_memory_as_the_engine_does(engine: Engine) -> None:
    memory = NeededMemory.of(engine.files, PRECISIONS["float32"])
    model = DiffusionModels(engine.files, CPU, torch.float32).default
    batch = [engine.native.request("")]
    assert memory.generating == generating_bytes(model, engine.vae, batch, torch.float32)
    parts = (engine.transformer, engine.text_encoder.qwen, engine.vae)
    loaded = sum(weight.nbytes for part in parts for weight in part.parameters())
    assert loaded <= memory.weights < 2 * loaded, "of the VAE's file, what is for videos is not loaded"
    assert NeededMemory.of(engine.files, PRECISIONS["bfloat16"]).weights == memory.weights // 2


@pytest.mark.parametrize("tiles", [1, 9])
def test_fast_mode_is_counted_with_its_memory_of_every_tile(monkeypatch: pytest.MonkeyPatch, tiles: int) -> None:
    engine = Engine.load(MINIATURE, device="cpu", dtype="float32")
    model = DiffusionModels(engine.files, CPU, torch.float32).default
    side = model.native.sizes[0][0] * (2 if tiles > 1 else 1)
    usual = replace(REQUEST, width=side, height=side, steps=1, tiled=True)
    fast = replace(usual, fast=True)
    caches: list[BlockCache] = []
    monkeypatch.setattr("inference.engine.BlockCache", lambda: caches.append(BlockCache()) or caches[-1])
    engine.generate([fast])
    slots = [slot for cache in caches for slot in cache._slots.values()]
    assert len(slots) == tiles
    monkeypatch.setattr(engine.vae, "decoding_bytes", lambda _latent: 0)
    taken, without = (generating_bytes(model, engine.vae, [request], torch.float32) for request in (fast, usual))
    assert taken - without == sum(slot.first.nbytes + slot.rest.nbytes for slot in slots)
