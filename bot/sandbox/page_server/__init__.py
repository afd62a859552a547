"""The server of the sandbox's page."""
