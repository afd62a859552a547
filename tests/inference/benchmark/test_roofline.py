"""Operations are counted right."""

from dataclasses import replace

import pytest
import torch

from inference.benchmark import roofline
from inference.benchmark.roofline import count_flops, matrix_rate
from inference.benchmark.timing import Durations
from tests.inference.benchmark.tiny import CPU, TINY


def test_the_transformers_operations_are_those_of_its_matrices() -> None:
    params, batch, text_rows = TINY.transformer, 2, 40
    tokens = TINY.width * TINY.height // 16**2
    wide = params.width
    per_token = 2 * wide * (4 * wide + 2 * wide + 2 * params.mlp_width)  # self-attention, cross-attention, MLP
    scores_and_values = 4 * wide * (tokens + text_rows)
    blocks = params.depth * batch * tokens * (per_token + scores_and_values)
    patches = 2 * batch * tokens * wide * 4 * (params.latent_channels + 1 + params.latent_channels)
    modulation = 2 * params.modulation_rank * wide * (params.depth * 3 * (1 + 3) + (1 + 2))
    time_embedding = 2 * wide * (wide + 3 * wide)
    assert count_flops(TINY, text_rows)["transformer"] == blocks + patches + modulation + time_embedding


def test_operations_of_the_vae_grow_with_the_picture_and_a_picture_adds_them_up() -> None:
    small, wide = count_flops(TINY, 40), count_flops(replace(TINY, width=2 * TINY.width), 40)
    assert 2 * small["vae"] <= wide["vae"] < 2.1 * small["vae"]  # only the attention grows faster
    assert small["picture"] == TINY.steps * small["transformer"] + small["vae"]


def test_the_matrix_rate_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "alternate", lambda *_: [Durations((0.5, 0.25, 1.0), (0.5, 0.25, 1.0))])
    assert matrix_rate(CPU, torch.float32) == 2 * 2048**3 / 0.25
