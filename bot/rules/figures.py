"""Figures that the operator's settings share with those of servers. Imports little, for it is read at each start."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MAX_CREDITS = 1_000_000
#: Credits a day of each person outside of servers.
CREDITS_OUTSIDE = 10.0

Snowflake = Annotated[int, Field(ge=1, lt=2**63)]
Credits = Annotated[float, Field(ge=0, le=MAX_CREDITS, allow_inf_nan=False)]
