"""Suggested settings: changes are shown first, one click applies them, another undoes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from bot.commands.admin.suggestions import SUGGESTIONS
from bot.rules.policy import effective_limits
from bot.rules.server_settings import Quota, ServerLimits, ServerSettings
from tests.bot.commands.admin.test_admin import AdminPanel, panel, stage
from tests.bot.rules.test_server_settings import ANIMA, every_settings

__all__ = ["panel", "stage"]


@hypothesis_settings(deadline=None)
@given(every_settings)
def test_a_suggestion_sets_its_row_of_the_table_and_leaves_the_rest(before: ServerSettings) -> None:
    for suggested in SUGGESTIONS.values():
        after = suggested.applied_to(before)
        assert (after.defaults, after.access, after.safety, after.paused) == (
            before.defaults,
            before.access,
            before.safety,
            before.paused,
        )
        assert (after.quota.roles, after.quota.unlimited_roles) == (before.quota.roles, before.quota.unlimited_roles)
        assert after.quota.credits == suggested.credits
        limits = effective_limits(after, ANIMA)
        width, height = ANIMA.sizes[0]
        assert limits.area == suggested.times_native * width * height
        assert limits.upscaled == suggested.upscaled * width * height
        assert (limits.steps, limits.count, limits.compared) == (suggested.steps, suggested.count, suggested.compared)
        assert suggested.applied_to(after) == after


def test_the_suggestions_are_those_of_the_documentation() -> None:
    rows = {
        name: (s.credits, s.waiting, s.times_native, s.upscaled, s.steps, s.count, s.compared)
        for name, s in SUGGESTIONS.items()
    }
    assert rows == {
        "friends": (None, 20, 4.0, 16.0, 100, 4, 16),
        "community": (50.0, 8, 2.4, 5.2, 50, 4, 9),
        "large": (20.0, 3, 1.5, 2.4, 40, 2, 4),
    }


async def test_a_suggestion_is_previewed_applied_and_undone(panel: AdminPanel) -> None:
    before = ServerSettings(limits=ServerLimits(megapixels=1.5), quota=Quota(5.0, {7: 9.0}))
    await panel.stage.database.servers.change(panel.world.guild.id, before.as_json(), by=1)
    await panel.turn_to("suggested")
    await panel.press("Large public server")
    assert "**Credits per day**: 5 → 20" in panel.text and "**Queued jobs**: 8 → 3" in panel.text
    assert "1.5 MP → 1.5 times the model's default size" in panel.text
    assert "**Largest upscale**: up to 1.5 MP → 2.4 times the model's default size" in panel.text
    assert "image classifier" in panel.text
    assert await panel.settings() == before, "nothing is saved before one agrees"
    await panel.press("Apply")
    assert await panel.settings() == SUGGESTIONS["large"].applied_to(before)
    assert {entry.what for entry in await panel.log() if entry.actor_id == panel.user.id} == {"limits", "quota"}
    await panel.press("Undo")
    assert "The previous settings are back" in panel.text
    assert await panel.settings() == before


async def test_a_suggestion_without_changes_cannot_be_applied(panel: AdminPanel) -> None:
    settings = SUGGESTIONS["friends"].applied_to(ServerSettings())
    await panel.stage.database.servers.change(panel.world.guild.id, settings.as_json(), by=1)
    await panel.turn_to("suggested")
    await panel.press("Friends")
    assert "Nothing would change" in panel.text
    with pytest.raises(Exception, match="Apply"):
        await panel.press("Apply")


@pytest.mark.parametrize("label", ["Apply", "Undo"])
async def test_settings_that_were_changed_meanwhile_are_not_overwritten(panel: AdminPanel, label: str) -> None:
    await panel.turn_to("suggested")
    await panel.press("Large public server")
    if label == "Undo":
        await panel.press("Apply")
    changed = {"limits": {"steps": 7}}
    await panel.stage.database.servers.change(panel.world.guild.id, changed, by=1)
    await panel.press(label)
    assert "changed in the meantime" in panel.text
    assert (await panel.settings()).limits == ServerLimits(steps=7)
