"""The panel's page about models: the server's default, and which ones its members may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.commands.admin.context import SAVED, UNCHANGED
from bot.commands.admin.models import AS_OPERATOR, DEFAULT_NOT_OFFERED, NONE_LEFT, NOT_KNOWN, ONLY_ONE
from bot.rules.server_settings import Access, ServerDefaults, ServerLimits, ServerSettings
from tests.bot.commands.admin.test_admin import AdminPanel
from tests.bot.harness import Stage
from tests.header_only import write_diffusion_model

BASE, TURBO = "anima-base-v1.0", "anima-turbo-v1.0"


@pytest.fixture
def models(stage: Stage) -> Path:
    folder = stage.models / "diffusion_models"
    write_diffusion_model(folder / f"{BASE}.safetensors", modelspec__resolution="64x64")
    write_diffusion_model(folder / f"{TURBO}.safetensors", modelspec__resolution="96x96")
    return folder


@pytest.fixture
async def panel(stage: Stage, models: Path) -> AdminPanel:
    return await (await AdminPanel(stage).open()).turn_to("models")


def chosen(panel: AdminPanel, action: str) -> list[str]:
    """The values that a menu shows as chosen."""
    [menu] = [each for each in panel.message.inputs() if each["custom_id"] == f"anima-admin:{action}"]
    return [option["value"] for option in menu["options"] if option.get("default")]


async def test_the_default_model_is_chosen_and_reset(panel: AdminPanel) -> None:
    assert f"- **{BASE}** base model" in panel.text and "turbo model" in panel.text
    assert chosen(panel, "default-model") == [AS_OPERATOR]
    await panel.choose("default-model", TURBO)
    assert SAVED in panel.text and chosen(panel, "default-model") == [TURBO]
    assert await panel.settings() == ServerSettings(ServerDefaults(model=TURBO))
    await panel.choose("default-model", TURBO)
    assert UNCHANGED in panel.text
    await panel.turn_to("defaults")
    assert f"Model {TURBO}" in panel.text
    await panel.turn_to("models")
    await panel.choose("default-model", AS_OPERATOR)
    assert await panel.settings() == ServerSettings()


async def test_which_models_members_use_is_limited_and_opened_again(panel: AdminPanel) -> None:
    await panel.choose("offered-models", TURBO)
    assert await panel.settings() == ServerSettings(access=Access(models=(TURBO,)))
    assert chosen(panel, "offered-models") == [TURBO]
    await panel.turn_to("overview")
    assert f"everyone in all channels, models: {TURBO}" in panel.text
    await panel.turn_to("log")
    assert f"Models default → {TURBO}" in panel.text
    await panel.turn_to("models")
    await panel.choose("offered-models")
    assert await panel.settings() == ServerSettings()


async def test_a_default_that_members_may_not_use_is_a_warning(panel: AdminPanel) -> None:
    await panel.choose("offered-models", TURBO)
    await panel.choose("default-model", BASE)
    assert DEFAULT_NOT_OFFERED in panel.text


async def test_removed_models_are_named_and_having_none_left_is_a_warning(panel: AdminPanel, models: Path) -> None:
    await panel.choose("offered-models", TURBO)
    (models / f"{TURBO}.safetensors").unlink()
    await panel.turn_to("models")
    assert f"No longer available: {TURBO}" in panel.text and NONE_LEFT in panel.text
    await panel.choose("offered-models", BASE)
    assert await panel.settings() == ServerSettings(access=Access(models=(BASE,)))


async def test_with_one_model_there_is_nothing_to_choose(panel: AdminPanel, models: Path) -> None:
    (models / f"{TURBO}.safetensors").unlink()
    await panel.turn_to("models")
    assert ONLY_ONE in panel.text
    assert [each["custom_id"] for each in panel.message.inputs()] == ["anima-admin:open"]


async def test_an_unknown_model_name_is_not_saved(panel: AdminPanel, stage: Stage) -> None:
    for action in ("default-model", "offered-models"):
        sent = await stage.press_forged(panel.message, f"anima-admin:{action}", panel.user, ["", "x" * 100])
        await sent.response()
    assert await panel.settings() == ServerSettings()


async def test_defaults_are_compared_with_the_limits_of_the_default_model(panel: AdminPanel) -> None:
    await panel.stage.database.servers.change(
        panel.world.guild.id,
        ServerSettings().changes_to(
            ServerSettings(ServerDefaults(size=(144, 144)), ServerLimits(times_native=2.4)),
        ),
        by=1,
    )
    await panel.choose("default-model", TURBO)
    assert "above the limits" not in panel.text
    await panel.choose("default-model", AS_OPERATOR)
    assert "above the limits" in panel.text


async def test_the_page_opens_while_the_models_are_not_known(stage: Stage) -> None:
    panel = await (await AdminPanel(stage).open()).turn_to("models")
    assert NOT_KNOWN in panel.text
    assert [each["custom_id"] for each in panel.message.inputs()] == ["anima-admin:open"]


async def test_a_model_whose_name_is_too_long_for_a_menu_is_listed(stage: Stage) -> None:
    for name in ("anima-base", "a" * 90 + "/" + "b" * 90):
        write_diffusion_model(stage.models / "diffusion_models" / f"{name}.safetensors")
    panel = await (await AdminPanel(stage).open()).turn_to("models")
    assert panel.text.count("base model") == 2
    [menu] = [each for each in panel.message.inputs() if each["custom_id"] == "anima-admin:offered-models"]
    assert [option["value"] for option in menu["options"]] == ["anima-base"]
