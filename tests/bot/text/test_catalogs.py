"""Every catalog says all that the bot says, and what Discord and its readers can take. A new one is found by itself."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from string import Formatter
from typing import Any

import discord
import pytest
from babel.core import get_global
from babel.messages.catalog import Catalog, Message
from discord.app_commands.commands import validate_context_menu_name, validate_name

from bot.commands import register
from bot.commands.tree import AnimaCommandTree
from bot.sandbox.model.commands import SLASH, SUBCOMMAND
from bot.text.languages import ENGLISH, LANGUAGES
from bot.text.translation import Translator
from tests.bot.text.catalogs import wanted

pytestmark = pytest.mark.xdist_group("catalogs")  # read once, by one worker

MAX_COMMAND_LENGTH = 8000
MAX_NAME_LENGTH, MAX_DESCRIPTION_LENGTH = 32, 100
CATALOGS = [code for code in LANGUAGES if code != ENGLISH]

#: The letters of each script, and a character set that holds no others of their kind.
SCRIPTS = {
    "Jpan": (re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]"), "shift_jis"),
    "Hans": (re.compile(r"[\u4e00-\u9fff]"), "gb2312"),
    "Hant": (re.compile(r"[\u4e00-\u9fff]"), "big5"),
    "Kore": (re.compile(r"[\uac00-\ud7a3]"), "euc_kr"),
}
#: Words that no sentence in another language has.
ENGLISH_WORDS = re.compile(r"\b(the|of|is|are|was|and|with|this|that|not|your?|which|from|it|have)\b", re.IGNORECASE)

each_language = pytest.mark.parametrize("code", CATALOGS)


@cache
def catalog(code: str) -> Catalog:
    return LANGUAGES[code].read_catalog()


def messages(code: str) -> Iterator[tuple[str | None, str, str]]:
    """Context, English and translation, each form of a plural by itself, the first of several beside the singular."""
    for message in catalog(code):
        if not message.id:
            continue
        if message.pluralizable:
            one, many = message.id
            for form, said in enumerate(message.string):
                is_singular = form == 0 and len(message.string) > 1 and placeholders(said) == placeholders(one)
                yield message.context, one if is_singular else many, said
        else:
            yield message.context, message.id, message.string


def key(message: Message) -> tuple[str | None, str | tuple[str, str]]:
    return message.context, tuple(message.id) if message.pluralizable else message.id


def test_there_are_catalogs() -> None:
    assert "ja" in CATALOGS


# --- Complete, and not more than that ---


@each_language
def test_nothing_is_missing(code: str) -> None:
    there = {key(message) for message in catalog(code) if message.id}
    missing = [
        f"{file}: {context}, {text!r}" for (context, text), file in wanted().items() if (context, text) not in there
    ]
    assert not missing, "\n".join([f"run make translations, and translate into {code}:", *missing])


@each_language
def test_no_unused_entry_is_kept(code: str) -> None:
    outdated = [key(message) for message in catalog(code) if message.id and key(message) not in wanted()]
    outdated += list(catalog(code).obsolete)
    assert not outdated, "\n".join(map(repr, ["run make translations; nobody says:", *outdated]))


@each_language
def test_nothing_is_empty_or_left_unsure(code: str) -> None:
    empty = [text for _, text, said in messages(code) if not said]
    assert not empty, "\n".join(map(repr, [f"not translated into {code}:", *empty]))
    assert not [message.id for message in catalog(code) if message.id and message.fuzzy]


@each_language
def test_every_plural_has_as_many_forms_as_the_language(code: str) -> None:
    assert catalog(code).num_plurals == Catalog(locale=LANGUAGES[code].locale).num_plurals
    assert catalog(code).plural_expr == Catalog(locale=LANGUAGES[code].locale).plural_expr
    for message in catalog(code):
        if message.pluralizable:
            assert len(message.string) == catalog(code).num_plurals, message.id


@each_language
def test_no_entry_is_duplicated(code: str) -> None:
    """Reading would keep the last one and not tell."""
    path = LANGUAGES[code].path
    assert path is not None
    entries = re.findall(r'^(?:msgctxt .*\n)?msgid (?:".*"\n)+', path.read_text("utf-8"), re.MULTILINE)
    assert [entry for entry, times in Counter(entries).items() if times > 1] == []


# --- What a sentence becomes ---


def placeholders(sentence: str) -> set[tuple[str, str]]:
    return {(name, form or "") for _, name, form, _ in Formatter().parse(sentence) if name is not None}


def markup(sentence: str) -> Counter[str]:
    """What has to look the same on both sides: code, bold words, headings, small print, block quotes."""
    counted = Counter(re.findall(r"`[^`]*`", sentence))
    counted["**"] = sentence.count("**")
    counted += Counter(line.split(" ")[0] for line in sentence.splitlines() if line.startswith(("#", "-# ", "> ")))
    return counted


def translated(code: str, context: str, text: str) -> str:
    message = catalog(code).get(text, context)
    return message.string if message is not None and message.string else text


def with_options_of(code: str, sentence: str) -> str:
    """Code with the options' names as a reader sees them: in Japanese `negative:` is `ネガティブ:`, `rows` is `行`."""
    return re.sub(
        r"(?<=[` ])([a-z_]+)(?=:[^/])|(?<=`)([a-z_]+)(?=`)",
        lambda name: translated(code, "option name", name[0]),
        sentence,
    )


def script(code: str) -> str:
    """What a language is written in, such as Hans, as CLDR says."""
    locale = LANGUAGES[code].locale
    return locale.script or str(get_global("likely_subtags")[locale.language]).split("_")[1]


def without_names(text: str) -> str:
    """The words that can be translated: no code, no gaps, no addresses, none of the names that stay what they are."""
    return re.sub(r"`[^`]*`|\{\w+\}|\*Anima: [^*]*\*|(?i:LoRAs?|CFG|turbo)|\*\*Manage Server\*\*", " ", text)


@each_language
def test_both_sides_have_the_same_gaps(code: str) -> None:
    for _, text, said in messages(code):
        assert placeholders(said) == placeholders(text), text


@each_language
def test_both_sides_have_the_same_code_and_markdown(code: str) -> None:
    for _, text, said in messages(code):
        assert markup(said) == markup(with_options_of(code, text)), text


@each_language
def test_both_sides_begin_and_end_alike(code: str) -> None:
    for _, text, said in messages(code):
        assert said.strip() == said or text.strip() != text, text
        assert said.count("\n") == text.count("\n"), text


@each_language
def test_no_sentence_is_left_in_english(code: str) -> None:
    for context, text, said in messages(code):
        if context == "command name":
            continue
        assert not ENGLISH_WORDS.search(without_names(said)), said
        if len(re.findall(r"[A-Za-z]{2,}", without_names(text))) > 2:
            assert said != text


@each_language
def test_a_language_is_written_in_its_script(code: str) -> None:
    """Except for what is the same everywhere, such as signs."""
    letters, characters = SCRIPTS.get(script(code), (None, None))
    for context, text, said in messages(code):
        if letters is None or characters is None or context == "command name":
            continue
        assert letters.search(said) or not re.search(r"[A-Za-z]{2}", without_names(said)), text
        "".join(letters.findall(said)).encode(characters)


@each_language
def test_menus_are_named_as_a_reader_sees_them(code: str) -> None:
    for _, text, said in messages(code):
        for menu in re.findall(r"\*(Anima: [\w ]+)\*", text):
            assert f"*{translated(code, 'menu', menu)}*" in said


# --- Commands ---


@cache
def registered() -> list[dict[str, Any]]:
    """Every command as discord.py sends it."""

    async def payloads() -> list[dict[str, Any]]:
        tree = AnimaCommandTree(discord.Client(intents=discord.Intents.none()))  # type: ignore[arg-type]
        translator = Translator()
        await tree.set_translator(translator)
        register(tree, can_describe=True)
        commands = tree.get_commands()
        return [json.loads(json.dumps(await command.get_translated_payload(tree, translator))) for command in commands]

    return asyncio.run(payloads())


def parts(command: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A command with its subcommands, options and choices."""
    yield dict(command)
    for part in (*command.get("options", ()), *command.get("choices", ())):
        yield from parts(part)


@each_language
def test_every_command_option_and_choice_is_called_something_that_discord_takes(code: str) -> None:
    for command in registered():
        for part in parts(command):
            is_choice, is_menu = "value" in part, command.get("type", SLASH) != SLASH
            name = (part.get("name_localizations") or {}).get(code, part["name"])
            if is_choice:
                assert 1 <= len(name) <= MAX_DESCRIPTION_LENGTH
            elif is_menu:
                assert validate_context_menu_name(name)
            else:
                assert validate_name(name) and len(name) <= MAX_NAME_LENGTH
            if "description" in part:
                assert 1 <= len(part["description_localizations"][code]) <= MAX_DESCRIPTION_LENGTH


@each_language
def test_commands_are_called_the_same_everywhere_for_every_text_names_them_so(code: str) -> None:
    slash = [command for command in registered() if command["type"] == SLASH]
    commands = [*slash, *(part for command in slash for part in command["options"] if part["type"] == SUBCOMMAND)]
    assert len(commands) > len(slash)
    assert all(command["name_localizations"][code] == command["name"] for command in commands)


@each_language
def test_no_two_options_of_a_command_share_a_name(code: str) -> None:
    for command in registered():
        for part in parts(command):
            for siblings in (part.get("options", ()), part.get("choices", ())):
                names = [(sibling.get("name_localizations") or {}).get(code, sibling["name"]) for sibling in siblings]
                assert len(names) == len(set(names))


def test_each_command_has_few_enough_characters_in_its_longest_language() -> None:
    for command in registered():
        assert sum(map(longest, parts(command))) < MAX_COMMAND_LENGTH


def longest(part: Mapping[str, Any]) -> int:
    """Characters of a name, a description and a value, each in its longest language, as Discord counts them."""
    texts = (
        (part["name"], *(part.get("name_localizations") or {}).values()),
        (part.get("description", ""), *(part.get("description_localizations") or {}).values()),
        (str(part.get("value", "")),),
    )
    return sum(max(map(len, each)) for each in texts)
