"""Our Qwen3 against transformers', which is the reference here and not used elsewhere."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import Qwen3Config, Qwen3Model

from inference.networks.qwen import Qwen, QwenParams
from tests.golden import relative_error

PARAMS = QwenParams(vocabulary=50, width=48, depth=3, heads=4, key_heads=2, head_dim=16, mlp_width=80)
IDS = torch.tensor([[1, 7, 7, 49, 0, 3, 12, 33, 8], [5, 4, 3, 2, 1, 0, 9, 8, 7]])
ALONE = torch.tensor([[11]])

Encode = Callable[[Tensor], Tensor]


def both(params: QwenParams, dtype: torch.dtype) -> tuple[Encode, Encode]:
    """Ours and transformers' with the same random weights."""
    config = Qwen3Config(
        vocab_size=params.vocabulary,
        hidden_size=params.width,
        intermediate_size=params.mlp_width,
        num_hidden_layers=params.depth,
        num_attention_heads=params.heads,
        num_key_value_heads=params.key_heads,
        head_dim=params.head_dim,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        attn_implementation="sdpa",
    )
    generator = torch.Generator().manual_seed(0)
    ours, reference = Qwen(params), Qwen3Model(config)
    for name, weight in reference.named_parameters():
        scale = 0.2 if weight.ndim > 1 else 1.0
        noise = scale * torch.randn(weight.shape, generator=generator) + name.endswith("norm.weight")
        weight.data = noise.to(dtype)  # but not the reference's table of angles, which stays in float32
    ours.load_state_dict(reference.state_dict(), assign=True)
    reference.eval()
    return ours, lambda ids: reference(input_ids=ids, use_cache=False).last_hidden_state


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("ids", [IDS, ALONE], ids=["texts", "one token"])
@torch.inference_mode()
def test_it_computes_what_transformers_computes(ids: Tensor, key_heads: int) -> None:
    ours, reference = both(replace(PARAMS, key_heads=key_heads), torch.float32)
    assert relative_error(ours(ids), reference(ids)) < 1e-5


@torch.inference_mode()
def test_it_rounds_where_transformers_rounds() -> None:
    ours, reference = both(PARAMS, torch.bfloat16)
    assert (ours(IDS) == reference(IDS)).float().mean() > 0.99


def test_sizes_are_read_off_the_tensors() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in Qwen(PARAMS).state_dict().items()}
    assert QwenParams.from_shapes(shapes) == PARAMS
    with pytest.raises(ValueError, match="4 heads of 16 features"):
        QwenParams.from_shapes({**shapes, "layers.0.self_attn.k_proj.weight": (48, 48)})
