"""How many SQL statements a route needs: it never depends on how much somebody owns."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, update
from sqlalchemy.orm import Session

from academy.http.dependencies import PUBLIC_ROUTES
from academy.models import Module, User
from tests.client import Client
from tests.conftest import Api
from tests.factories import PASSWORD, a_course
from tests.fakes import ScriptedModel
from tests.functions.test_ownership import FILLERS, OPERATIONS, schema_of

READS = (
    "/api/auth/me",
    "/api/tracks",
    "/api/tracks/{track_id}",
    "/api/chat/sessions",
    "/api/chat/sessions/{key}/chats",
    "/api/chat/chats/{chat_id}/messages",
    "/api/ai/user-config",
)

# Who is asking is one of them, except where nobody has to log in. A question to a model is kept before it is
# asked and its answer after that, so it takes two transactions; making modules takes a statement for each.
# Eight are about what a question costs: one counts it, four reserve its tokens, three settle them.
WRITES = {
    "POST /api/ai/chat-response": 20,
    "POST /api/ai/finalize-course-plan": 25,
    "POST /api/ai/generate-lesson": 14,
    "POST /api/ai/generate-plan": 21,
    "POST /api/ai/module-chat": 27,
    "POST /api/ai/module-chat-history": 2,
    "POST /api/ai/module-complete": 4,
    "POST /api/ai/module-learning-start": 23,
    "POST /api/ai/test-connection": 11,
    "PUT /api/ai/user-config": 4,
    "POST /api/ai/welcome-message": 14,
    "POST /api/auth/guest-login": 5,
    "POST /api/auth/login": 8,
    "POST /api/auth/logout": 2,
    "POST /api/auth/logout-all": 2,
    "DELETE /api/auth/me": 6,
    "PUT /api/auth/password": 5,
    "POST /api/auth/refresh": 3,
    "POST /api/auth/register": 4,
    "POST /api/chat/chats": 3,
    "PUT /api/chat/chats/{chat_id}/status": 3,
    "POST /api/chat/sessions": 4,
    "PUT /api/chat/sessions/{session_id}/status": 3,
    "POST /api/tracks": 2,
    "PUT /api/tracks/{track_id}": 3,
    "DELETE /api/tracks/{track_id}": 4,
}
PASSWORDS = {"password": PASSWORD, "current_password": PASSWORD, "new_password": "another horse battery"}
ACCOUNT = {"email": "anna@example.com", "password": PASSWORD, "first_name": "Анна", "last_name": "Петрова"}
# What a body may leave out, but then nothing would be written.
SENT = {
    "/api/tracks/{track_id}": ["title"],
    "/api/ai/user-config": ["model_name"],
    "/api/auth/me": ["password"],
    "/api/ai/generate-lesson": ["module_id"],
    "/api/chat/sessions": ["track_id"],
}


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent meanwhile, but for the savepoints of the test's own transaction."""
    seen: list[str] = []

    def see(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK TO")):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", see)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", see)


@pytest.mark.parametrize("size", [1, 30])
@pytest.mark.parametrize("path", READS)
def test_a_read_takes_two_statements_at_most(
    path: str, size: int, api: Api, user: User, transaction: Connection
) -> None:
    course = a_course(user, modules=size, messages=size)
    for _ in range(size - 1):
        a_course(user, modules=2, messages=0)
    address = path.format(**course.ids, key=course.chat_session.key)
    client = api(user)
    with counted() as statements:
        assert client.get(address).status == 200
    assert 1 <= len(statements) <= 2, statements


@pytest.mark.parametrize("size", [1, 30])
@pytest.mark.parametrize(("route", "number"), WRITES.items(), ids=str)
def test_a_write_takes_its_number_of_statements(
    route: str, number: int, size: int, api: Api, session: Session, model: ScriptedModel
) -> None:
    model.reset()
    email = "bert@example.com" if route.endswith("/register") else ACCOUNT["email"]
    account = api().post("/api/auth/register", {**ACCOUNT, "email": email}).body
    owner = session.get_one(User, account["user"]["id"])
    course = a_course(owner, modules=size + 1, messages=2 * size, key=FILLERS["session_id"])
    session.execute(update(Module).where(Module.id == course.module.id).values(status="in_progress"))
    session.commit()
    method, path = route.split()
    known = {
        **FILLERS,
        **PASSWORDS,
        **ACCOUNT,
        "model_name": "scripted",
        **course.ids,
        "refresh_token": account["refresh_token"],
    }
    body = body_of(method, path, known)
    client = Client(account["access_token"] if (method, path) not in PUBLIC_ROUTES else None)
    with counted() as statements:
        reply = client.request(method, path.format(**known), body)
    assert reply.status < 300, reply.body
    assert len(statements) == number, statements


def body_of(method: str, path: str, known: dict[str, Any]) -> dict[str, Any] | None:
    if path.endswith("/status"):
        return {"status": "paused"}
    if not (schema := schema_of(method, path)):
        return None
    return {name: known[name] for name in [*schema.get("required", ()), *SENT.get(path, ())]}


def test_every_route_is_counted() -> None:
    public = {"/api", "/api/health", "/api/ai/default-config"}
    reads = {path.replace("{session_id}", "{key}") for method, path in OPERATIONS if method == "GET"}
    assert reads - public == set(READS)
    assert {f"{method} {path}" for method, path in OPERATIONS if method != "GET"} == set(WRITES)
