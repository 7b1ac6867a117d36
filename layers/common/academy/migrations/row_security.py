"""What a migration says so that a table shows each transaction its user's rows and no others.

A migration that changes rows has to `lift` that first, and to put it back: the owner of the tables is no
exception.
"""

from alembic import op

ME = "NULLIF(current_setting('app.user_id', true), '')"
"""Whose transaction it is, as `academy.db` has set it; null while nobody is known."""

MINE = f"user_id = {ME}"


def inside(parent: str, key: str) -> str:
    """Whether a row hangs on one of `parent` that the transaction may see."""
    return f"EXISTS (SELECT FROM {parent} WHERE {parent}.id = {key})"


def protect(table: str, is_own: str) -> None:
    """Let rows be seen and written only where `is_own`, by everybody but a superuser."""
    op.execute(f"CREATE POLICY own ON {table} USING ({is_own}) WITH CHECK ({is_own})")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    put_back(table)


def lift(table: str) -> None:
    """Let the owner of the tables, and so this migration, see every row."""
    op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")


def put_back(table: str) -> None:
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def expose(table: str) -> None:
    """Take back what `protect` did."""
    op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.execute(f"DROP POLICY own ON {table}")
