"""Types and limits that the operator's settings share with those of servers.

Every command imports them, so this module imports little.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MAX_CREDITS = 1_000_000
#: The default of `CREDITS_OUTSIDE_SERVERS`: credits a day for each person outside of servers.
CREDITS_OUTSIDE = 10.0

Snowflake = Annotated[int, Field(ge=1, lt=2**63)]
Credits = Annotated[float, Field(ge=0, le=MAX_CREDITS, allow_inf_nan=False)]
