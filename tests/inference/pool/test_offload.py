"""ANIMA_OFFLOAD: text encoder and VAE are on the device when they work, and leave it when their memory is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import nn

import inference.pool.offload
from inference import Engine, GenerationRequest, OutOfMemory
from inference.pool.offload import Offloader
from inference.request import Offloading
from tests.golden import MODELS

GPU, CPU = torch.device("cuda"), torch.device("cpu")
REQUEST = GenerationRequest("1girl", width=64, height=64, steps=2, seed=7)


@dataclass
class FakeCard:
    """A device of so many bytes, and where the networks are that were moved."""

    total: int
    taken: int = 0
    moves: list[tuple[str, str]] = field(default_factory=list)

    def free(self) -> int:
        return self.total - self.taken

    def move(self, part: nn.Module, where: torch.device) -> None:
        size = sum(parameter.nbytes for parameter in part.parameters())
        self.taken += size if where == GPU else -size
        if self.taken > self.total:
            self.taken -= size
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.moves.append((type(part).__name__, where.type))


class EncoderStandIn(nn.Linear):
    """400 bytes."""

    def __init__(self) -> None:
        super().__init__(10, 10, bias=False)


class DecoderStandIn(EncoderStandIn):
    """As large."""


@pytest.fixture(autouse=True)
def no_card_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference.pool.offload, "empty_cache", lambda _device: None)


def parts_on(card: FakeCard, mode: Offloading) -> tuple[Offloader, EncoderStandIn, DecoderStandIn]:
    parts = Offloader(mode, GPU, card.free, card.move)
    encoder, decoder = EncoderStandIn(), DecoderStandIn()
    for part in (encoder, decoder):
        where = parts.place_for(400)
        parts.add(part, where)
        card.taken += 400 if where == GPU else 0
    return parts, encoder, decoder


def test_with_room_for_all_nothing_moves() -> None:
    card = FakeCard(2000)
    parts, encoder, decoder = parts_on(card, "auto")
    parts.to_device(encoder)
    parts.make_room(1000)
    parts.to_device(decoder, 1000)
    assert card.taken == 800 and card.moves == []


def test_the_least_recently_used_part_leaves_first_and_only_if_needed() -> None:
    card = FakeCard(1200)
    parts, encoder, decoder = parts_on(card, "auto")
    parts.to_device(encoder)
    parts.make_room(600)
    assert card.moves == [("DecoderStandIn", "cpu")]
    parts.to_device(decoder, 300)
    assert card.moves[1:] == [("DecoderStandIn", "cuda")]
    parts.to_device(decoder, 500)
    assert card.moves[2:] == [("EncoderStandIn", "cpu")]


def test_on_a_tight_card_they_wait_from_the_start_and_come_one_at_a_time() -> None:
    card = FakeCard(700)
    parts, encoder, decoder = parts_on(card, "auto")
    assert card.taken == 400
    parts.to_device(encoder)
    parts.to_device(decoder)
    assert card.taken == 400 and card.moves == [("EncoderStandIn", "cpu"), ("DecoderStandIn", "cuda")]


def test_always_has_each_leave_when_another_works_and_never_has_none() -> None:
    card = FakeCard(10_000)
    parts, encoder, decoder = parts_on(card, "always")
    assert card.taken == 0
    parts.to_device(encoder)
    parts.make_room(0)
    parts.to_device(decoder)
    assert card.moves == [("EncoderStandIn", "cuda"), ("EncoderStandIn", "cpu"), ("DecoderStandIn", "cuda")]
    card = FakeCard(800)
    parts, encoder, decoder = parts_on(card, "never")
    parts.to_device(encoder, 10_000)
    parts.make_room(10_000)
    assert card.taken == 800 and card.moves == [] and not parts.offload_always()


def test_a_part_that_does_not_fit_is_entirely_in_main_memory() -> None:
    card = FakeCard(300)
    parts, encoder, _ = parts_on(card, "auto")
    with pytest.raises(torch.OutOfMemoryError):
        parts.to_device(encoder)
    assert card.moves == [("EncoderStandIn", "cpu")]


def test_after_the_device_ran_out_of_memory_all_leave_and_it_is_news_once() -> None:
    card = FakeCard(2000)
    parts, encoder, _ = parts_on(card, "auto")
    assert parts.offload_always() and not parts.offload_always()
    assert card.taken == 0
    parts.to_device(encoder)
    parts.make_room(0)
    assert card.taken == 0


def test_parts_stay_on_devices_without_memory_of_their_own() -> None:
    parts = Offloader("always", CPU, lambda: 0)
    assert parts.mode == "never" and parts.place_for(1 << 60) == CPU


@pytest.fixture
def tight(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Engine, list[str]]]:
    """The engine as on a card that holds one thing at a time, and what happens there in order."""
    seen: list[str] = []
    parts = Offloader("always", GPU, lambda: 0, lambda part, where: seen.append(f"{type(part).__name__} {where.type}"))
    for part in (engine.text_encoder.qwen, engine.vae):
        parts.add(part, CPU)
    monkeypatch.setattr(engine, "parts", parts)
    engine.text_encoder.forget()
    with engine.transformer.register_forward_pre_hook(lambda _module, _inputs: seen.append("sampling")):
        yield engine, seen


def test_an_image_has_the_encoder_then_the_transformer_then_the_vae(tight: tuple[Engine, list[str]]) -> None:
    engine, seen = tight
    image = engine.generate([REQUEST])[0]
    assert list(dict.fromkeys(seen)) == ["Qwen cuda", "Qwen cpu", "sampling", "Vae cuda"]
    seen.clear()
    engine.generate([replace(REQUEST, image=image.image, denoise=0.5)])
    assert list(dict.fromkeys(seen)) == ["Vae cpu", "sampling", "Vae cuda"]  # the prompts are remembered


def test_when_memory_runs_out_they_leave_before_an_image_is_given_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    parts = Offloader("auto", GPU, lambda: 1 << 60, lambda part, where: moved.append(type(part).__name__))
    for part in (engine.text_encoder.qwen, engine.vae):
        parts.add(part, GPU)
    monkeypatch.setattr(engine, "parts", parts)

    def full(_module: object, _inputs: object) -> None:
        if parts.mode == "auto" or moved == []:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with engine.transformer.register_forward_pre_hook(full):
        image = engine.generate([REQUEST])[0]
    assert set(moved) == {"Qwen", "Vae"}
    monkeypatch.undo()
    assert torch.equal(image.latent, engine.generate([REQUEST])[0].latent)

    def always_full(_module: object, _inputs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with engine.transformer.register_forward_pre_hook(always_full), pytest.raises(OutOfMemory):
        engine.generate([REQUEST])


def test_the_mode_reaches_the_engine_and_a_cpu_keeps_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noted(mode: Offloading, *rest: Any) -> Offloader:
        asked.append(mode)
        return Offloader(mode, *rest)

    monkeypatch.setattr("inference.engine.Offloader", noted)
    assert Engine.load(MODELS, device="cpu", offload="always").parts.mode == "never"
    assert asked == ["always"]
