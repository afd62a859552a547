"""What an image shows may be described only as far as it may be drawn there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.rules.permitted_tags import permitted_tags
from bot.rules.policy import ChannelContext
from bot.rules.server_settings import Safety, ServerSettings

HERE = ChannelContext(1, 20)
AFTER_DARK = replace(HERE, age_restricted=True)
ANYTHING = ServerSettings()


def kept(*tags: str, where: ChannelContext = HERE, settings: ServerSettings = ANYTHING) -> tuple[str, ...]:
    return permitted_tags(settings, where, tags)


def test_permitted_tags_stay_as_they_are() -> None:
    tags = ("1girl", "smile", "@nnn yryr", r"saber \(fate\)")
    assert kept(*tags) == tags


def test_explicit_tags_are_described_only_in_channels_that_allow_them() -> None:
    tags = ("explicit", "1girl", "nude", "smile")
    assert kept(*tags) == ("1girl", "smile")
    assert kept(*tags, where=AFTER_DARK) == tags
    assert kept(*tags, where=AFTER_DARK, settings=ServerSettings(safety=Safety(always_safe=True))) == ("1girl", "smile")


def test_words_that_a_server_blocks_are_left_out_everywhere() -> None:
    blocking = ServerSettings(safety=Safety(blocked_words=("hat", "red hair")))
    for where in (HERE, AFTER_DARK):
        assert kept("1girl", "witch hat", "red hair", "chat", where=where, settings=blocking) == ("1girl", "chat")


@pytest.mark.parametrize("order", [1, -1])
def test_beside_a_minor_nothing_sexual_is_left_however_sure_the_tagger_is(order: int) -> None:
    tags = ("nude", "child", "panties", "smile", "explicit")[::order]
    assert sorted(kept(*tags, where=AFTER_DARK)) == ["child", "smile"]


def test_a_forbidden_word_is_never_in_a_description() -> None:
    assert kept("loli", "1girl", "smile", where=AFTER_DARK) == ("1girl", "smile")
