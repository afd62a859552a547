"""What only the person reads beside an answer for all stays with them, and never takes the answer's place."""

from __future__ import annotations

import pytest

from storage.schema import JobState
from tests.bot.harness import Stage


@pytest.mark.parametrize("where", ["channel", "private"])
async def test_a_hint_about_a_prompt_is_seen_by_nobody_else_and_the_picture_by_all(stage: Stage, where: str) -> None:
    stage.engine.hold()
    interaction = await stage.slash("imagine", prompt="1girl, long_hair", private=where == "private")
    hint = await interaction.followup()
    assert "underscores" in hint.text
    assert hint.is_ephemeral and hint.visible_to == stage.alice
    job = await stage.database.jobs.by_interaction(interaction.id)
    assert job is not None and job.message_id != hint.id
    stage.engine.let_go()
    job = await stage.in_state(job.id, JobState.DELIVERED)
    picture = stage.discord.messages.get(job.message_id)
    assert picture is not None and picture.attachments
    assert picture.is_ephemeral is (where == "private")
    seen_by_bob = stage.discord.messages_in(stage.general, stage.bob)
    assert seen_by_bob == ([] if where == "private" else [picture])
