"""A private hint, and the fixed prompt one click away."""

from __future__ import annotations

import pytest

from bot.jobs import submission
from bot.messages.hint import SENTENCES, PromptHint
from bot.prompting import HintCode
from bot.sandbox import InteractionHandle
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import Stage, until


def test_every_kind_of_hint_has_its_sentence() -> None:
    assert set(SENTENCES) == set(HintCode)


async def test_a_good_prompt_is_not_commented_on(stage: Stage) -> None:
    interaction = await stage.slash("imagine", prompt="1girl, red hair, smile")
    job = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    await stage.in_state(job.id, JobState.DELIVERED)
    assert interaction.interaction.followup_ids == []


async def test_a_prompt_from_other_habits_is_fixed_with_one_click(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    interaction = await stage.slash("imagine", prompt="1girl, long_hair, (smile:1.1", steps=7)
    hint = await interaction.followup()
    assert hint.is_ephemeral
    assert "spaces, not underscores" in hint.text and "unmatched bracket" in hint.text and "long hair" in hint.text
    waiting = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    pressed = await stage.press(hint, "Draw this instead")
    await stage.in_state(waiting.id, JobState.CANCELLED)
    stage.engine.let_go()
    fixed = await until(lambda: stage.database.jobs.by_interaction(pressed.id))
    await stage.in_state(fixed.id, JobState.DELIVERED)
    assert fixed.prompt == "1girl, long hair, (smile:1.5)"
    assert stage.engine.requests[-1].steps == 7
    assert stage.engine.requests[-1].prompt.endswith("1girl, long hair, (smile:1.5)")


async def test_midjourneys_flags_become_options_with_one_click(stage: Stage) -> None:
    interaction = await stage.slash(
        "imagine", prompt="1girl --ar 96x64 --no hat --seed 5 --v 6", negative="text", steps=7
    )
    hint = await interaction.followup()
    assert "are Midjourney's" in hint.text
    assert "> 1girl\n> **negative:** hat\n> **aspect:** 3:2\n> **seed:** 5" in hint.text
    await stage.restart()
    fixed = await until_drawn(stage, await stage.press(hint, "Draw this instead"))
    request = stage.engine.requests[-1]
    assert fixed.prompt == "1girl" and request.seed == 5 and request.steps == 7
    assert request.width > request.height
    assert request.negative_prompt.endswith("text, hat")


@pytest.mark.parametrize("prompt", ["갸우뚱", "--ar 2:3"])
async def test_a_hint_without_a_fix_has_no_button(stage: Stage, prompt: str) -> None:
    hint = await (await stage.slash("imagine", prompt=prompt)).followup()
    assert hint.is_ephemeral and hint.inputs() == []


@pytest.mark.parametrize(
    ("owner", "name"), [(PromptHint, "of"), (submission, "missing_trigger_words"), (submission, "trigger_words_layout")]
)
async def test_a_failing_hint_does_not_affect_the_picture(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    def broken(*about: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(owner, name, broken)
    await stage.draw("1girl, long_hair")


async def test_denoise_without_an_image_is_explained(stage: Stage) -> None:
    interaction = await stage.slash("imagine", prompt="1girl", denoise=0.5)
    note = await interaction.followup()
    assert note.is_ephemeral and "`denoise` does nothing without a picture" in note.text


async def until_drawn(stage: Stage, sent: InteractionHandle) -> Job:
    job = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    return await stage.in_state(job.id, JobState.DELIVERED)


async def test_a_finished_image_stays_and_the_corrected_one_is_drawn_too(stage: Stage) -> None:
    interaction = await stage.slash("imagine", prompt="1girl, long_hair")
    hint = await interaction.followup()
    first = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    await stage.in_state(first.id, JobState.DELIVERED)
    pressed = await stage.press(hint, "Draw this instead")
    second = await until(lambda: stage.database.jobs.by_interaction(pressed.id))
    await stage.in_state(second.id, JobState.DELIVERED)
    assert (await stage.database.jobs.get(first.id)).state is JobState.DELIVERED


async def test_a_hint_works_for_as_long_as_it_is_shown(stage: Stage) -> None:
    interaction = await stage.slash("imagine", prompt="1girl, long_hair")
    hint = await interaction.followup()
    first = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    await stage.in_state(first.id, JobState.DELIVERED)
    stage.discord.clock.turn(30 * 24 * 3600)
    await stage.restart()
    pressed = await stage.press(hint, "Draw this instead")
    fixed = await until(lambda: stage.database.jobs.by_interaction(pressed.id))
    await stage.in_state(fixed.id, JobState.DELIVERED)
    assert fixed.prompt == "1girl, long hair"


async def test_a_corrected_prompt_takes_its_jobs_place_in_the_limit_of_queued_jobs(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    guild_id = stage.discord.world.guild.id
    await stage.database.servers.change(guild_id, {"limits": {"waiting": 1}}, by=stage.bob.id)
    interaction = await stage.slash("imagine", prompt="1girl, long_hair")
    hint = await interaction.followup()
    waiting = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    pressed = await stage.press(hint, "Draw this instead")
    fixed = await until(lambda: stage.database.jobs.by_interaction(pressed.id))
    assert (await stage.database.jobs.get(waiting.id)).state is JobState.CANCELLED
    assert (await stage.database.quotas.usage(fixed.account)).spent == fixed.cost

    async def says_so() -> bool:
        return "Cancelled" in stage.discord.messages.get(waiting.message_id).text

    await until(says_so)


async def test_a_job_whose_correction_is_refused_stays_in_the_queue(stage: Stage) -> None:
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    interaction = await stage.slash("imagine", prompt="1girl, long_hair")
    hint = await interaction.followup()
    waiting = await until(lambda: stage.database.jobs.by_interaction(interaction.id))
    guild_id = stage.discord.world.guild.id
    await stage.database.servers.change(guild_id, {"safety": {"blocked_words": ["long hair"]}}, by=stage.bob.id)
    assert "long hair" in (await (await stage.press(hint, "Draw this instead")).followup()).text
    assert (await stage.database.jobs.get(waiting.id)).state is JobState.QUEUED
    stage.engine.let_go()
    await stage.in_state(waiting.id, JobState.DELIVERED)
