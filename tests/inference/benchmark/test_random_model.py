"""The model that is measured has the shapes of the released files."""

import json

from inference.benchmark.random_model import transformer_shapes, vae_shapes
from inference.benchmark.workload import FULL_TRANSFORMER, FULL_VAE_WIDTH, vae_params
from tests.golden import FOLDER


def test_the_full_size_is_that_of_the_released_files() -> None:
    released = json.loads((FOLDER / "full_size_keys.json").read_text(encoding="utf-8"))
    transformer, _, vae = ({key: tuple(shape) for key, shape in keys.items()} for keys in released.values())
    assert {f"net.{key}": shape for key, shape in transformer_shapes(FULL_TRANSFORMER).items()} == transformer
    assert vae_shapes(vae_params(FULL_VAE_WIDTH, FULL_TRANSFORMER.latent_channels)) == vae
