"""Masks of jobs' source images."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0012"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "job_masks",
        sa.Column("job_id", row_id, nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_masks"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_masks_job_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_job_masks_source_id"),
    )
    op.create_index("ix_job_masks_source_id", "job_masks", ["source_id"])
