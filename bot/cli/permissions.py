"""The permissions that the bot needs in a server, and what they are for."""

from collections.abc import Mapping

import discord

#: By discord.py's names of permissions. Commands, buttons and the answers to them need none.
WHAT_FOR: Mapping[str, str] = {
    "view_channel": "to see where it may post, and which channels are age-restricted",
    "send_messages": "to post the image when its status message can no longer be edited but still exists",
    "send_messages_in_threads": "the same in threads and forum posts",
    "attach_files": "to attach the images",
    "read_message_history": "to find its earlier images, for /anima history and the buttons",
}

NEEDED = discord.Permissions(**dict.fromkeys(WHAT_FOR, True))
