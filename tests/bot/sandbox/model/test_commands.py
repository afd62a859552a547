"""Commands: what Discord refuses when they are registered."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from discord import app_commands
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox import FakeDiscord
from bot.sandbox.model.commands import characters, check_command
from bot.sandbox.model.errors import ApiError, FormErrors
from bot.sandbox.model.schema import check_types
from tests.bot.sandbox.conftest import SpecimenStage, request_as_bot


def command(*options: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "draw", "description": "Draws.", "options": list(options)} | more


def option(name: str = "prompt", type: int = 3, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "d", "type": type} | more


def choices(count: int, value: Any = "v") -> list[dict[str, Any]]:
    return [{"name": f"{number}", "value": value} for number in range(count)]


REFUSED = {
    "a name of 33 characters": command(name="x" * 33),
    "a name with capitals": command(name="Draw"),
    "a name with spaces": command(name="draw it"),
    "no description": command(description=""),
    "a description of 101 characters": command(description="x" * 101),
    "26 options": command(*(option(f"o{number}") for number in range(26))),
    "a required option after an optional one": command(option("a"), option("b", required=True)),
    "two options of one name": command(option("a"), option("a")),
    "26 choices": command(option(choices=choices(26))),
    "a choice name of 101 characters": command(option(choices=[{"name": "x" * 101, "value": "v"}])),
    "two choices of one name": command(option(choices=choices(1) + choices(1))),
    "a choice of the wrong type": command(option(type=4, choices=choices(1, "v"))),
    "choices and autocomplete": command(option(choices=choices(1), autocomplete=True)),
    "autocomplete of a user": command(option(type=6, autocomplete=True)),
    "a smallest value for text": command(option(min_value=3)),
    "a smallest value above the largest": command(option(type=4, min_value=3, max_value=2)),
    "an unknown type of option": command(option(type=12)),
    "subcommands beside options": command(option(), option("sub", 1)),
    "a subcommand in a subcommand": command(option("sub", 1, options=[option("deeper", 1)])),
    "a group in a group": command(option("group", 2, options=[option("deeper", 2)])),
    "a group with a plain option": command(option("group", 2, options=[option()])),
    "more than 8,000 characters": command(
        *(option(f"o{n}", choices=[{"name": f"{i:0100}", "value": f"{i:0100}"} for i in range(25)]) for n in range(2))
    ),
    "a menu with a description": {"name": "Parameters", "type": 3, "description": "d"},
    "a menu with options": {"name": "Parameters", "type": 3, "options": [option()]},
    "an unknown type of command": command(type=9),
}


@pytest.mark.parametrize("case", REFUSED)
def test_discord_refuses(case: str) -> None:
    standin = FakeDiscord()
    with pytest.raises(ApiError) as refusal:
        standin.commands.overwrite(None, [REFUSED[case]])
    assert refusal.value.refusal.code == 50035
    assert refusal.value.errors is not None and set(refusal.value.errors) == {"0"}
    assert standin.commands.of(None) == []


def test_names_are_unique_for_each_type_and_there_are_at_most_100() -> None:
    standin = FakeDiscord()
    menu = {"name": "draw", "type": 3}
    assert len(standin.commands.overwrite(None, [command(), menu])) == 2
    for definitions in ([command(), command()], [command(name=f"c{number}") for number in range(101)]):
        with pytest.raises(ApiError):
            standin.commands.overwrite(None, definitions)


def test_a_command_keeps_its_id_when_it_is_registered_again() -> None:
    standin = FakeDiscord()
    [first] = standin.commands.overwrite(None, [command()])
    [again, _] = standin.commands.overwrite(None, [command(description="Draws better."), command(name="other")])
    assert first["id"] == again["id"] and first["version"] != again["version"]


def test_a_servers_own_command_hides_the_one_for_everyone() -> None:
    standin = FakeDiscord()
    standin.commands.overwrite(None, [command()])
    [own] = standin.commands.overwrite(standin.world.guild.id, [command(description="Draws here.")])
    assert standin.commands.visible_in(standin.world.guild.id) == [own]
    assert standin.commands.visible_in(standin.world.elsewhere.id)[0]["description"] == "Draws."


def test_names_in_any_script_are_taken() -> None:
    for name in ("zeichne", "描く", "рисуй", "draw-it_2"):
        errors = FormErrors()
        check_command(command(name=name), (), errors)
        errors.raise_if_any()


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=5))
def test_characters_count_names_descriptions_and_values(texts: list[tuple[str, str]]) -> None:
    options = [option(name, description=text, choices=[{"name": text, "value": name}]) for name, text in texts]
    expected = len("draw" + "Draws.") + sum(2 * (len(name) + len(text)) for name, text in texts)
    assert characters(command(*options)) == expected


KEYS = """
    name description options choices type required value min_value max_value min_length autocomplete
    contexts name_localizations default_member_permissions
"""
keys = st.sampled_from(KEYS.split())
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 12) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=15,
)


@given(st.lists(anything | st.dictionaries(keys, anything).map(lambda more: command(option()) | more), max_size=3))
def test_definitions_of_any_shape_are_taken_or_refused_but_break_nothing(definitions: list[Any]) -> None:
    standin = FakeDiscord()
    errors = FormErrors()
    try:
        check_types(definitions, errors)
        errors.raise_if_any()
        assert len(standin.commands.overwrite(None, definitions)) == len(definitions)
    except ApiError as error:
        assert error.refusal.code == 50035


def test_localisations_count_with_their_longest() -> None:
    localised = command(description_localizations={"de": "Zeichnet Bilder.", "ja": "描く"})
    assert characters(localised) == len("draw") + len("Zeichnet Bilder.")


async def test_single_commands_are_made_changed_and_removed(standin: FakeDiscord) -> None:
    path = f"/applications/{standin.world.application.id}/commands"
    status, made = await request_as_bot(standin, "POST", path, command())
    assert (status, made["name"]) == (201, "draw")
    assert (await request_as_bot(standin, "POST", path, command()))[0] == 200
    one = f"{path}/{made['id']}"
    status, changed = await request_as_bot(standin, "PATCH", one, {"description": "Draws better."})
    assert (status, changed["description"], changed["id"]) == (200, "Draws better.", made["id"])
    assert (await request_as_bot(standin, "GET", one))[1] == changed
    assert (await request_as_bot(standin, "DELETE", one))[0] == 204
    assert (await request_as_bot(standin, "GET", one))[1]["code"] == 10063
    assert (await request_as_bot(standin, "GET", path))[1] == []
    assert (await request_as_bot(standin, "GET", "/applications/1/commands"))[1]["code"] == 10002


async def test_discord_py_reads_why_a_sync_was_refused(stage: SpecimenStage) -> None:
    @stage.bot.tree.command(description="x" * 100)
    @app_commands.describe(a="d", b="d")
    async def wrong(interaction: discord.Interaction, a: str, b: str = "") -> None: ...

    stage.bot.tree.get_command("wrong")._params["b"].required = True
    stage.bot.tree.get_command("wrong")._params["a"].required = False
    with pytest.raises(app_commands.CommandSyncFailure, match="Required options must be placed before"):
        await stage.bot.tree.sync()


async def test_guild_commands_are_synced_to_their_guild(stage: SpecimenStage) -> None:
    guild = discord.Object(stage.discord.world.guild.id)
    stage.bot.tree.copy_global_to(guild=guild)
    assert {c.name for c in await stage.bot.tree.sync(guild=guild)} == {
        c["name"] for c in stage.discord.commands.of(None)
    }
    assert len(stage.discord.commands.of(guild.id)) == 5
    assert {c.name for c in await stage.bot.tree.fetch_commands(guild=guild)} >= {"anima"}
