"""How many SQL statements a route needs: a read takes two, who is asking and the rows, however many."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from academy import db
from academy.models import User
from tests.conftest import Api
from tests.factories import a_course

READS = (
    "/api/auth/me",
    "/api/tracks",
    "/api/tracks/{track_id}",
    "/api/chat/sessions",
    "/api/chat/sessions/{key}/chats",
    "/api/chat/chats/{chat_id}/messages",
    "/api/ai/user-config",
)


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent meanwhile, but for the savepoints of the test's own transaction."""
    seen: list[str] = []

    def see(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK TO")):
            seen.append(statement)

    event.listen(db.engine(), "before_cursor_execute", see)
    try:
        yield seen
    finally:
        event.remove(db.engine(), "before_cursor_execute", see)


@pytest.mark.parametrize("size", [1, 30])
@pytest.mark.parametrize("path", READS)
def test_a_read_takes_two_statements_at_most(
    path: str, size: int, api: Api, user: User, transaction: Connection
) -> None:
    courses = [a_course(user, modules=size, messages=size) for _ in range(min(size, 5))]
    course = courses[0]
    address = path.format(**course.ids, key=course.chat_session.key)
    client = api(user)
    with counted() as statements:
        assert client.get(address).status == 200
    assert 1 <= len(statements) <= 2, statements


@pytest.mark.parametrize("size", [1, 30])
def test_a_modules_history_takes_two_statements(size: int, api: Api, user: User) -> None:
    course = a_course(user, modules=size, messages=size)
    body = {"track_id": course.ids["track_id"], "module_id": "1", "session_id": course.chat_session.key}
    client = api(user)
    with counted() as statements:
        assert client.post("/api/ai/module-chat-history", body).status == 200
    assert len(statements) == 2, statements


def test_a_new_track_takes_two_statements(api: Api, user: User) -> None:
    client = api(user)
    with counted() as statements:
        assert client.post("/api/tracks", {"title": "Rust"}).status == 201
    assert len(statements) == 2, statements


def test_deleting_a_track_takes_two_statements_whatever_hangs_on_it(api: Api, user: User) -> None:
    course = a_course(user, modules=7, messages=30)
    client = api(user)
    with counted() as statements:
        assert client.delete(f"/api/tracks/{course.track.id}").status == 200
    assert len(statements) == 2, statements


def test_every_get_route_is_counted() -> None:
    from tests.functions.test_ownership import OPERATIONS

    public = {"/api", "/api/health", "/api/ai/default-config"}
    known = {path.replace("{session_id}", "{key}") for method, path in OPERATIONS if method == "GET"}
    assert known - public == set(READS)
