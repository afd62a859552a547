"""The page about the architecture names every module of the bot and of storage."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_every_module_of_the_bot_has_its_line() -> None:
    named = set(re.findall(r"`(?:bot/)?([a-z_/]+(?:\.py|/))`", PAGE))
    there = {file.name for file in (ROOT / "bot").glob("*.py")} - {"__init__.py"}
    there |= {f"{folder.parent.name}/" for folder in (ROOT / "bot").glob("*/__init__.py")}
    assert not there - named, "described nowhere"


def test_every_module_of_storage_has_its_word() -> None:
    there = {file.stem for file in (ROOT / "storage").glob("*.py")} - {"__init__", "benchmark", "clock", "refusal"}
    assert {name for name in there if f"`{name}`" not in PAGE} == set()
