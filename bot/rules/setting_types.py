"""Types and limits that the settings of the operator and of servers share.

Every command imports this module, so it imports little.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MAX_CREDITS = 1_000_000
#: The default of `CREDITS_OUTSIDE_SERVERS`: credits per day for each user outside of servers.
CREDITS_OUTSIDE = 10.0

Snowflake = Annotated[int, Field(ge=1, lt=2**63)]
Credits = Annotated[float, Field(ge=0, le=MAX_CREDITS, allow_inf_nan=False)]
