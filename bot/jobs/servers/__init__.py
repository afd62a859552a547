"""What the bot knows of its servers, with discord.py's cache and without it."""
