"""The tables of streams, their sessions and their segments."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create_streams()
    _create_sessions()
    _create_segments()


def downgrade() -> None:
    """Refuse: migrations only go forward."""
    raise NotImplementedError("migrations only go forward: restore a backup instead")


def _create_streams() -> None:
    op.create_table(
        "streams",
        sa.Column("id", _ID, nullable=False),
        sa.Column("stream_key", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("stopped_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("next_sequence", sa.BigInteger, nullable=False),
        sa.Column("discontinuity_sequence", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_streams"),
        sa.UniqueConstraint("stream_key", name="uq_streams_stream_key"),
    )
    op.create_index("ix_streams_epoch_id", "streams", ["epoch", "id"])
    op.create_index("ix_streams_status", "streams", ["status"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("stream_key", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("end_reason", sa.Text),
        sa.Column("renditions", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("stream_key", "session", name="uq_sessions_stream_key_session"),
        sa.ForeignKeyConstraint(["stream_key"], ["streams.stream_key"], name="fk_sessions_stream_key"),
    )
    op.create_index("ix_sessions_stream_key_epoch", "sessions", ["stream_key", "epoch"])
    op.create_index("ix_sessions_status", "sessions", ["status"])


def _create_segments() -> None:
    op.create_table(
        "segments",
        sa.Column("stream_key", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("rendition", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("duration", sa.Float(53), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("program_date_time", _TIME, nullable=False),
        sa.Column("discontinuity", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("stream_key", "session", "rendition", "sequence", name="pk_segments"),
    )
