"""The migrations, from nothing to the schema that the models declare, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, NullPool, create_engine, inspect, text

from academy import migrate
from academy.models import Base
from dev import postgres

# What Alembic's comparison does not look at: the conditions of constraints and indices, what goes along.
CATALOGUE = text("""
    SELECT 'constraint' AS kind, conrelid::regclass::text AS of_table, conname AS name,
           pg_get_constraintdef(oid) AS definition
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'column', table_name, column_name,
           concat_ws(' ', data_type, character_maximum_length, column_default, is_nullable,
                     is_identity, identity_generation)
      FROM information_schema.columns WHERE table_schema = 'public'
""")


@pytest.fixture
def empty(database: postgres.Server) -> Iterator[str]:
    """The URL of a database without any table, as the owner of its schema."""
    with a_database(database) as url:
        yield url


@contextmanager
def a_database(server: postgres.Server) -> Iterator[str]:
    name = f"schema_{uuid4().hex}"
    with server.connect(database="postgres") as connection:
        postgres.create_database(connection, name)
        yield server.url_for(postgres.OWNER, name)
        connection.execute(f'DROP DATABASE "{name}"'.encode())


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        yield connection


def differences(connection: Connection) -> list[object]:
    """What a new migration would have to do."""
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, Base.metadata))


def catalogue(connection: Connection) -> set[tuple[str, ...]]:
    return {tuple(row) for row in connection.execute(CATALOGUE) if row.of_table != "alembic_version"}


def test_make_what_the_models_declare(empty: str) -> None:
    with connected(empty) as connection:
        assert differences(connection), "there is nothing yet"
    migrate.upgrade(empty)
    with connected(empty) as connection:
        assert differences(connection) == []


def test_make_every_constraint_and_index_that_the_models_declare(
    empty: str, database: postgres.Server
) -> None:
    migrate.upgrade(empty)
    with connected(empty) as connection:
        migrated = catalogue(connection)
    with a_database(database) as url, connected(url) as connection:
        Base.metadata.create_all(connection)
        declared = catalogue(connection)
    assert len(declared) > 100
    assert migrated == declared


def test_lead_back_to_nothing_and_forth_again(empty: str) -> None:
    migrate.upgrade(empty)
    with connected(empty) as connection:
        before = catalogue(connection)
        command.downgrade(migrate.alembic_config(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    migrate.upgrade(empty)
    with connected(empty) as connection:
        assert (catalogue(connection), differences(connection)) == (before, [])


def test_that_are_applied_already_change_nothing(empty: str) -> None:
    migrate.upgrade(empty)
    with connected(empty) as connection:
        before = catalogue(connection)
    migrate.upgrade(empty)
    with connected(empty) as connection:
        assert catalogue(connection) == before


def test_let_the_application_change_rows_but_never_the_schema(empty: str, database: postgres.Server) -> None:
    migrate.upgrade(empty, app_role=postgres.APP)
    with connected(empty) as connection:
        may = text("SELECT has_table_privilege(:role, :name, :what)")
        for table in Base.metadata.tables:
            for what in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                assert connection.scalar(may, {"role": postgres.APP, "name": table, "what": what})
            for what in ("TRUNCATE", "REFERENCES", "TRIGGER"):
                assert not connection.scalar(may, {"role": postgres.APP, "name": table, "what": what})
        history = {"role": postgres.APP, "name": "alembic_version", "what": "SELECT"}
        assert not connection.scalar(may, history)
        create = text("SELECT has_schema_privilege(:role, 'public', 'CREATE')")
        assert not connection.scalar(create, {"role": postgres.APP})
