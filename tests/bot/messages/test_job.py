"""What a job's message says of how it stands."""

from datetime import timedelta

import discord
import pytest

from bot.messages import details
from bot.messages import job as messages
from bot.messages.job import explain_reason, ready_text
from bot.text.languages import speaking
from bot.text.translation import say
from inference import InvalidRequest
from inference.editing.thin_mask import REDRAWS_NOTHING
from inference.process import EngineDied
from inference.request import OutOfMemory


@pytest.mark.parametrize("seconds", [-5, 0, 9])
def test_a_job_that_is_almost_ready_shows_no_time(seconds: float) -> None:
    assert ready_text("Drawing now", discord.utils.utcnow() + timedelta(seconds=seconds)) == "Drawing now, ready soon"


def test_a_known_time_in_the_future_is_shown() -> None:
    ready_at = discord.utils.utcnow() + timedelta(minutes=1)
    assert ready_text("Next", ready_at) == f"Next, should be ready {discord.utils.format_dt(ready_at, 'R')}"
    assert ready_text("Next", None) == "Next"


def test_whatever_is_made_from_an_image_is_named_in_its_message_in_lists_and_in_info() -> None:
    assert details.KINDS.keys() == messages.KINDS.keys()


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("Nothing came of this.", messages.NOTHING_CAME),
        (
            "The engine broke down while drawing this, twice. Please try again with other settings.",
            messages.ENGINE_LOST,
        ),
        ("The finished picture does not fit this channel, so it is not shown.", messages.JUDGED_UNFIT),
        (
            "The picture is too large for Discord, even made smaller. Please ask for a smaller size.",
            messages.TOO_LARGE_FOR_DISCORD,
        ),
        ("Discord did not take the picture. Please try again.", messages.DISCORD_REFUSED),
        ("The job's message, its channel and a private message were all out of reach.", messages.OUT_OF_REACH),
        (
            "This bot is only for the servers that its operator has chosen, and this one isn't among them.",
            messages.NOT_IN_THIS_SERVER,
        ),
    ],
)
def test_a_reason_that_an_earlier_release_stored_is_shown_as_this_one_puts_it(stored: str, shown: str) -> None:
    assert explain_reason(stored) == shown
    with speaking("ja"):
        assert explain_reason(stored) == say(shown) != shown


def test_unknown_reasons_are_shown_as_they_are() -> None:
    assert explain_reason("Out of memory.") == "Out of memory."


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidRequest("model: there is no diffusion model 'gone' in this engine."), messages.MODEL_REMOVED),
        (InvalidRequest("loras: there is no LoRA 'gone' in models/loras. There are: none."), messages.LORA_REMOVED),
        (InvalidRequest(REDRAWS_NOTHING), messages.NOTHING_REDRAWN),
        (EngineDied("The engine's process was ended by SIGSEGV."), messages.ENGINE_LOST),
        (InvalidRequest("width is 7, but must be from 8 to 4096."), "width is 7, but must be from 8 to 4096."),
        (
            OutOfMemory("The device does not have enough memory for this picture."),
            "The device does not have enough memory for this picture.",
        ),
    ],
)
def test_every_failure_reason_is_a_known_or_an_engine_sentence(error: Exception, reason: str) -> None:
    assert messages.reason_of(error) == reason
    assert explain_reason(reason) == reason
