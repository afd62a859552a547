"""Every refusal is one short private paragraph; the channel sees nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.bot.harness import Stage

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "blocked words": {"safety": {"blocked_words": ["turnip"]}},
    "paused": {"paused": True},
    "channel": {"access": {"channels": [1]}},
    "role": {"access": {"roles": [1]}},
    "steps": {"limits": {"steps": 5}},
    "size": {"limits": {"side": 64}},
    "count": {"limits": {"count": 1}},
    "quota": {"quota": {"credits": 0}},
    "safe": {},
    "minors": {},
    "blocked": {},
}
PROMPTS = {"safe": "nude", "minors": "loli, sex"}


@pytest.mark.parametrize("why", SETTINGS)
async def test_a_refusal_is_one_private_paragraph(stage: Stage, why: str) -> None:
    guild_id = stage.discord.world.guild.id
    await stage.database.servers.change(guild_id, SETTINGS[why], by=stage.bob.id)
    if why == "blocked":
        await stage.database.servers.block(guild_id, stage.alice.id, by=stage.bob.id)
    sent = await stage.slash("imagine", prompt=PROMPTS.get(why, "a turnip"), steps=9, count=2, aspect="128x128")
    callback = await sent.acknowledged()
    answer = await (sent.response() if "content" in callback.data else sent.followup())
    assert answer.is_ephemeral and answer.visible_to == stage.alice
    assert 20 < len(answer.text) < 200 and "\n" not in answer.text
    assert stage.discord.messages_in(stage.general, stage.bob) == []
    assert await stage.database.jobs.live() == ()
