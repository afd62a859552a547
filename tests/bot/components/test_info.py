"""What *Info* says about one image."""

from __future__ import annotations

from tests.bot.harness import Stage


async def test_info_says_where_the_negative_took_part_by_nag(stage: Stage) -> None:
    _, message = await stage.draw("1girl", negative="red hair", cfg=1.0)
    shown = (await (await stage.press_more(message, "Info")).response()).text
    assert stage.engine.requests[-1].uses_nag
    assert "normalized attention guidance" in shown
    assert "red hair" in shown


async def test_info_says_nothing_of_nag_where_the_negative_took_part_by_cfg(stage: Stage) -> None:
    _, message = await stage.draw("1girl", negative="red hair", cfg=4.0)
    shown = (await (await stage.press_more(message, "Info")).response()).text
    assert "normalized attention guidance" not in shown
    assert "red hair" in shown


async def test_fast_mode_costs_less_and_is_named_by_info(stage: Stage) -> None:
    _, message = await stage.draw("1girl", speed="fast")
    assert stage.engine.requests[-1].fast
    assert "blocks" in (await (await stage.press_more(message, "Info")).response()).text
    _, message = await stage.draw("1girl")
    assert not stage.engine.requests[-1].fast
    assert "blocks" not in (await (await stage.press_more(message, "Info")).response()).text
