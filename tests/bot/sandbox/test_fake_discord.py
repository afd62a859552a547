"""A bot in a process of its own, as an operator runs it, in front of the stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from bot.sandbox import FakeDiscord

BOT = """
    import asyncio, os, discord
    from discord import app_commands
    from bot.ops.endpoints import point_discord_at

    class Bot(discord.Client):
        async def setup_hook(self):
            tree = app_commands.CommandTree(self)
            @tree.command(description="d")
            async def ping(interaction: discord.Interaction):
                await interaction.response.send_message(f"pong from {os.getpid()}")
            await tree.sync()

    point_discord_at(os.environ["DISCORD_API_URL"], os.environ["DISCORD_GATEWAY_URL"])
    Bot(intents=discord.Intents(guilds=True)).run(os.environ["DISCORD_TOKEN"], log_handler=None)
"""


async def test_a_bot_in_another_process_is_killed_and_replaced(standin: FakeDiscord) -> None:
    addresses = {"DISCORD_API_URL": standin.api_url, "DISCORD_GATEWAY_URL": standin.gateway_url}
    environment = os.environ | addresses | {"DISCORD_TOKEN": standin.token}
    pids = []
    for _ in range(2):
        bot = subprocess.Popen([sys.executable, "-c", textwrap.dedent(BOT)], env=environment)
        try:
            await standin.wait_until_ready()
            ping = await standin.slash(standin.world.alice, standin.world.general, "ping")
            assert (await ping.response()).content == f"pong from {bot.pid}"
            pids.append(bot.pid)
        finally:
            bot.kill()
            bot.wait()
        await standin.wait_until_gone()
    assert len(set(pids)) == 2
