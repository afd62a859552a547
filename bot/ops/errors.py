"""Why the bot does not start."""


class StartupError(Exception):
    """One sentence for the operator: what is missing or taken, and what to do."""
