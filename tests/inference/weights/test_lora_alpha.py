"""Files of PEFT and diffusers keep the strength of their changes in the header."""

import json
import math

import pytest

from inference.weights.lora_changes import HEADER_ENTRY, HeaderAlphas

QUERY = "transformer.transformer_blocks.0.attn1.to_q"
ENCODER = "text_encoder.layers.0.self_attn.q_proj"


def alphas(settings: object) -> HeaderAlphas:
    return HeaderAlphas.read({HEADER_ENTRY: json.dumps(settings)})


def test_a_components_alpha_applies_to_its_layers() -> None:
    read = alphas({"transformer.r": 2, "transformer.lora_alpha": 8, "text_encoder.lora_alpha": 1})
    assert (read.alpha(QUERY, 2), read.alpha(ENCODER, 2)) == (8, 1)


def test_an_alpha_without_component_applies_to_all_layers() -> None:
    assert alphas({"lora_alpha": 8}).alpha(QUERY, 2) == 8


def test_a_layer_may_have_its_own() -> None:
    read = alphas({"transformer.lora_alpha": 8, "transformer.alpha_pattern": {"attn1.to_q": 3, "^x\\.y$": 5}})
    assert read.alpha(QUERY, 2) == 3
    assert read.alpha(QUERY.replace("to_q", "to_k"), 2) == 8
    assert read.alpha("transformer.x.y", 2) == 5


def test_rank_stabilized_changes_are_divided_by_the_root_of_the_rank() -> None:
    alpha = alphas({"transformer.lora_alpha": 8, "transformer.use_rslora": True}).alpha(QUERY, 16)
    assert alpha is not None
    assert alpha / 16 == pytest.approx(8 / math.sqrt(16))


@pytest.mark.parametrize(
    "entry", ["", "nonsense", "[1]", '{"transformer.lora_alpha": "8"}', '{"transformer.lora_alpha": NaN}', "[" * 100000]
)
def test_a_header_without_alphas_gives_none(entry: str) -> None:
    assert HeaderAlphas.read({HEADER_ENTRY: entry}).alpha(QUERY, 2) is None
    assert HeaderAlphas.read({}).alpha(QUERY, 2) is None


@pytest.mark.parametrize(
    ("pattern", "alpha"),
    [
        (r"transformer_blocks\.\d+\.attn1\.to_q", 4),
        (r"^transformer_blocks\.[0-9]+\.attn1\.(to_q|to_k)$", 4),
        (r".*\.attn1\.to_q", 4),
        (r"transformer_blocks\.\d+\.attn2\.to_q", 8),
        (r"(.*)*x", 8),
        (r"(", 8),
    ],
)
def test_the_layers_of_an_alpha_may_be_a_regular_expression(pattern: str, alpha: float) -> None:
    settings = {"transformer.lora_alpha": 8, "transformer.alpha_pattern": {pattern: 4}}
    alphas = HeaderAlphas.read({HEADER_ENTRY: json.dumps(settings)})
    assert alphas.alpha("transformer.transformer_blocks.0.attn1.to_q", 2) == alpha
