"""Each transaction sees its user's rows: the database's own wall behind the owner clauses of the queries."""

from collections.abc import Sequence

from academy.migrations.row_security import ME, MINE, expose, inside, protect

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Who is asking is found out in these, so they are open until that is known.
ACCOUNTS = {
    "users": f"{ME} IS NULL OR id = {ME}",
    "logins": f"{ME} IS NULL OR {MINE}",
    "refresh_tokens": inside("logins", "login_id"),
}
MADE = {
    "ai_configurations": MINE,
    "ai_usage": MINE,
    "learning_tracks": MINE,
    "course_modules": inside("learning_tracks", "track_id"),
    "lessons": inside("course_modules", "module_id"),
    "chat_sessions": MINE,
    "chats": inside("chat_sessions", "session_id"),
    "chat_messages": inside("chats", "chat_id"),
    # A scope is a user's id, or that of somebody without an account.
    "idempotency_keys": f"scope = {ME} OR ({ME} IS NULL AND scope LIKE 'anonymous/%')",
}


def upgrade() -> None:
    for table, is_own in (ACCOUNTS | MADE).items():
        protect(table, is_own)


def downgrade() -> None:
    for table in reversed([*ACCOUNTS, *MADE]):
        expose(table)
