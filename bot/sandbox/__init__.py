"""A Discord of one's own on loopback: REST, gateway and users, as strict as Discord, for tests and for trying out."""

from bot.sandbox.model.attachments import Attachment, Upload
from bot.sandbox.model.clock import Clock
from bot.sandbox.model.messages import Message
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.world import Channel, Guild, Role, User
from bot.sandbox.standin import FakeDiscord, InteractionFailed, SentInteraction, UnexpectedAnswer
from bot.sandbox.user_client import Choice, ClientRefused, Modal

__all__ = [
    "Attachment",
    "Channel",
    "Choice",
    "ClientRefused",
    "Clock",
    "FakeDiscord",
    "Guild",
    "InteractionFailed",
    "Message",
    "Modal",
    "Permissions",
    "Role",
    "SentInteraction",
    "UnexpectedAnswer",
    "Upload",
    "User",
]
