"""A Discord of one's own on loopback: REST, gateway and users, as strict as Discord, for tests and for trying out."""

from bot.sandbox.attachments import Attachment, Upload
from bot.sandbox.client import Choice, ClientRefused, Modal
from bot.sandbox.clock import Clock
from bot.sandbox.messages import Message
from bot.sandbox.permissions import Permissions
from bot.sandbox.standin import InteractionFailed, SentInteraction, StandIn, UnexpectedAnswer
from bot.sandbox.world import Channel, Guild, Role, User

__all__ = [
    "Attachment",
    "Channel",
    "Choice",
    "ClientRefused",
    "Clock",
    "Guild",
    "InteractionFailed",
    "Message",
    "Modal",
    "Permissions",
    "Role",
    "SentInteraction",
    "StandIn",
    "UnexpectedAnswer",
    "Upload",
    "User",
]
