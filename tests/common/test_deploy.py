"""CloudFormation has the schema brought up to date, and always hears how that went."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy import make_url

from academy import aws, config, deploy, migrate, vault
from dev import postgres
from tests import cloudformation

APP, SWEEPER = "app_of_a_deployment", "sweeper_of_a_deployment"
Deployed = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A Postgres with nothing in it but what RDS brings along."""
    with postgres.running(tmp_path_factory.mktemp("rds"), durable=False) as server:
        with server.connect() as connection:
            connection.execute("CREATE ROLE rds_iam")
            connection.execute("CREATE DATABASE stack")
        yield server


@pytest.fixture
def settings(
    server: postgres.Server, environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    secrets: Any = aws.client("secretsmanager")
    password = json.dumps({"username": postgres.SUPERUSER, "password": server.password})
    arn = secrets.create_secret(Name="owner", SecretString=password)["ARN"]
    owner = make_url(server.url_for(postgres.SUPERUSER, "stack")).set(password=None)
    monkeypatch.setenv("MIGRATION_DATABASE_URL", owner.render_as_string())
    monkeypatch.setenv("MIGRATION_PASSWORD_ARN", arn)
    monkeypatch.setenv("DATABASE_URL", owner.set(username=APP).render_as_string())
    monkeypatch.setenv("SWEEPER_DATABASE_URL", owner.set(username=SWEEPER).render_as_string())
    config.settings.cache_clear()
    vault.forget()
    yield monkeypatch
    monkeypatch.undo()
    config.settings.cache_clear()
    vault.forget()
    secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


@pytest.fixture
def deployed(settings: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """Ask as CloudFormation does, and say what it hears."""
    with cloudformation.waiting() as waits:

        def deployed(kind: str = "Create") -> dict[str, Any]:
            deploy.handler(waits.event(kind), None)
            assert waits.content_type == ""
            return waits.answers.pop()

        yield deployed


def test_a_deployment_makes_the_roles_and_the_schema_and_does_so_twice_without_harm(
    deployed: Deployed, server: postgres.Server
) -> None:
    first, again = deployed("Create"), deployed("Update")
    assert (first["Status"], again["Status"]) == ("SUCCESS", "SUCCESS")
    assert first["PhysicalResourceId"] == again["PhysicalResourceId"]
    with server.connect(database="stack") as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(APP)))
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("ALTER TABLE users ADD COLUMN colour text")
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(SWEEPER)))
        assert connection.execute("SELECT count(id) FROM chat_messages").fetchone() == (0,)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT message_content FROM chat_messages")
        for role in (APP, SWEEPER):
            found = connection.execute("SELECT pg_has_role(%s, 'rds_iam', 'member')", [role]).fetchone()
            assert found == (True,)


def test_a_deployment_that_is_taken_back_leaves_a_newer_schema_alone(
    deployed: Deployed, server: postgres.Server
) -> None:
    deployed("Create")
    with server.connect(database="stack") as connection:
        before = _revision(connection, "9999_of_tomorrow")
        assert migrate.is_ahead(server.url_for(postgres.SUPERUSER, "stack"))
        assert deployed("Update")["Status"] == "SUCCESS"
        assert _revision(connection, before) == "9999_of_tomorrow"


def test_deleting_the_stack_touches_nothing(deployed: Deployed, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("MIGRATION_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    config.settings.cache_clear()
    assert deployed("Delete")["Status"] == "SUCCESS"


def test_a_failure_is_told_without_what_it_quotes(deployed: Deployed, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("MIGRATION_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    config.settings.cache_clear()
    answer = deployed("Update")
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "OperationalError: see the function's log.")


def _revision(connection: "psycopg.Connection[tuple[object, ...]]", new: str) -> str:
    """The schema's revision, which becomes `new`."""
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.execute("UPDATE alembic_version SET version_num = %s", [new])
    assert found is not None
    return str(found[0])
