"""What a request may name, and which requests share a batch."""

from dataclasses import replace

import pytest

from inference import GenerationRequest, sampling
from inference.metadata.names import SAMPLER_NAMES, SCHEDULER_NAMES
from inference.request import SAMPLERS, SCHEDULERS
from inference.solver_settings import ErSdeSettings

REQUEST = GenerationRequest("1girl", loras=(("lokr", 1.0),))


def test_a_request_may_name_exactly_the_samplers_that_are_implemented_and_have_a_name_in_files() -> None:
    assert set(SAMPLERS) == set(sampling.SAMPLERS) == {ours for ours, _, _ in SAMPLER_NAMES}


def test_a_request_may_name_exactly_the_schedulers_that_are_implemented_and_have_a_name_in_files() -> None:
    assert set(SCHEDULERS) == set(sampling.SCHEDULERS) == {ours for ours, _, _ in SCHEDULER_NAMES}


@pytest.mark.parametrize(
    "fields",
    [{"prompt": "1boy"}, {"negative_prompt": "blurry"}, {"seed": 8}, {"cfg_scale": 5.0}, {"loras": [("lokr", 1.0)]}],
)
def test_requests_that_differ_only_in_what_each_image_has_for_itself_share_a_batch(fields: dict) -> None:
    assert replace(REQUEST, **fields).batch_key == REQUEST.batch_key


@pytest.mark.parametrize(
    "fields",
    [
        *({"width": 512}, {"height": 512}, {"steps": 8}, {"sampler": "euler"}, {"scheduler": "beta"}),
        {"er_sde": ErSdeSettings(max_stage=2)},
        *({"loras": ()}, {"loras": (("lokr", 0.5),)}, {"denoise": 0.5}, {"cfg_scale": 1.0}),
    ],
)
def test_requests_that_differ_in_the_work_to_do_do_not_share_a_batch(fields: dict) -> None:
    assert replace(REQUEST, **fields).batch_key != REQUEST.batch_key
