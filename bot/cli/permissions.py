"""What the bot has to be allowed in a server, and what for."""

from collections.abc import Mapping

import discord

WHAT_FOR: Mapping[str, str] = {
    "view_channel": "to see in which channels it may post, and which of them are age-restricted",
    "send_messages": "to post a picture anew where its first message was deleted",
    "send_messages_in_threads": "the same in threads and forums",
    "attach_files": "the pictures",
    "read_message_history": "to find its own earlier pictures again, for /anima history and the buttons",
}
"""By the names that discord.py gives to permissions. Commands, buttons and its answers to them need none."""

NEEDED = discord.Permissions(**dict.fromkeys(WHAT_FOR, True))
