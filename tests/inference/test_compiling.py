"""The blocks are compiled once, whatever is drawn. Told by PyTorch's own count of graphs, with its plainest backend."""

from collections.abc import Iterator
from dataclasses import replace
from threading import Thread

import pytest
import torch
import torch._dynamo.utils

from inference import Engine, GenerationRequest
from inference.compiling import compile_blocks
from tests.golden import MODELS, relative_error

REQUEST = GenerationRequest("1girl, (smile:1.3)", "worst quality", width=64, height=64, steps=2, seed=7)


@pytest.fixture
def engine() -> Iterator[Engine]:
    torch._dynamo.reset()
    engine = Engine.load(MODELS, device="cpu")
    compile_blocks(engine.transformer, backend="eager")
    yield engine
    torch._dynamo.reset()


def graphs() -> int:
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def warm_up(engine: Engine) -> None:
    for cfg_scale in (4.0, 1.0):
        engine.generate([replace(REQUEST, steps=1, cfg_scale=cfg_scale)])


def test_compiled_blocks_draw_the_same_picture(engine: Engine) -> None:
    plain = Engine.load(MODELS, device="cpu").generate([REQUEST])[0]
    assert relative_error(engine.generate([REQUEST])[0].latent, plain.latent) < 1e-6


def test_sizes_that_were_equal_by_chance_are_not_taken_to_be_equal_for_ever(engine: Engine) -> None:
    warm_up(engine)  # 64x64 pixels are 16 tokens, and a position turns 16 pairs of a head's features
    compiled = graphs()
    for request in (REQUEST, replace(REQUEST, width=96), replace(REQUEST, prompt="hat, " * 50)):
        engine.generate([request, replace(request, seed=8)])
        engine.generate([replace(request, cfg_scale=1.0)])
    assert graphs() == compiled


def test_that_holds_in_another_thread_than_the_one_that_loaded(engine: Engine) -> None:
    thread = Thread(target=warm_up, args=(engine,))
    thread.start()
    thread.join()
    compiled = graphs()
    assert compiled > 0
    engine.generate([replace(REQUEST, width=96)])
    assert graphs() == compiled


def test_a_lora_compiles_nothing_again(engine: Engine) -> None:
    warm_up(engine)
    compiled = graphs()
    for loras in ((("lokr", 1.0),), (("low_rank_comfyui", 0.5),), ()):
        engine.generate([replace(REQUEST, loras=loras)])
    assert graphs() == compiled
