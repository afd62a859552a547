"""A stand-in for Discord on loopback: REST, gateway and users, as strict as Discord, for tests and for trying out."""

from bot.sandbox.client_errors import ClientRefused
from bot.sandbox.fake_discord import FakeDiscord
from bot.sandbox.interaction_handle import InteractionFailed, InteractionHandle, UnexpectedAnswer
from bot.sandbox.model.attachments import Attachment, Upload
from bot.sandbox.model.clock import Clock
from bot.sandbox.model.messages import Message
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.world import Channel, Guild, Role, User
from bot.sandbox.server.limits.rate_limits import RateLimits
from bot.sandbox.server.limits.sharding import Sharding
from bot.sandbox.user_client import Choice, ClientModal

__all__ = [
    "Attachment",
    "Channel",
    "Choice",
    "ClientModal",
    "ClientRefused",
    "Clock",
    "FakeDiscord",
    "Guild",
    "InteractionFailed",
    "InteractionHandle",
    "Message",
    "Permissions",
    "RateLimits",
    "Role",
    "Sharding",
    "UnexpectedAnswer",
    "Upload",
    "User",
]
