"""Which files are fetched at all."""

import pytest

from bot.messages.attachments import is_kept_by_discord


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://cdn.discordapp.com/attachments/1/2/cat.png?ex=1", True),
        ("https://cdn.discordapp.com/ephemeral-attachments/1/2/cat.png", True),
        ("https://cdn.discordapp.com.example.com/attachments/1/2/cat.png", False),
        ("https://example.com/?https://cdn.discordapp.com/attachments/1/2/cat.png", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("file:///etc/passwd", False),
    ],
)
def test_only_addresses_of_discord_are_opened(url: str, kept: bool) -> None:
    assert is_kept_by_discord(url) is kept
