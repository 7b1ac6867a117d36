"""Brings the schema up to date, as the role that owns it, and lets the application's role use it."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from academy.config import settings

# Held while migrating, so that two deploys at once do it one after the other.
MIGRATION_LOCK = 7_203_114


def upgrade(url: str, app_role: str | None = None) -> None:
    """Apply every migration that is missing; grant the application's role rows, never the schema."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        command.upgrade(alembic_config(connection), "head")
        if app_role:
            _grant(connection, app_role)


def alembic_config(connection: Connection) -> Config:
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


def main() -> None:
    config = settings()
    app_url = config.database_url.get_secret_value()
    owner_url = (config.migration_database_url or config.database_url).get_secret_value()
    app_role = make_url(app_url).username
    upgrade(owner_url, app_role if app_role != make_url(owner_url).username else None)


if __name__ == "__main__":
    main()
