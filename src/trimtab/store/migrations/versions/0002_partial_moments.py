"""Keep partial moments beside the counts of each hour: Wasserstein distances become exact where they can be."""

import sqlalchemy as sa
from alembic import op

revision = "0002_partial_moments"
down_revision = "0001_first_schema"


def upgrade() -> None:
    op.add_column("monitoring_cells", sa.Column("partial_moments", sa.LargeBinary))
