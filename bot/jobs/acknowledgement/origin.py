"""`Origin`: the acknowledged interaction that a request comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import discord

Interaction: TypeAlias = discord.Interaction[Any]


@dataclass(frozen=True)
class Origin:
    """Where a request comes from: an interaction, and how it was acknowledged.

    private: whether only the user sees the answer. The acknowledgement decides this for the job too.
    """

    interaction: Interaction
    message_id: int | None
    private: bool

    @classmethod
    async def acknowledge(cls, interaction: Interaction, *, ephemeral: bool = False) -> Self:
        """`ephemeral`: what the bot asks for. Discord may make an answer private on its own; its reply says so.

        Writes only one row first. Raises StorageUnavailable if even that takes too long.
        """
        made = await interaction.client.acknowledgements.acknowledge(interaction, private=ephemeral)
        return cls(interaction, made.message_id, made.private)
