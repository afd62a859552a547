"""What happens to an image after the classifier's verdict."""

import pytest

from bot.rules.image_policy import ImagePolicy, Verdict, thresholds

POLICY = ImagePolicy(hides=thresholds("NSFW:0.5"), refuses=thresholds("nsfw: 0.9, gore:0.3"))


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        ({}, Verdict.SHOWN),
        ({"nsfw": 0.49, "normal": 0.51}, Verdict.SHOWN),
        ({"nsfw": 0.5}, Verdict.HIDDEN),
        ({"Nsfw": 0.9}, Verdict.REFUSED),
        ({"nsfw": 0.1, "gore": 0.3}, Verdict.REFUSED),
    ],
)
def test_a_picture_is_hidden_or_refused_from_its_threshold_on(labels: dict[str, float], verdict: Verdict) -> None:
    assert POLICY.verdict([labels]) is verdict


def test_the_severest_picture_decides_for_the_message() -> None:
    assert POLICY.verdict([{"nsfw": 0.1}, {"nsfw": 0.6}, {}]) is Verdict.HIDDEN
    assert POLICY.verdict([]) is Verdict.SHOWN


@pytest.mark.parametrize("text", ["nsfw", "nsfw:2", "nsfw:0", ":0.5", "nsfw:often", "nsfw:nan"])
def test_an_invalid_threshold_is_refused_with_an_explanation(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as nsfw:0\.5"):
        thresholds(text)
