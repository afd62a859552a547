"""What the bot knows about its servers, with and without discord.py's cache."""
