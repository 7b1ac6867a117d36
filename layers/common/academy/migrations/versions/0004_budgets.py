"""Budgets of tokens, for each person and for all, and what is taken out of them while a model answers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "user_budgets",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("reserved >= 0", name=op.f("user_budgets_reserved_check")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("user_budgets_user_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("user_budgets_pkey")),
    )
    op.create_index("user_budgets_day_idx", "user_budgets", ["day"], unique=False)
    op.create_table(
        "platform_budgets",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("reserved >= 0", name=op.f("platform_budgets_reserved_check")),
        sa.PrimaryKeyConstraint("day", name=op.f("platform_budgets_pkey")),
    )
    op.create_table(
        "token_reservations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("spender", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("reply_id", sa.Uuid(), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("token_reservations_pkey")),
    )
    op.create_index(
        "token_reservations_leased_until_idx", "token_reservations", ["leased_until"], unique=False
    )


def downgrade() -> None:
    op.drop_index("token_reservations_leased_until_idx", table_name="token_reservations")
    op.drop_table("token_reservations")
    op.drop_table("platform_budgets")
    op.drop_index("user_budgets_day_idx", table_name="user_budgets")
    op.drop_table("user_budgets")
