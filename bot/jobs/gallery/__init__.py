"""Servers' galleries: channels where chosen images are shown."""
