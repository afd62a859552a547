"""What the stand-in knows: servers, people, messages, interactions."""
