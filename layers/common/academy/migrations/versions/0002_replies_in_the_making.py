"""What a reply needs while it is made by a worker, and the chat that a session was switched to."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

UNFINISHED = sa.text("status IN ('pending', 'streaming')")


def upgrade() -> None:
    # Every default is a constant, so no row is written and the locks are brief.
    op.add_column("chat_messages", sa.Column("claims", sa.Integer(), server_default="0", nullable=False))
    op.add_column("chat_messages", sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("chat_messages", sa.Column("next_seq", sa.Integer(), server_default="0", nullable=False))
    for name in ("cancel_requested", "announced"):
        op.add_column(
            "chat_messages", sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False)
        )
    op.create_index(
        "chat_messages_unfinished_idx",
        "chat_messages",
        ["chat_id", "position"],
        unique=False,
        postgresql_where=UNFINISHED,
    )
    op.add_column("chats", sa.Column("lane", sa.Integer(), server_default="0", nullable=False))
    op.add_column("chat_sessions", sa.Column("current_chat_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("chat_sessions_current_chat_id_fkey"),
        "chat_sessions",
        "chats",
        ["current_chat_id"],
        ["id"],
        ondelete="SET NULL",
        use_alter=True,
    )
    op.create_index("chat_sessions_current_chat_id_idx", "chat_sessions", ["current_chat_id"], unique=False)


def downgrade() -> None:
    op.drop_index("chat_sessions_current_chat_id_idx", table_name="chat_sessions")
    op.drop_constraint(op.f("chat_sessions_current_chat_id_fkey"), "chat_sessions", type_="foreignkey")
    op.drop_column("chat_sessions", "current_chat_id")
    op.drop_column("chats", "lane")
    op.drop_index("chat_messages_unfinished_idx", table_name="chat_messages", postgresql_where=UNFINISHED)
    for name in ("announced", "cancel_requested", "next_seq", "leased_until", "claims"):
        op.drop_column("chat_messages", name)
