"""The transformer at full size, and the arithmetic of its context."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inference.networks.params import TransformerParams
from inference.networks.transformer import (
    CONTEXT_LENGTH,
    Patchify,
    Transformer,
    _zero_row_biases,
    apply_nag,
    image_rotation,
    pad_texts,
    unpatchify,
)
from tests.golden import FULL_SIZE_KEYS

SHAPES = {
    key.removeprefix("net."): shape
    for key, shape in FULL_SIZE_KEYS["diffusion_models/anima-base-v1.0.safetensors"].items()
}


def test_the_full_size_transformer_is_built_from_its_shapes_alone() -> None:
    with torch.device("meta"):
        transformer = Transformer(TransformerParams.from_shapes(SHAPES))
    assert {key: list(tensor.shape) for key, tensor in transformer.state_dict().items()} == SHAPES
    assert round(sum(parameter.numel() for parameter in transformer.parameters()) / 1e6) == 2091


def test_the_shapes_that_are_worked_out_from_the_sizes_are_those_of_the_network() -> None:
    assert {key: list(shape) for key, shape in TransformerParams.from_shapes(SHAPES).shapes.items()} == SHAPES


@given(st.integers(1, CONTEXT_LENGTH), st.sampled_from([torch.float32, torch.bfloat16]))
def test_a_few_zero_rows_weigh_as_much_as_all_of_them(count: int, dtype: torch.dtype) -> None:
    biases = _zero_row_biases(count, dtype)
    assert all(torch.tensor(bias, dtype=dtype).item() == bias for bias in biases)
    assert sum(map(math.exp, biases)) == pytest.approx(count, rel=1e-4)


def test_texts_of_different_lengths_are_padded_without_a_trace() -> None:
    texts = [torch.ones(3, 4), torch.ones(600, 4), torch.ones(512, 4)]
    tokens, bias = pad_texts(texts)
    assert tokens.shape[:2] == (3, 600)
    assert bias.exp().sum(-1).flatten().tolist() == pytest.approx([512, 600, 512])


def test_attention_guidance_follows_the_papers_formula() -> None:
    attended, avoided = torch.tensor([[[1.0, -1.0]]]), torch.tensor([[[0.9, -1.1]]])
    # Extrapolated to (1.4, -0.6), as long as the attention itself, and blended with it by a quarter.
    assert apply_nag(attended, avoided).flatten().tolist() == pytest.approx([1.1, -0.9])
    # Extrapolated to (5, -5), which is shortened to (2.5, -2.5).
    assert apply_nag(attended, 0 * avoided).flatten().tolist() == pytest.approx([1.375, -1.375])
    # Extrapolated to (-15, 15), which is shortened to 2.5 times the longer of the two.
    assert apply_nag(attended, 5 * attended).flatten().tolist() == pytest.approx([-2.375, 2.375])
    assert torch.equal(apply_nag(attended, attended), attended)
    assert torch.equal(apply_nag(0 * attended, 0 * attended), 0 * attended)


def test_patches_are_taken_apart_channel_first_and_put_together_channel_last() -> None:
    latent = torch.arange(2 * 3 * 4 * 6, dtype=torch.float32).view(2, 3, 4, 6)
    tokens = Patchify()(latent)
    assert tokens[0, 0].tolist() == latent[0, :, :2, :2].flatten().tolist()
    channels_last = tokens.unflatten(-1, (3, 4)).transpose(-1, -2).flatten(-2)
    assert torch.equal(unpatchify(channels_last, 2, 3), latent)


def test_rotations_know_row_and_column_and_no_time() -> None:
    cos, _ = image_rotation(3, 5, 128, torch.device("cpu"))
    assert cos.shape == (15, 64)
    assert (cos[:, :22] == 1).all()
    assert torch.equal(cos[0, 22:43], cos[4, 22:43])
    assert torch.equal(cos[0, 43:], cos[10, 43:])
