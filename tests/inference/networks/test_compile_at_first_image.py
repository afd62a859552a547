"""Blocks that were not warmed up compile when they are first used."""

from inference import Engine
from inference.networks.compile import graphs_compiled
from tests.golden import MODELS, relative_error
from tests.inference.networks.test_compile import REQUEST, compiled_engine


def test_the_first_image_compiles_the_blocks_and_is_the_same() -> None:
    plain = Engine.load(MODELS, device="cpu").generate([REQUEST])[0]
    with compiled_engine() as engine:
        before = graphs_compiled()
        assert relative_error(engine.generate([REQUEST])[0].latent, plain.latent) < 1e-6
        assert graphs_compiled() > before
