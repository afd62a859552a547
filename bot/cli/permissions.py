"""The permissions that the bot needs in a server, each with its reason."""

from collections.abc import Mapping

import discord

#: Keys are discord.py's names. Commands, buttons and their answers need no permissions.
WHAT_FOR: Mapping[str, str] = {
    "view_channel": "to see where it may post, and which channels are age-restricted",
    "send_messages": "to post the image when its status message can no longer be edited but still exists",
    "send_messages_in_threads": "the same in threads and forum posts",
    "attach_files": "to attach the images",
    "read_message_history": "to find its earlier images, for /anima history and the buttons",
}

NEEDED = discord.Permissions(**dict.fromkeys(WHAT_FOR, True))
