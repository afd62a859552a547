"""Charges for requests that become no job."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("charges", sa.Column("interaction_id", sa.BigInteger(), nullable=True))
    op.create_index("ix_charges_interaction_id", "charges", ["interaction_id"], unique=True)
