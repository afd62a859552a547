"""Notes about what could not be applied, for each image."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("pictures", sa.Column("notes", sa.Text(), nullable=False, server_default=""))
