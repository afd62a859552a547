"""Who and what there is, and who may do what."""

from __future__ import annotations

import discord
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox import Clock, FakeDiscord, Permissions
from bot.sandbox.model.permissions import ALL_PERMISSIONS
from bot.sandbox.model.world import Channel, Guild, Overwrite, Role, User, permissions_in_channel


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
