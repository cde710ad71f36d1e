"""Clips, and what retention did to sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table of clips, and let a session's row say how much it takes and whether it is kept."""
    op.create_table(
        "clips",
        sa.Column("id", _ID, nullable=False),
        sa.Column("stream_key", sa.Text, nullable=False),
        sa.Column("clip", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("first_sequence", sa.BigInteger, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("starts_at", _TIME, nullable=False),
        sa.Column("ends_at", _TIME, nullable=False),
        sa.Column("renditions", sa.JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("remove_after", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_clips"),
        sa.UniqueConstraint("stream_key", "clip", name="uq_clips_stream_key_clip"),
        sa.ForeignKeyConstraint(
            ["stream_key", "session"],
            ["sessions.stream_key", "sessions.session"],
            name="fk_clips_stream_key_session",
        ),
    )
    op.create_index("ix_clips_stream_key_session", "clips", ["stream_key", "session"])
    for name in ("expired_at", "remove_after", "removed_at"):
        op.add_column("sessions", sa.Column(name, _TIME))
    op.add_column("sessions", sa.Column("bytes", sa.BigInteger))


def downgrade() -> None:
    """Refuse: migrations only go forward."""
    raise NotImplementedError("migrations only go forward: restore a backup instead")
