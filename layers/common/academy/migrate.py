"""Brings the schema up to date, as the role that owns it, and lets the application's role use it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from academy.config import settings
from academy.outages import SESSION_LIMITS

# Held while migrating, so that two deploys at once do it one after the other.
MIGRATION_LOCK = 7_203_114


# What tells whose a lost reply is, and no word of it.
SWEPT = {
    "chat_messages": "id, chat_id, position, status, timestamp, leased_until",
    "chats": "id, session_id",
    "chat_sessions": "id, user_id",
}
# That, too, but of counts, which no policy hides.
COUNTED = {"token_reservations": "id, reply_id, leased_until"}
SWEPT_POLICY = text(
    "SELECT 1 FROM pg_policies WHERE policyname = 'swept' AND tablename = :table AND :role = ANY (roles)"
)


def upgrade(url: str, app_role: str | None = None, sweeper_role: str | None = None) -> None:
    """Apply every migration that is missing; grant the roles rows, never the schema."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        command.upgrade(alembic_config(connection), "head")
        if app_role:
            _grant(connection, app_role)
        if sweeper_role:
            _let_sweep(connection, sweeper_role)


def is_ahead(url: str) -> bool:
    """Whether the schema is that of newer code, as when a deployment is taken back."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        known = ScriptDirectory.from_config(alembic_config(connection)).walk_revisions()
        return current is not None and current not in {script.revision for script in known}


def admit(url: str, role: str) -> None:
    """Make a role, if it is not there, and limit how long its statements take.

    It logs in with tokens that AWS signs.
    """
    with create_engine(url, poolclass=NullPool).begin() as connection:
        quoted = connection.dialect.identifier_preparer.quote(role)
        known = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
        if known.first() is None:
            connection.execute(text(f"CREATE ROLE {quoted} LOGIN"))
        for name, limit in SESSION_LIMITS.items():
            connection.execute(text(f"ALTER ROLE {quoted} SET {name} = '{limit}'"))
        connection.execute(text(f"GRANT rds_iam TO {quoted}"))


def role_of(url: SecretStr | None) -> str | None:
    """The role that a URL logs in as."""
    return make_url(url.get_secret_value()).username if url else None


def alembic_config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _grant(connection: Connection, role: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote(role)
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {quoted}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted}",
        f"REVOKE ALL ON alembic_version FROM {quoted}",
    ):
        connection.execute(text(statement))


def _let_sweep(connection: Connection, role: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote(role)
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {quoted}"))
    for table, columns in (SWEPT | COUNTED).items():
        connection.execute(text(f"GRANT SELECT ({columns}) ON {table} TO {quoted}"))
    for table in SWEPT:
        # Making one again would wait for everybody who uses the table, and they for us.
        if connection.execute(SWEPT_POLICY, {"table": table, "role": role}).first() is None:
            connection.execute(text(f"CREATE POLICY swept ON {table} FOR SELECT TO {quoted} USING (true)"))


def main() -> None:
    config = settings()
    owner_url = (config.migration_database_url or config.database_url).get_secret_value()
    app_role = role_of(config.database_url)
    is_owner = app_role == make_url(owner_url).username
    upgrade(owner_url, None if is_owner else app_role, role_of(config.sweeper_database_url))


if __name__ == "__main__":
    main()
