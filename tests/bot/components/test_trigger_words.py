"""The trigger words of LoRAs: shown while choosing, and added by a click, never unasked."""

from __future__ import annotations

import pytest

from bot.generation.compose import ModelInfo
from bot.messages.trigger_words import missing_trigger_words
from inference.weights.headers.loras import LoraFacts
from storage.schema import JobState
from tests.bot.fake_engine import NATIVE
from tests.bot.harness import Stage, until
from tests.inference.weights.headers.test_lora_facts import write_lora


def add_lora(stage: Stage, name: str = "ink", triggers: str = "ink style, lineart") -> None:
    write_lora(stage.models / "loras" / f"{name}.safetensors", trained_words=triggers, ss_output_name="Old Ink")


async def test_a_choice_shows_trigger_words_and_its_value_is_the_name(stage: Stage) -> None:
    add_lora(stage)
    add_lora(stage, "long", "word " * 50)
    choices = await stage.discord.autocomplete(
        stage.alice, stage.general, "anima imagine", "lora", "", {"prompt": "1girl"}
    )
    assert (choices[0].name, choices[0].value) == ("ink — ink style, lineart", "ink")
    assert choices[1].value == "long" and len(choices[1].name) == 100
    await stage.draw("1girl", lora=f"{choices[0].name}:0.7")
    assert stage.engine.requests[0].loras == (("ink", 0.7),)


async def test_a_button_adds_trigger_words_and_replaces_the_queued_job(stage: Stage) -> None:
    add_lora(stage)
    stage.engine.hold()
    interaction = await stage.slash("imagine", prompt="1girl, <lora:old ink:0.5>", seed="5")
    told = await interaction.followup()
    assert told.is_ephemeral and "**ink**: ink style, lineart" in told.text
    first = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    assert first.prompt == "1girl"
    pressed = await stage.press(told, "Add trigger words")
    stage.engine.let_go()
    job = await until(lambda: stage.database.jobs.by_interaction(pressed.id))
    await stage.in_state(job.id, JobState.DELIVERED)
    request = stage.engine.requests[-1]
    assert request.prompt.endswith("1girl, ink style, lineart")
    assert (request.loras, request.seed) == ((("ink", 0.5),), 5)


@pytest.mark.parametrize(
    ("prompt", "lora", "missing"),
    [
        ("1girl", ("ink", 1.0), {"ink": "ink style, lineart"}),
        ("1girl, (Lineart:1.2)", ("ink", 1.0), {}),
        ("1girl", ("plain", 1.0), {}),
        ("1girl", ("ink", -1.0), {}),
        ("1girl", ("gone", 1.0), {}),
    ],
)
def test_trigger_words_are_missing_if_the_prompt_has_none_of_them(
    prompt: str, lora: tuple[str, float], missing: dict[str, str]
) -> None:
    facts = {"ink": LoraFacts(triggers="ink style, lineart"), "plain": LoraFacts()}
    assert missing_trigger_words(prompt, [lora], ModelInfo(NATIVE, tuple(facts), lora_facts=facts)) == missing


async def test_a_button_whose_lora_is_gone_says_so(stage: Stage) -> None:
    add_lora(stage)
    told = await (await stage.slash("imagine", prompt="1girl", lora="ink")).followup()
    (stage.models / "loras" / "ink.safetensors").unlink()
    assert "no more trigger words to add" in (await (await stage.press(told, "Add trigger words")).followup()).text


async def test_info_shows_those_of_the_loras_of_an_image(stage: Stage) -> None:
    add_lora(stage)
    _, message = await stage.draw("1girl, ink style", lora="ink")
    info = await (await stage.press_more(message, "Info", stage.bob)).response()
    assert "**Trigger words** ink style, lineart" in info.text
    _, plain = await stage.draw("1girl")
    assert "Trigger words" not in (await (await stage.press_more(plain, "Info")).response()).text
