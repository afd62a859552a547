"""The stand-in's state: servers, people, messages, interactions."""
