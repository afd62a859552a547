"""Which bot draws on this database, and which transactions were committed lately."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    claims = op.create_table(
        "claims",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(255)),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_claims_one_row")),
        sa.PrimaryKeyConstraint("id", name="pk_claims"),
    )
    op.bulk_insert(claims, [{"id": 1, "epoch": 0, "holder": None, "renewed_at": datetime(2000, 1, 1, tzinfo=UTC)}])
    op.create_table(
        "commits",
        sa.Column("token", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_commits"),
    )
