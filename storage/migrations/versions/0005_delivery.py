"""For delivery: a classifier's labels of images, and whether these were posted in another message."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("renders", sa.Column("labels", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("reposted", sa.Boolean(), nullable=False, server_default=sa.false()))
