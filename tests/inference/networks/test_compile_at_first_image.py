"""Blocks that were not warmed up compile when they are first used."""

from collections.abc import Iterator

import pytest
import torch._dynamo

from inference import Engine, GenerationRequest
from inference.networks.compile import compile_blocks, graphs_compiled
from tests.golden import MODELS, relative_error

REQUEST = GenerationRequest("1girl, (smile:1.3)", "worst quality", width=64, height=64, steps=2, seed=7)


@pytest.fixture
def engine() -> Iterator[Engine]:
    torch._dynamo.reset()
    engine = Engine.load(MODELS, device="cpu")
    compile_blocks(engine.transformer, backend="eager")
    yield engine
    torch._dynamo.reset()


def test_the_first_image_compiles_the_blocks_and_is_the_same(engine: Engine) -> None:
    before = graphs_compiled()
    plain = Engine.load(MODELS, device="cpu").generate([REQUEST])[0]
    assert relative_error(engine.generate([REQUEST])[0].latent, plain.latent) < 1e-6
    assert graphs_compiled() > before
