"""The blocks are compiled once, whatever is drawn. Told by PyTorch's own count of graphs, with its plainest backend."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread

import pytest
import torch
import torch._dynamo

from inference import Engine, GenerationRequest
from inference.networks.compile import compile_blocks, graphs_compiled, warm_up
from tests.golden import MODELS, relative_error

REQUEST = GenerationRequest("1girl, (smile:1.3)", "worst quality", width=64, height=64, steps=2, seed=7)

pytestmark = pytest.mark.xdist_group("compiled blocks")  # compiled once, by one worker


@contextmanager
def compiled_engine() -> Iterator[Engine]:
    torch._dynamo.reset()
    engine = Engine.load(MODELS, device="cpu")
    compile_blocks(engine.transformer, backend="eager")
    yield engine
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Compiled in another thread, as the sizes' being dynamic is a setting that belongs to a thread."""
    with compiled_engine() as engine:
        thread = Thread(target=warm, args=(engine,))
        thread.start()
        thread.join()
        yield engine


@torch.inference_mode()
def warm(engine: Engine) -> None:
    # 64x64 pixels are 16 tokens, and a position turns 16 pairs of a head's features
    warm_up(engine.transformer, engine.text_encoder.context("", engine.transformer.llm_adapter))


@pytest.fixture(scope="module")
def warmed(engine: Engine) -> int:
    """The graphs of that; no test may add to them."""
    compiled = graphs_compiled()
    assert compiled > 0
    return compiled


def test_compiled_blocks_draw_the_same_picture(engine: Engine, warmed: int) -> None:
    plain = Engine.load(MODELS, device="cpu").generate([REQUEST])[0]
    assert relative_error(engine.generate([REQUEST])[0].latent, plain.latent) < 1e-6
    assert graphs_compiled() == warmed


def test_sizes_that_were_equal_by_chance_are_not_taken_to_be_equal_for_ever(engine: Engine, warmed: int) -> None:
    for request in (REQUEST, replace(REQUEST, width=96), replace(REQUEST, prompt="hat, " * 50)):
        engine.generate([request, replace(request, seed=8)])
        for nag in (True, False):
            engine.generate([replace(request, cfg_scale=1.0, nag=nag)])
        engine.generate([replace(request, cfg_scale=1.0), replace(request, cfg_scale=1.0, seed=8)])
    assert graphs_compiled() == warmed


def test_sizes_stay_dynamic_in_another_thread(engine: Engine, warmed: int) -> None:
    engine.generate([replace(REQUEST, width=96)])
    assert graphs_compiled() == warmed


def test_another_model_of_the_same_sizes_compiles_nothing_again(engine: Engine, warmed: int) -> None:
    other = Engine.load(MODELS, device="cpu")
    compile_blocks(other.transformer, backend="eager")
    for each in (other, engine):
        each.generate([REQUEST, replace(REQUEST, seed=8)])
        each.generate([replace(REQUEST, cfg_scale=1.0)])
    assert graphs_compiled() == warmed


def test_a_model_that_left_the_device_and_came_back_compiles_nothing_again(engine: Engine, warmed: int) -> None:
    weights = {name: weight.data.clone() for name, weight in engine.transformer.named_parameters()}
    for name, weight in engine.transformer.named_parameters():
        weight.data = weights[name]  # as `Module.to` does for another device
    engine.generate([REQUEST])
    assert graphs_compiled() == warmed


def test_a_lora_compiles_nothing_again(engine: Engine, warmed: int) -> None:
    for loras in ((("lokr", 1.0),), (("low_rank_comfyui", 0.5),), ()):
        engine.generate([replace(REQUEST, loras=loras)])
    assert graphs_compiled() == warmed
