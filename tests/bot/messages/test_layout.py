"""What discord.py keeps of the messages that the bot sends."""

from __future__ import annotations

from tests.bot.harness import Stage


async def test_no_message_with_buttons_is_kept_in_memory(stage: Stage) -> None:
    await stage.draw("1girl")
    await stage.draw("2girls", count=2)
    await stage.answer("history")
    store = stage.client._connection._view_store
    assert not store._views and not store._synced_message_views
