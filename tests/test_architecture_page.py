"""The page about the architecture names every package of the project."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_every_package_of_the_bot_has_its_line() -> None:
    named = set(re.findall(r"`(?:bot/)?([a-z_]+)/", PAGE))
    there = {folder.parent.name for folder in (ROOT / "bot").glob("*/__init__.py")}
    assert not there - named, "described nowhere"
