"""The stand-in's world: users, roles, members, servers, channels. `serializers` writes them as the API does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.sandbox.model.clock import Snowflakes, snowflake_at
from bot.sandbox.model.permissions import ALL_PERMISSIONS, DEFAULT_PERMISSIONS, Permissions

MEBIBYTE = 1 << 20
#: Maximum size of one attachment in bytes, by the boost tier of the server.
FILE_SIZE_LIMITS = {0: 10 * MEBIBYTE, 1: 10 * MEBIBYTE, 2: 50 * MEBIBYTE, 3: 100 * MEBIBYTE}

#: Discord's channel types.
TEXT, DM, GROUP_DM, PUBLIC_THREAD = 0, 1, 3, 11


@dataclass(eq=False)
class User:
    id: int
    username: str
    display_name: str
    is_bot: bool = False
    #: The language of the user's client, which the bot gets with every interaction.
    locale: str = "en-US"
    #: The user's upload limit in bytes (higher with a subscription), which the bot gets with every interaction.
    upload_limit: int = FILE_SIZE_LIMITS[0]

    def __repr__(self) -> str:
        return f"<User {self.username} {self.id}>"


@dataclass(frozen=True)
class Role:
    id: int
    name: str
    permissions: Permissions
    position: int = 1
    mentionable: bool = False

    def __repr__(self) -> str:
        return f"<Role {self.name} {self.id}>"


@dataclass(eq=False)
class Member:
    user: User
    roles: list[Role] = field(default_factory=list)
    nick: str | None = None


@dataclass(frozen=True)
class Overwrite:
    target: Role | User
    allow: Permissions
    deny: Permissions


@dataclass(eq=False)
class Channel:
    """A text channel, a thread of one, a private channel with the bot, or a group of users without it."""

    id: int
    type: int
    name: str = ""
    guild: Guild | None = None
    nsfw: bool = False
    parent: Channel | None = None
    topic: str | None = None
    recipients: tuple[User, ...] = ()
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    #: Whether a thread is archived. A new message reopens it, unless it is locked.
    archived: bool = False
    locked: bool = False

    def __repr__(self) -> str:
        name = f"#{self.name}" if self.guild else f"with {', '.join(user.username for user in self.recipients)}"
        return f"<Channel {name} {self.id}>"

    @property
    def is_thread(self) -> bool:
        return self.type == PUBLIC_THREAD

    @property
    def is_private(self) -> bool:
        return self.type in (DM, GROUP_DM)


@dataclass(eq=False)
class Guild:
    id: int
    name: str
    owner: User
    everyone: Role
    roles: list[Role] = field(default_factory=list)
    members: dict[int, Member] = field(default_factory=dict)
    channels: list[Channel] = field(default_factory=list)
    #: Where Discord posts its own messages, such as welcomes.
    system_channel: Channel | None = None
    premium_tier: int = 0
    locale: str = "en-US"

    def __repr__(self) -> str:
        return f"<Guild {self.name} {self.id}>"

    @property
    def file_size_limit(self) -> int:
        return FILE_SIZE_LIMITS[self.premium_tier]

    def add_member(self, user: User, *roles: Role) -> Member:
        self.members[user.id] = Member(user, list(roles))
        return self.members[user.id]


@dataclass(frozen=True)
class Application:
    id: int
    name: str
    bot: User
    owner: User
    token: str


#: The first second of 2023 (Unix time). The users and servers of the default world were created in the days after it.
FOUNDED = 1_672_531_200.0
DAY = 86_400.0


def id_of_day(days: int) -> int:
    """The id of something created this many days after `FOUNDED`."""
    return snowflake_at(FOUNDED + days * DAY)


class World:
    """The default world, the same every time.

    The server "Atelier" has the bot, its owner, the moderator Bob, the members Alice and Emi, and the channels
    #general, #gallery, #after-dark (age restricted) and #staff (moderators only). The bot is not a member of the server
    "Elsewhere"; Carol can use the app there because she installed it for herself.
    """

    def __init__(self, snowflakes: Snowflakes) -> None:
        self._snowflakes = snowflakes
        self._create_users()
        self._create_atelier()
        self._create_elsewhere()
        self.users = {user.id: user for user in (self.owner, self.alice, self.bob, self.emi, self.carol, self.bot)}
        self.guilds = {guild.id: guild for guild in (self.guild, self.elsewhere)}
        self.private_channels: dict[int, Channel] = {self.group.id: self.group}
        self._found_before: dict[int, Channel] = {}  # avoids searching all channels each time
        #: Users who installed the app for themselves.
        self.installed_by = {self.carol.id, self.alice.id}
        #: Users who accept no private messages.
        self.closed_to_dms: set[int] = set()

    def _create_users(self) -> None:
        self.owner = User(id_of_day(1), "olivia", "Olivia")
        self.alice = User(id_of_day(2), "alice", "Alice")
        self.bob = User(id_of_day(3), "bob", "Bob", locale="de")
        self.carol = User(id_of_day(4), "carol", "Carol", locale="ja")
        self.bot = User(id_of_day(5), "Anima", "Anima", is_bot=True)
        self.emi = User(id_of_day(6), "emi", "Emi", locale="ja")
        self.application = Application(id_of_day(5), "Anima", self.bot, self.owner, f"stand-in.{id_of_day(5)}.token")

    def _create_atelier(self) -> None:
        self.moderator = Role(
            id_of_day(12), "moderator", Permissions.MANAGE_GUILD | Permissions.MANAGE_MESSAGES, position=2
        )
        self.bot_role = Role(id_of_day(13), "Anima", DEFAULT_PERMISSIONS, position=1)
        everyone = Role(id_of_day(10), "@everyone", DEFAULT_PERMISSIONS, position=0)
        self.guild = Guild(id_of_day(10), "Atelier", self.owner, everyone, [everyone, self.moderator, self.bot_role])
        self.guild.add_member(self.owner)
        self.guild.add_member(self.alice)
        self.guild.add_member(self.bob, self.moderator)
        self.guild.add_member(self.emi)
        self.guild.add_member(self.bot, self.bot_role)

        self.general = self._text_channel(self.guild, id_of_day(20), "general")
        self.gallery = self._text_channel(self.guild, id_of_day(21), "gallery")
        self.after_dark = self._text_channel(self.guild, id_of_day(22), "after-dark", nsfw=True)
        self.staff = self._text_channel(self.guild, id_of_day(23), "staff")
        for target, allow, deny in (
            (everyone, Permissions(0), Permissions.VIEW_CHANNEL),
            (self.moderator, Permissions.VIEW_CHANNEL, Permissions(0)),
        ):
            self.staff.overwrites[target.id] = Overwrite(target, allow, deny)
        self.thread = Channel(id_of_day(24), PUBLIC_THREAD, "late sketches", self.guild, parent=self.after_dark)
        self.guild.channels.append(self.thread)

    def _create_elsewhere(self) -> None:
        everyone = Role(id_of_day(30), "@everyone", DEFAULT_PERMISSIONS, position=0)
        self.elsewhere = Guild(id_of_day(30), "Elsewhere", self.bob, everyone, [everyone])
        self.elsewhere.add_member(self.bob)
        self.elsewhere.add_member(self.carol)
        self.lounge = self._text_channel(self.elsewhere, id_of_day(31), "lounge")
        self.group = Channel(id_of_day(32), GROUP_DM, "sketch club", recipients=(self.alice, self.carol))

    def _text_channel(self, guild: Guild, id: int, name: str, *, nsfw: bool = False) -> Channel:
        channel = Channel(id, TEXT, name, guild, nsfw=nsfw)
        guild.channels.append(channel)
        return channel

    def add_user(self, username: str, guild: Guild | None = None, *roles: Role) -> User:
        """Adds a user, who joins `guild` with `roles` if a guild is given."""
        user = User(self._snowflakes.next(), username, username.capitalize())
        self.users[user.id] = user
        if guild is not None:
            guild.add_member(user, *roles)
        return user

    def add_servers(self, count: int) -> list[Guild]:
        """Adds servers of the owner with the bot as a member and one channel each. Their ids spread over all shards."""
        first = self._snowflakes.next() >> 22
        return [self._found_server(first + number << 22, f"Server {number + 1}") for number in range(count)]

    def _found_server(self, id: int, name: str) -> Guild:
        everyone = Role(id, "@everyone", DEFAULT_PERMISSIONS, position=0)
        guild = self.guilds[id] = Guild(id, name, self.owner, everyone, [everyone])
        guild.add_member(self.owner)
        guild.add_member(self.bot)
        self._text_channel(guild, id + 1, "general")
        return guild

    def channel(self, id: int) -> Channel | None:
        found = self.private_channels.get(id) or self._found_before.get(id)
        if found is None or (found.guild is not None and found not in found.guild.channels):
            found = next((channel for channel in self.channels() if channel.id == id), None)
        if found is not None:
            self._found_before[id] = found
        return found

    def channels(self) -> Iterator[Channel]:
        for guild in self.guilds.values():
            yield from guild.channels
        yield from self.private_channels.values()

    def dm_with(self, user: User) -> Channel:
        """The private channel of the bot and `user`; creates it if there is none."""
        for channel in self.private_channels.values():
            if channel.type == DM and channel.recipients == (user,):
                return channel
        channel = Channel(self._snowflakes.next(), DM, recipients=(user,))
        self.private_channels[channel.id] = channel
        return channel

    def restore_dm(self, id: int, user: User) -> None:
        """Restores a private channel of the bot and `user` from an earlier start."""
        self.private_channels[id] = Channel(id, DM, recipients=(user,))

    def bot_is_in(self, channel: Channel) -> bool:
        if channel.guild is not None:
            return channel.guild.id in self.guilds and self.bot.id in channel.guild.members
        return channel.type == DM

    def can_see(self, user: User, channel: Channel) -> bool:
        return bool(self.permissions(user, channel) & Permissions.VIEW_CHANNEL)

    def permissions(self, user: User, channel: Channel) -> Permissions:
        """What `user` may do in `channel`; nothing if the user is not a member."""
        if channel.guild is None:
            belongs = user in channel.recipients or (user == self.bot and channel.type == DM)
            return DEFAULT_PERMISSIONS if belongs else Permissions(0)
        member = channel.guild.members.get(user.id)
        return permissions_in_channel(channel.guild, member, channel) if member else Permissions(0)

    def guild_permissions(self, user: User, guild: Guild) -> Permissions:
        member = guild.members.get(user.id)
        return permissions_in_guild(guild, member) if member else Permissions(0)


def permissions_in_guild(guild: Guild, member: Member) -> Permissions:
    """What the roles of `member` allow, without any channel's overwrites.

    Source: "Permissions" in Discord's API reference (the permission hierarchy and its pseudocode).
    """
    if member.user.id == guild.owner.id:
        return ALL_PERMISSIONS
    granted = guild.everyone.permissions
    for role in member.roles:
        granted |= role.permissions
    return ALL_PERMISSIONS if granted & Permissions.ADMINISTRATOR else granted


def permissions_in_channel(guild: Guild, member: Member, channel: Channel) -> Permissions:
    """What `member` may do in `channel` of `guild`; a thread uses its parent's overwrites.

    Discord's implicit permissions apply: members without VIEW_CHANNEL may do nothing, and members who may not send
    messages may not attach files, embed links or mention everyone either.
    """
    granted = permissions_in_guild(guild, member)
    if granted == ALL_PERMISSIONS:
        return ALL_PERMISSIONS
    overwrites = (channel.parent or channel).overwrites
    if everyone := overwrites.get(guild.everyone.id):
        granted = granted & ~everyone.deny | everyone.allow
    of_roles = [overwrites[role.id] for role in member.roles if role.id in overwrites]
    for overwrite in of_roles:
        granted &= ~overwrite.deny
    for overwrite in of_roles:
        granted |= overwrite.allow
    if own := overwrites.get(member.user.id):
        granted = granted & ~own.deny | own.allow
    if not granted & Permissions.VIEW_CHANNEL:
        return Permissions(0)
    sending = Permissions.SEND_MESSAGES_IN_THREADS if channel.is_thread else Permissions.SEND_MESSAGES
    if not granted & sending:
        granted &= ~(Permissions.EMBED_LINKS | Permissions.ATTACH_FILES | Permissions.MENTION_EVERYONE)
    return granted
