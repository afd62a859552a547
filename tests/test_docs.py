"""What the documentation names is there: files, commands, options, settings, metrics, sentences."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.app_commands import Command, Group

from bot.__main__ import _parser
from bot.commands import register
from bot.ops.metrics import Metrics
from bot.ops.settings import Settings

ROOT = Path(__file__).parents[1]
#: Not settings of the bot, but variables that systems have for all programs.
SYSTEMS_OWN = {"XDG_CACHE_HOME"}
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted((ROOT / "docs").glob("*.md"))
CODE = re.compile(r"^ {4}(.+)$|`([^`\n]+)`", re.MULTILINE)


def text_of(pages: list[Path] = PAGES) -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def code_in(text: str) -> Iterator[str]:
    """Indented lines, and what stands between backticks."""
    for line, span in CODE.findall(text):
        yield line or span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_existing_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if not link.startswith("https://"):
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.name} links to {link}"


def test_named_files_exist() -> None:
    named = {
        word
        for code in code_in(text_of())
        for word in code.split()
        if re.fullmatch(r"(bot|inference|storage|tests|docs)/[\w./-]+", word)
    }
    assert len(named) > 20
    for name in named - {"storage/migrations/versions/"}:
        assert (ROOT / name).exists(), f"{name} is named but not there"


def test_names_in_code_style_exist() -> None:
    """Classes, functions and constants between backticks."""
    patterns = ("(?:[A-Z][a-z]+){2,}", "[a-z]+(?:_[a-z]+)+", "[A-Z]+(?:_[A-Z]+)+")
    spans = {span for code in code_in(text_of()) for span in code.split()}
    named = {span for span in spans if any(re.fullmatch(pattern, span) for pattern in patterns)}
    assert len(named) > 20
    words = {
        word
        for folder in ("bot", "inference", "storage", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for word in re.findall(r"\w+", path.read_text("utf-8"))
    }
    assert {name for name in named if name not in words and name.lower() not in words} == set()


def command_lines() -> list[str]:
    """Everything after `anima` wherever it is typed into a shell."""
    pattern = re.compile(r"(?:^|(?<=\s)|(?<=bin/))(?<!`/)anima (?!anima )([a-z].*)")
    found = [match[1] for code in code_in(text_of()) if (match := pattern.search(code))]
    return [re.split(r"\s+#", line)[0].strip() for line in found]


def test_every_command_line_parses() -> None:
    lines = command_lines()
    assert {"run", "invite", "download --yes", "doctor --load", "sandbox --port 9753"} <= set(lines)
    for line in lines:
        _parser().parse_args(shlex.split(line))


def test_every_command_of_the_shell_is_documented() -> None:
    subcommands = _parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    documented = {line.split()[0] for line in command_lines()}
    assert set(subcommands) - {"start", "generate"} <= documented


@pytest.fixture
def tree() -> app_commands.CommandTree:
    tree = app_commands.CommandTree(discord.Client(intents=discord.Intents.none()))
    register(tree, has_operators=True, can_describe=True)  # type: ignore[arg-type]
    return tree


def test_named_slash_commands_and_options_exist(tree: app_commands.CommandTree[Any]) -> None:
    commands = {command.qualified_name: command for command in tree.walk_commands()}
    groups = {name for name, command in commands.items() if isinstance(command, Group)}
    named = set(re.findall(r"`/(anima[\w-]*(?: [a-z]+)?)", text_of()))
    assert len(named) > 5
    assert named <= set(commands), named - set(commands)
    options = {
        parameter.name
        for command in commands.values()
        if isinstance(command, Command)
        for parameter in command.parameters
    }
    said = set(re.findall(r"`([a-z_]+):(?:True|\d)", (ROOT / "docs" / "prompting.md").read_text(encoding="utf-8")))
    assert said and said <= options
    every = {name for name in commands if name not in groups and name not in ("anima-admin", "anima-operator")}
    help_page = (ROOT / "bot" / "commands" / "help.py").read_text(encoding="utf-8")
    assert {name for name in every if f"`/{name}`" not in help_page} <= {"anima help", "anima imagine"}


def test_named_settings_exist() -> None:
    known = {name.upper() for name in Settings.model_fields}
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)\b", text_of([ROOT / "README.md", ROOT / "docs" / "operating.md"])))
    assert {"DISCORD_TOKEN", "DATABASE_URL", "HEALTH_PORT"} <= named
    assert named <= known | SYSTEMS_OWN, named - known


def test_compiled_code_is_kept_in_docker_where_it_is_said_to_be_in_the_volume() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    [folder] = re.findall(r"XDG_CACHE_HOME=(\S+)", dockerfile)
    [volumes] = re.findall(r"^VOLUME (.*)$", dockerfile, re.MULTILINE)
    assert any(Path(folder).is_relative_to(volume) for volume in json.loads(volumes))
    assert f"`{folder}` in Docker" in (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def test_named_metrics_exist() -> None:
    measured = {metric.name for metric in Metrics().registry.collect()}
    measured |= set(re.findall(r'"(anima_\w+)"', (ROOT / "bot" / "ops" / "health.py").read_text(encoding="utf-8")))
    named = set(re.findall(r"\b(anima_[a-z_]+)", text_of([ROOT / "docs" / "operating.md"])))
    assert {name.removesuffix("_total") for name in named} == {name for name in measured if name.startswith("anima_")}


def test_quoted_error_messages_exist() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    table = page[page.index("| it says | do |") :].split("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert len(rows) > 15
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("bot", "storage", "inference")
        for path in (ROOT / folder).rglob("*.py")
    )
    said = re.sub(r'"\s*\n\s*f?"', "", sources)  # a sentence over several lines
    for row in rows:
        pieces = [
            piece.strip() for piece in re.split(r"…|DISCORD_TOKEN: |\(sandbox\)|line \d|\.env|SIGKILL|, or .*", row)
        ]
        longest = max(pieces, key=len)
        assert longest in said, f"nobody says {longest!r}"
