"""The error for a bot that cannot start."""


class StartupError(Exception):
    """The message is one sentence for the operator: what is wrong, and what to do."""
