"""Time, ids, permissions, addresses, and what a page can see of it all."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime

import discord
import pytest
from discord.asset import Asset
from discord.gateway import DiscordWebSocket
from discord.http import Route
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from bot.ops.endpoints import point_discord_at
from bot.sandbox import Clock, FakeDiscord, Permissions
from bot.sandbox.model.clock import Snowflakes, moment_of, snowflake_at
from bot.sandbox.model.permissions import ALL_PERMISSIONS
from bot.sandbox.model.world import Channel, Guild, Overwrite, Role, User, permissions_in_channel


@given(st.floats(1_500_000_000, 3_000_000_000))
def test_snowflakes_encode_their_moment_as_discord_py_reads_it(moment: float) -> None:
    snowflake = snowflake_at(moment)
    assert abs(moment_of(snowflake) - moment) <= 0.001
    assert abs(discord.utils.snowflake_time(snowflake).timestamp() - moment) <= 0.001


@given(st.lists(st.floats(0, 10), max_size=30))
def test_snowflakes_rise_whatever_the_clock_does(steps: list[float]) -> None:
    clock = Clock(frozen_at=1_700_000_000.0)
    snowflakes = Snowflakes(clock)
    made = [snowflakes.next()]
    for step in steps:
        clock.turn(step)
        made.append(snowflakes.next())
    assert made == sorted(set(made))


async def test_a_standing_clock_moves_only_when_turned_and_wakes_sleepers() -> None:
    clock = Clock(frozen_at=datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    start = clock.now()
    sleeper = asyncio.create_task(clock.sleep_until(start + 10))
    await asyncio.sleep(0.01)
    clock.turn(9.9)
    await asyncio.sleep(0.01)
    assert not sleeper.done() and clock.now() == start + 9.9
    clock.turn(0.2)
    await asyncio.wait_for(sleeper, 1)
    with pytest.raises(ValueError, match="only turns forward"):
        clock.turn(-1)


async def test_a_running_clock_wakes_by_itself() -> None:
    clock = Clock()
    await asyncio.wait_for(clock.sleep_until(clock.now() + 0.02), 2)


async def test_the_same_world_comes_out_every_time() -> None:
    async def play() -> list[int]:
        standin = FakeDiscord(clock=Clock(frozen_at=1_780_000_000.0))
        message = await standin.say(standin.world.alice, standin.world.general, "hello")
        return [*standin.world.users, *(c.id for c in standin.world.channels()), message.id]

    assert await play() == await play()


masks = st.integers(0, (1 << 51) - 1).map(Permissions).filter(lambda p: not p & Permissions.ADMINISTRATOR)


@given(everyone=masks, of_role=masks, allow=masks, deny=masks, own_allow=masks, own_deny=masks)
def test_permissions_are_those_discord_py_computes(everyone, of_role, allow, deny, own_allow, own_deny) -> None:
    owner, user = User(1, "o", "O"), User(2, "u", "U")
    at_everyone, role = Role(10, "@everyone", everyone), Role(11, "r", of_role)
    guild = Guild(10, "g", owner, at_everyone, [at_everyone, role])
    member = guild.add_member(user, role)
    channel = Channel(20, 0, "c", guild)
    channel.overwrites = {11: Overwrite(role, allow, deny), 2: Overwrite(user, own_allow, own_deny)}
    ours = permissions_in_channel(guild, member, channel)

    base = discord.Permissions(int(everyone | of_role))
    base.handle_overwrite(allow=int(allow), deny=int(deny))
    base.handle_overwrite(allow=int(own_allow), deny=int(own_deny))
    if not base.view_channel:
        assert ours == 0
    else:
        assert bool(ours & Permissions.SEND_MESSAGES) == base.send_messages
        assert bool(ours & Permissions.ATTACH_FILES) == (base.attach_files and base.send_messages)
    owners = guild.add_member(owner)
    assert permissions_in_channel(guild, owners, channel) == ALL_PERMISSIONS


@pytest.fixture
def restored_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((Route, "BASE"), (DiscordWebSocket, "DEFAULT_GATEWAY"), (Asset, "BASE")):
        monkeypatch.setattr(owner, name, getattr(owner, name))


def test_discord_py_is_pointed_elsewhere(restored_endpoints: None) -> None:
    point_discord_at("http://127.0.0.1:8080/api/v10/", "ws://127.0.0.1:8080/gateway")
    assert Route.BASE == "http://127.0.0.1:8080/api/v10"
    assert Route("GET", "/users/@me").url == "http://127.0.0.1:8080/api/v10/users/@me"
    assert URL("ws://127.0.0.1:8080/gateway") == DiscordWebSocket.DEFAULT_GATEWAY
    assert Asset.BASE == "http://127.0.0.1:8080"


def test_discords_own_addresses_change_nothing(restored_endpoints: None) -> None:
    before = (Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, Asset.BASE)
    for _ in range(2):
        point_discord_at("https://discord.com/api/v10", "wss://gateway.discord.gg/")
        assert before == (Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, Asset.BASE)
        point_discord_at("http://127.0.0.1:8080/api/v10", "ws://127.0.0.1:8080/gateway")
    point_discord_at("https://discord.com/api/v10", "wss://gateway.discord.gg/")
    assert before == (Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, Asset.BASE)


@pytest.mark.parametrize(
    ("api", "gateway", "complaint"),
    [
        ("discord.com/api", "wss://gateway.discord.gg", "DISCORD_API_URL .* starts with http:// or https://"),
        ("https://discord.com/api/v10", "https://gateway.discord.gg", "DISCORD_GATEWAY_URL .* ws:// or wss://"),
        ("http://[", "wss://gateway.discord.gg", "which is no address"),
    ],
)
def test_addresses_that_cannot_be_are_refused(api: str, gateway: str, complaint: str, restored_endpoints: None) -> None:
    before = Route.BASE
    with pytest.raises(ValueError, match=complaint):
        point_discord_at(api, gateway)
    assert before == Route.BASE


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
            await standin.wait_until_ready(30)
            ping = await standin.slash(standin.world.alice, standin.world.general, "ping")
            assert (await ping.response()).content == f"pong from {bot.pid}"
            pids.append(bot.pid)
        finally:
            bot.kill()
            bot.wait()
        await standin.wait_until_gone()
    assert len(set(pids)) == 2
