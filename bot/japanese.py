"""The bot in Japanese: every sentence that `language.say` is given, and every name and description of a command."""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {}

COMMANDS: Mapping[str, str] = {}
