"""How the evaluation judges images."""

import random
from pathlib import Path

import pytest
import torch

from inference.miniature.characters import STYLES, random_character
from inference.miniature.classifier import QUESTIONS, Classifier, accuracies, labels
from inference.miniature.evaluate import prompt, write_into

CHARACTERS = [random_character(random.Random(seed), held_out=True) for seed in range(60)]


def certain(answers: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Probabilities of one for the answers at these positions, of the first where there is no saying."""
    return {
        question: torch.nn.functional.one_hot(positions.clamp_min(0), len(QUESTIONS[question][0])).float()
        for question, positions in answers.items()
    }


def test_right_answers_score_one_and_wrong_ones_zero() -> None:
    truth = labels(CHARACTERS)
    assert set(accuracies(certain(truth), CHARACTERS).values()) == {1.0}
    wrong = {
        question: torch.where(positions < 0, positions, (positions + 1) % len(QUESTIONS[question][0]))
        for question, positions in truth.items()
    }
    assert set(accuracies(certain(wrong), CHARACTERS).values()) == {0.0}


def test_features_a_style_cannot_show_are_not_judged() -> None:
    characters = [random_character(random.Random(seed), held_out=True, style="pixel-art") for seed in range(20)]
    assert "eyes" not in accuracies(certain(labels(characters)), characters)


def test_the_classifier_judges_pictures_of_any_size() -> None:
    pictures = [torch.zeros(height, width, 3, dtype=torch.uint8).numpy() for width, height in ((96, 96), (80, 112))]
    probabilities = Classifier().eval().probabilities(pictures)
    assert all(probabilities[question].shape == (2, len(answers)) for question, (answers, _) in QUESTIONS.items())
    assert probabilities["style"].sum(1).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("style", STYLES)
def test_a_prompt_names_style_and_every_tag(style: str) -> None:
    character = random_character(random.Random(1), held_out=True, style=style)
    assert f"@{style}" in prompt(character)
    assert all(tag in prompt(character) for tag in character.tags)


@pytest.mark.parametrize("old", ["", "old\n"])
def test_the_table_replaces_the_one_in_the_card(old: str, tmp_path: Path) -> None:
    card = tmp_path / "CARD.md"
    card.write_text(f"before\n<!-- evaluation -->\n{old}<!-- end of evaluation -->\nafter\n")
    write_into(card, "| first |")
    write_into(card, r"| second \1 |")
    assert card.read_text(encoding="utf-8") == (
        "before\n<!-- evaluation -->\n\n| second \\1 |\n\n<!-- end of evaluation -->\nafter\n"
    )
