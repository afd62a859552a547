"""A short evaluation of the miniature that ships; the long one is `python -m inference.miniature evaluate`."""

from pathlib import Path

import pytest

from inference import Engine
from inference.miniature.classifier import Classifier
from inference.miniature.commands import CLASSIFIER, MODELS
from inference.miniature.data import Pixels
from inference.miniature.evaluate import (
    NEGATED,
    NEGATIVE,
    TURBO_SETTINGS,
    WEIGHTED,
    Evaluation,
    cases,
    edges,
    generate_images,
    mean_difference,
    presence,
    score,
)
from inference.miniature.export import TURBO, TURBO_STEPS

pytestmark = pytest.mark.xdist_group("the miniature's pictures")  # drawn once, by one worker

#: A question, answers, tags and styles, as `NEGATED` has them.
Negated = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]

#: Images where a few are enough, as each takes half a second of a CPU.
FEW = 10

#: Bytes of all weights and tokenizers together.
LIMIT = 16_000_000


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    engine = Engine.load(MODELS, device="cpu")
    return Evaluation(engine, Classifier.load(CLASSIFIER), cases(engine, 24))


@pytest.fixture(scope="module")
def pictures(evaluation: Evaluation) -> list[Pixels]:
    return generate_images(evaluation.engine, evaluation.requests())


@pytest.fixture(scope="module")
def turbo(evaluation: Evaluation) -> list[Pixels]:
    return generate_images(
        evaluation.engine, evaluation.requests(cfg_scale=1.0, steps=TURBO_STEPS, loras=((Path(TURBO).stem, 1.0),))
    )


def test_pictures_show_what_is_asked_for_and_not_what_others_asked_for(
    evaluation: Evaluation, pictures: list[Pixels]
) -> None:
    asked = score(evaluation.classifier, pictures, evaluation.characters)
    control = score(evaluation.classifier, pictures, evaluation.characters[1:] + evaluation.characters[:1])
    assert asked.overall > 0.92 and control.overall < 0.4
    assert min(asked.by_question[question] for question in ("style", "hair colour", "background", "skin")) > 0.9


def test_every_native_shape_is_drawn(evaluation: Evaluation, pictures: list[Pixels]) -> None:
    sizes = {(picture.shape[1], picture.shape[0]) for picture in pictures}
    assert sizes == set(evaluation.engine.native.sizes) == {(128, 128), (112, 144), (144, 112)}


def test_turbo_draws_as_truly_in_eight_steps(evaluation: Evaluation, turbo: list[Pixels]) -> None:
    assert score(evaluation.classifier, turbo, evaluation.characters).overall > 0.9


def test_turbo_gives_back_what_guidance_gave(evaluation: Evaluation, pictures: list[Pixels]) -> None:
    unguided: dict[str, object] = {"cfg_scale": 1.0, "steps": TURBO_STEPS, "nag": False}
    plain = generate_images(evaluation.engine, evaluation.requests(**unguided))
    turbo = generate_images(evaluation.engine, evaluation.requests(**unguided, loras=((Path(TURBO).stem, 1.0),)))
    assert mean_difference(pictures, turbo) < mean_difference(pictures, plain)
    assert abs(edges(turbo) - edges(pictures)) < abs(edges(plain) - edges(pictures))


@pytest.mark.parametrize("sampler", ["euler_a", "dpmpp_2m_sde_gpu"])
def test_other_samplers_draw_other_pictures_of_the_same(
    evaluation: Evaluation, pictures: list[Pixels], sampler: str
) -> None:
    requests = evaluation.requests(sampler=sampler, scheduler="beta57")[:FEW]
    others = generate_images(evaluation.engine, requests)
    assert score(evaluation.classifier, others, evaluation.characters[:FEW]).overall > 0.9
    assert mean_difference(pictures[:FEW], others) > 1


def test_weights_tip_the_scales_between_tags_that_contradict_each_other(evaluation: Evaluation) -> None:
    question, tags, styles = WEIGHTED[0]
    assert question == "hair colour"
    weak, plain, strong = (evaluation.tipped(question, tags, styles, weight) for weight in (0.3, 1.0, 1.5))
    assert weak + 0.05 < plain < strong - 0.05


def test_tags_in_the_negative_prompt_appear_less(evaluation: Evaluation) -> None:
    negatives = (NEGATIVE, f"{NEGATIVE}, red background, blue background, green background")
    drawn = [evaluation.generate_tags(["1girl"] * FEW, negative, ["micah", "lorelei"]) for negative in negatives]
    without, with_it = (
        presence(evaluation.classifier, pictures, "background", [("red", "blue", "green")] * FEW) for pictures in drawn
    )
    assert with_it < without


@pytest.mark.parametrize("negated", NEGATED[:2], ids=lambda negated: negated[0])
def test_nag_with_turbo_has_at_least_half_the_effect_of_guidance(evaluation: Evaluation, negated: Negated) -> None:
    guided, turbo = (evaluation.suppression(*negated, FEW, **settings) for settings in ({}, TURBO_SETTINGS))
    assert guided > 0.5
    assert turbo >= guided / 2
    assert abs(evaluation.suppression(*negated, 2, **{**TURBO_SETTINGS, "nag": False})) < 1e-6


def test_the_weights_are_small_enough_to_ship() -> None:
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LIMIT
    assert {path.parent.name for path in files} >= {"diffusion_models", "text_encoders", "vae", "loras", "qwen", "t5"}
