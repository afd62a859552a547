"""Discord's own limits: how much fits into its messages, components, modals and commands.

https://docs.discord.com/developers/resources/message and .../components/reference list them.
"""

from __future__ import annotations

from datetime import timedelta

# --- Commands, buttons and selects ---

#: Options of a select, its chosen values, and the completions of a command's option.
MAX_CHOICES = 25
#: Characters of a choice's label, value and description, each.
MAX_CHOICE_LENGTH = 100
#: Characters of a command's text option.
MAX_OPTION_LENGTH = 6000
#: Characters of a component's `custom_id`.
MAX_CUSTOM_ID_LENGTH = 100

# --- Messages ---

#: Characters of a message without components.
MAX_CONTENT_LENGTH = 2000
#: Characters of all texts in a message with components.
MAX_TEXT_LENGTH = 4000
#: Components of a message, including nested ones.
MAX_COMPONENTS = 40
#: Characters of an image's description in a gallery.
MAX_ALT_TEXT_LENGTH = 1024
#: Bytes of an attachment, or of all attachments of a message, that Discord accepts from a bot anywhere.
MAX_FILE_SIZE = 10 << 20
#: Attachments of a message.
MAX_FILES = 10
#: Characters of a message's nonce.
MAX_NONCE_LENGTH = 25

# --- Modals ---

#: Characters of a text field.
MAX_FIELD_LENGTH = 4000

# --- Interactions ---

#: How long an interaction's token is valid for answers and for edits of its messages.
TOKEN_LIFETIME = timedelta(minutes=15)
