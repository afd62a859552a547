"""Everything that the bot says has Japanese that says the same, and every command has Japanese that Discord takes.

What is said is found in the code itself: whatever stands in a `say(...)` of any module, as it is when imported.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import discord
import pytest
from discord.app_commands.commands import validate_context_menu_name, validate_name

import bot
from bot.commands import register
from bot.commands.admin.text import STATES
from bot.components.base import AnimaCommandTree
from bot.sandbox import Channel, FakeDiscord, User
from bot.sandbox.model.commands import SLASH, SUBCOMMAND
from bot.text.japanese import COMMANDS, SENTENCES
from bot.text.translation import Translator
from inference.request import SAMPLERS, SCHEDULERS
from storage.schema import JobState
from tests.bot.harness import Stage

BOT = Path(bot.__file__).parent
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
MAX_CHARACTERS = 8000
MAX_NAME_LENGTH, MAX_DESCRIPTION_LENGTH = 32, 100


# --- What is said ---


def modules() -> Iterator[tuple[str, Path]]:
    for file in sorted(BOT.rglob("*.py")):
        parts = ("bot", *file.relative_to(BOT).with_suffix("").parts)
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


@cache
def said() -> dict[str, str]:
    """Every sentence that is given to `say`, and where."""
    found: dict[str, str] = {}
    for name, file in modules():
        calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if is_say(node)]
        module = importlib.import_module(name) if calls and name != "bot.text.translation" else None
        for call in calls if module is not None else ():
            where = f"{file.relative_to(BOT.parent)}:{call.lineno}"
            for sentence in meant(call.args[0], vars(module), where):
                assert isinstance(sentence, str), f"{where}: say() is given {sentence!r}"
                found.setdefault(sentence, where)
    return found


def is_say(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say"


def meant(node: ast.expr, names: Mapping[str, Any], where: str) -> list[Any]:
    """Every value that an expression may have, as far as a module's own names say."""
    match node:
        case ast.Constant(value):
            return [value]
        case ast.IfExp(body=one, orelse=other):
            return [*meant(one, names, where), *meant(other, names, where)]
        case ast.Name(id) if id in names:
            return [names[id]]
        case ast.Attribute(value, attribute):
            return [getattr(owner, attribute) for owner in meant(value, names, where)]
        case ast.Subscript(value):
            return [each for owner in meant(value, names, where) for each in values_of(owner)]
    raise AssertionError(f"{where}: say({ast.unparse(node)}): which sentences that may be does not stand in the module")


def values_of(owner: Any) -> list[Any]:
    match owner:
        case Mapping():
            return list(owner.values())
        case str():
            raise AssertionError(f"a part of the text {owner!r} is no sentence")
        case Sequence():
            return list(owner)
    raise AssertionError(f"{owner!r} has no values to be said")


def test_what_is_said_is_found() -> None:
    assert "This is for people with the permission **Manage Server**." in said()
    assert {"Deleted.", "1 job", "{count} cancelled", "Overview"} <= said().keys()
    assert len(said()) > 250


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("'a'", ["a"]),
        ("A if x else 'b'", ["a", "b"]),
        ("TABLE[key]", ["a", "b"]),
        ("TABLE[key] if key else A", ["a", "b", "a"]),
        ("ROW[0].real", [1, 2]),
    ],
)
def test_expressions_are_followed_to_what_they_may_be(expression: str, values: list[Any]) -> None:
    names = {"A": "a", "TABLE": {1: "a", 2: "b"}, "ROW": (1, 2)}
    assert meant(ast.parse(expression, mode="eval").body, names, "here") == values


@pytest.mark.parametrize("expression", ["f'{A} b'", "x", "A + 'b'", "A[0]", "f()"])
def test_what_cannot_be_followed_is_a_mistake(expression: str) -> None:
    with pytest.raises(AssertionError):
        meant(ast.parse(expression, mode="eval").body, {"A": "a"}, "here")


def test_every_sentence_has_japanese() -> None:
    missing = [f"{where}: {sentence!r}" for sentence, where in said().items() if sentence not in SENTENCES]
    assert not missing, "\n".join(["no Japanese for:", *missing])


def test_no_japanese_is_kept_for_what_nobody_says() -> None:
    unused = [sentence for sentence in SENTENCES if sentence not in said()]
    assert not unused, "\n".join(map(repr, ["nobody says:", *unused]))


# --- What it becomes ---


def placeholders(sentence: str) -> set[tuple[str, str]]:
    return {(name, form or "") for _, name, form, _ in Formatter().parse(sentence) if name is not None}


def markup(sentence: str) -> Counter[str]:
    """What has to look the same on both sides: code, bold words, headings, small print, block quotes."""
    counted = Counter(re.findall(r"`[^`]*`", sentence))
    counted["**"] = sentence.count("**")
    counted += Counter(line.split(" ")[0] for line in sentence.splitlines() if line.startswith(("#", "-# ", "> ")))
    return counted


def with_japanese_options(sentence: str) -> str:
    """Code with the options' names as a Japanese reader sees them: `negative:` is `ネガティブ:`, `rows` is `行`."""
    return re.sub(
        r"(?<=[` ])([a-z_]+)(?=:[^/])|(?<=`)([a-z_]+)(?=`)", lambda name: COMMANDS.get(name[0], name[0]), sentence
    )


@pytest.mark.parametrize("sentence", SENTENCES)
def test_both_sides_have_the_same_gaps(sentence: str) -> None:
    assert placeholders(SENTENCES[sentence]) == placeholders(sentence)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_both_sides_have_the_same_code_and_markdown(sentence: str) -> None:
    assert markup(SENTENCES[sentence]) == markup(with_japanese_options(sentence))


def test_japanese_is_japanese() -> None:
    """Save for what is the same everywhere, such as signs."""
    same = [sentence for sentence, japanese in SENTENCES.items() if not JAPANESE.search(japanese)]
    words = [re.sub(r"\{\w+\}|LoRAs?", "", sentence) for sentence in same]
    assert all(not re.search(r"[A-Za-z]{2}", sentence) for sentence in words), same


def test_a_catalogue_names_nothing_twice() -> None:
    """A dictionary would keep the last one and not tell."""
    tree = ast.parse((BOT / "text" / "japanese.py").read_text("utf-8"))
    for table in (node for node in ast.walk(tree) if isinstance(node, ast.Dict)):
        keys = [ast.literal_eval(key) for key in table.keys if key is not None]
        assert [key for key, times in Counter(keys).items() if times > 1] == []


def test_help_names_menus_as_a_japanese_reader_sees_them() -> None:
    for english, japanese in SENTENCES.items():
        for menu in re.findall(r"\*(Anima: \w+)\*", english):
            assert f"*{COMMANDS[menu]}*" in japanese


# --- Commands ---


async def registered() -> list[dict[str, Any]]:
    """Every command as discord.py sends it."""
    client = discord.Client(intents=discord.Intents.none())
    tree = AnimaCommandTree(client)  # type: ignore[arg-type]
    translator = Translator()
    await tree.set_translator(translator)
    register(tree)
    commands = tree.get_commands()
    return [json.loads(json.dumps(await command.get_translated_payload(tree, translator))) for command in commands]


def parts(command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A command with its subcommands, options and choices."""
    yield command
    for part in (*command.get("options", ()), *command.get("choices", ())):
        yield from parts(part)


async def test_every_command_option_and_choice_has_japanese_that_discord_takes() -> None:
    for command in await registered():
        for part in parts(command):
            if "value" in part and part["value"] in (*SAMPLERS, *SCHEDULERS):
                continue  # they are called so in every language
            name = part["name_localizations"]["ja"]
            is_choice, is_menu = "value" in part, command.get("type", SLASH) != SLASH
            if is_choice:
                assert 1 <= len(name) <= MAX_DESCRIPTION_LENGTH
            elif is_menu:
                assert validate_context_menu_name(name)
            else:
                assert validate_name(name)
            if "description" in part:
                assert 1 <= len(part["description_localizations"]["ja"]) <= MAX_DESCRIPTION_LENGTH


async def test_commands_are_called_the_same_in_japanese_for_every_text_names_them_so() -> None:
    slash = [command for command in await registered() if command["type"] == SLASH]
    commands = [*slash, *(part for command in slash for part in command["options"] if part["type"] == SUBCOMMAND)]
    assert len(commands) > len(slash)
    assert all(command["name_localizations"]["ja"] == command["name"] for command in commands)


async def test_no_two_options_of_a_command_share_a_japanese_name() -> None:
    for command in await registered():
        for part in parts(command):
            for siblings in (part.get("options", ()), part.get("choices", ())):
                names = [sibling.get("name_localizations", {}).get("ja", sibling["name"]) for sibling in siblings]
                assert len(names) == len(set(names))


async def test_each_command_has_few_enough_characters_in_its_longest_language() -> None:
    for command in await registered():
        assert sum(map(longest, parts(command))) < MAX_CHARACTERS


def longest(part: dict[str, Any]) -> int:
    """Characters of a name, a description and a value, each in its longest language, as Discord counts them."""
    texts = (
        (part["name"], *(part.get("name_localizations") or {}).values()),
        (part.get("description", ""), *(part.get("description_localizations") or {}).values()),
        (str(part.get("value", "")),),
    )
    return sum(max(map(len, each)) for each in texts)


@pytest.mark.parametrize("english", COMMANDS)
def test_what_is_not_registered_yet_keeps_the_rules_too(english: str) -> None:
    japanese = COMMANDS[english]
    if re.fullmatch(r"[a-z_-]+", english):
        assert validate_name(japanese)
    assert 1 <= len(japanese) <= MAX_DESCRIPTION_LENGTH


# --- From end to end ---


@pytest.fixture
def hanako(standin: FakeDiscord) -> User:
    """A member and moderator of the server who reads Japanese."""
    world = standin.world
    hanako = replace(world.add_user("hanako"), locale="ja")
    world.users[hanako.id] = hanako
    world.guild.add_member(hanako, world.moderator)
    return hanako


async def test_the_commands_are_offered_in_japanese(stage: Stage) -> None:
    [anima] = [command for command in stage.discord.commands.of(None) if command["name"] == "anima"]
    assert anima["description_localizations"]["ja"] == COMMANDS[anima["description"]]


async def test_two_people_at_once_are_answered_each_in_their_language(stage: Stage, hanako: User) -> None:
    hers, alices = await asyncio.gather(stage.answer("queue", hanako), stage.answer("queue"))
    assert "待っている画像も生成中の画像もありません。" in hers.text
    assert "Nothing waits and nothing is being drawn." in alices.text


async def test_buttons_answer_in_japanese_also_after_a_restart(stage: Stage, hanako: User) -> None:
    message = await stage.answer("privacy", hanako)
    await stage.restart()
    question = await stage.turned(message, "すべて消去…", hanako)
    assert "すべて消去しますか？" in question.text
    kept = await stage.turned(question, "何も消さない", hanako)
    assert kept.text == SENTENCES["Nothing was erased."]


async def test_who_is_blocked_reads_why_in_japanese(stage: Stage, hanako: User) -> None:
    await stage.database.servers.block(stage.general.guild.id, hanako.id, by=1)
    refused = await refusal(stage, hanako, stage.general, "1girl")
    assert (
        refused
        == SENTENCES["You cannot draw here at the moment. If you think that is a mistake, ask who runs the server."]
    )


async def test_a_refused_prompt_is_named_in_a_japanese_sentence(stage: Stage, hanako: User) -> None:
    words = [f"word{number}" for number in range(5)]
    await stage.database.servers.change(stage.general.guild.id, {"safety": {"blocked_words": words}}, by=1)
    refused = await refusal(stage, hanako, stage.general, ", ".join(words))
    assert "word0、word1、word2 ほか2件" in refused
    assert JAPANESE.search(refused.replace("word", ""))


async def refusal(stage: Stage, user: User, where: Channel, prompt: str) -> str:
    interaction = await stage.slash("imagine", user, where, prompt=prompt)
    await interaction.acknowledged()
    told = await interaction.followup()
    assert told.is_ephemeral
    return told.text


async def test_the_admin_panel_and_its_forms_are_japanese(stage: Stage, hanako: User) -> None:
    sent = await stage.discord.slash(hanako, stage.general, "anima-admin")
    panel = await sent.response()
    assert "このサーバーの Anima" in panel.text
    for page in ("defaults", "limits", "quota", "access", "safety", "words", "people", "log", "statistics"):
        sent = await stage.discord.choose(hanako, panel, "anima-admin:open", (page,))
        panel = await sent.response()
        assert all(JAPANESE.search(line) for line in panel.text.splitlines())
        for control in panel.inputs():
            if control["custom_id"].startswith("anima-admin:form-"):
                pressed = await stage.discord.press(hanako, panel, custom_id=control["custom_id"])
                assert all(JAPANESE.search(label) for label, _ in (await pressed.modal()).inputs())
    sent = await stage.discord.choose(hanako, panel, "anima-admin:open", ("limits",))
    panel = await sent.response()
    form = await (await stage.discord.press(hanako, panel, label="サイズとステップ数")).modal()
    labels = [label for label, _ in form.inputs()]
    assert labels == ["長辺の上限", "メガピクセル", "ステップ数"]
    sent = await stage.discord.submit(hanako, form, {"ステップ数": "たくさん"})
    assert "何も保存していません。 **ステップ数** は整数で入力してください。" in (await sent.response()).text


@pytest.mark.parametrize("state", JobState)
def test_every_state_of_a_job_has_a_name_in_statistics(state: JobState) -> None:
    assert STATES[state] in SENTENCES
