"""Whose it is, is part of every question: the matrix of every id of every route, made from the routes."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from sqlalchemy import Connection, select, update
from sqlalchemy.orm import Session

from academy import auth
from academy.http.dependencies import PUBLIC_ROUTES
from academy.models import Base, Chat, Login, User
from academy.repositories.chats import LECTURE
from dev.local import ROOT
from tests.client import Client, Reply
from tests.conftest import Api
from tests.factories import PASSWORD, Course, a_course, a_guest, a_user
from tests.fakes import ScriptedModel
from tests.roles import looking
from tests.walls import no_owner_clauses, take_down_policies

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
OWNED = ("track_id", "module_id", "chat_id")
# Values for what a body needs besides ids; a new required field has to be added here, or the matrix fails.
FILLERS: dict[str, Any] = {
    "session_id": "1718000000000abc123xyz",
    "title": "Rust",
    "status": "paused",
    "message": "Привет",
    "user_expectations": "Хочу",
    "skill_area": "танцы",
    "difficulty_level": "beginner",
    "duration_hours": 10,
    "lesson_title": "Урок",
    "module_context": "Шаг",
    "content_type": "theory",
}


class Target(NamedTuple):
    """One id that one route takes, and where."""

    method: str
    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.name}"


def schema_of(method: str, path: str) -> dict[str, Any]:
    body = DOCUMENT["paths"][path][method.lower()].get("requestBody")
    if not body:
        return {}
    schema = body["content"]["application/json"]["schema"]
    reference = schema.get("$ref") or schema["anyOf"][0]["$ref"]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def targets() -> Iterator[Target]:
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            in_body = schema_of(method, path).get("properties", {})
            for name in OWNED:
                if f"{{{name}}}" in path or name in in_body:
                    yield Target(method.upper(), path, name)


TARGETS = list(targets())


def beside(name: str, parent: str) -> list[Target]:
    """Where an id is taken together with that of what it has to be in."""
    return [
        target
        for target in TARGETS
        if target.name == name and parent in schema_of(target.method, target.path).get("properties", {})
    ]


def send(client: Client, target: Target, ids: dict[str, str], value: str) -> Reply:
    """The route's request with every id of the caller's own, but for the one in question."""
    wanted = {**ids, target.name: value}
    path = target.path
    for name, one in wanted.items():
        path = path.replace(f"{{{name}}}", one)
    schema = schema_of(target.method, target.path)
    known = {**FILLERS, **wanted}
    needed = [*schema.get("required", []), *(name for name in OWNED if name in schema.get("properties", {}))]
    body = {name: known[name] for name in needed}
    if target.path.endswith("/status"):
        body = {"status": "paused"}
    return client.request(target.method, path, body if schema else None)


@pytest.fixture
def mine(user: User) -> Course:
    return a_course(user, key=FILLERS["session_id"])


def the_same(reply: Reply, other: Reply) -> bool:
    """Byte for byte, but for the request's own id."""

    def without_id(one: Reply) -> bytes:
        return one.raw.replace(one.body["request_id"].encode(), b"")

    return reply.status == other.status and without_id(reply) == without_id(other)


UNOWNED = {"logins", "ai_usage", "throttles"}
"""What asking alone may change."""


def rows(transaction: Connection) -> dict[str, list[Any]]:
    """Everything that is stored, but for what every request leaves behind."""
    tables = [table for table in Base.metadata.sorted_tables if table.name not in UNOWNED]
    return {table.name: sorted(map(repr, transaction.execute(select(table)).mappings())) for table in tables}


def test_the_matrix_knows_every_id_that_a_route_takes() -> None:
    in_paths = {name for path in DOCUMENT["paths"] for name in re.findall(r"{(\w+)}", path)}
    schemas = DOCUMENT["components"]["schemas"].items()
    in_bodies = {name for model, schema in schemas if model.endswith("In") for name in schema["properties"]}
    ids = in_paths | {name for name in in_bodies if name.endswith("_id")}
    # A session is its user's own whatever its key: `test_two_learners_use_one_session_key` shows it.
    assert ids - {"session_id"} == set(OWNED) == {target.name for target in TARGETS}


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_B1_B3_what_is_somebody_elses_is_not_there(
    target: Target, api: Api, user: User, mine: Course, transaction: Connection
) -> None:
    strangers = [a_course(a_user()), a_course(a_guest())]
    client = api(user)
    before = rows(transaction)
    nobodys = send(client, target, mine.ids, str(uuid4()))
    assert (nobodys.status, nobodys.code) == (404, "not_found"), nobodys.body
    for stranger in strangers:
        assert the_same(send(client, target, mine.ids, stranger.ids[target.name]), nobodys)
    assert rows(transaction) == before


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_B1_B3_what_was_deleted_is_not_there(
    target: Target, api: Api, user: User, mine: Course, transaction: Connection
) -> None:
    deleted = a_course(user)
    client = api(user)
    assert client.delete(f"/api/tracks/{deleted.track.id}").status == 200
    before = rows(transaction)
    nobodys = send(client, target, mine.ids, str(uuid4()))
    assert the_same(send(client, target, mine.ids, deleted.ids[target.name]), nobodys)
    assert rows(transaction) == before


SESSION_ROUTES = (
    ("PUT", "/api/chat/sessions/{}/status", {"status": "paused"}),
    ("GET", "/api/chat/sessions/{}/chats", None),
    ("POST", "/api/chat/chats", {"session_id": "{}"}),
)


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize(("method", "path", "body"), SESSION_ROUTES)
def test_B1_B3_a_session_of_somebody_else_is_not_there(
    method: str, path: str, body: Any, api: Api, user: User, transaction: Connection
) -> None:
    strangers = [a_course(owner, key=str(uuid4())) for owner in (a_user(), a_guest())]
    client = api(user)
    before = rows(transaction)

    def ask(key: str) -> Reply:
        sent = {name: value.format(key) for name, value in body.items()} if body else None
        return client.request(method, path.format(key), sent)

    nobodys = ask(str(uuid4()))
    assert (nobodys.status, nobodys.code) == (404, "not_found")
    for stranger in strangers:
        assert the_same(ask(stranger.chat_session.key), nobodys)
    assert rows(transaction) == before


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_B3_without_either_wall_this_matrix_would_see_it(
    target: Target, api: Api, user: User, model: ScriptedModel, transaction: Connection
) -> None:
    model.reset()
    victim = a_course(a_user(), key=FILLERS["session_id"])
    if "/module-chat" in target.path:
        about = {"chat_type": LECTURE, "module_id": victim.module.id}
        transaction.execute(update(Chat).where(Chat.id == victim.chat.id).values(about))
    client = api(user)
    with no_owner_clauses():
        before = rows(transaction)
        assert send(client, target, victim.ids, victim.ids[target.name]).status == 404
        assert rows(transaction) == before
        take_down_policies(transaction)
        leaked = send(client, target, victim.ids, victim.ids[target.name])
    # What a module or a talk is not ready for is told to those alone who may know it.
    assert leaked.status in {200, 201} or leaked.code in {"module_not_started", "no_plan"}, leaked.body


@pytest.mark.parametrize("path", ["/api/tracks", "/api/chat/sessions"])
def test_B3_a_list_without_its_clause_shows_only_what_is_mine(
    path: str, api: Api, user: User, mine: Course, transaction: Connection
) -> None:
    client, own = api(user), [str(mine.track.id)]
    a_course(a_user())
    kept = "id" if path == "/api/tracks" else "track_id"
    with no_owner_clauses():
        assert [row[kept] for row in client.get(path).body] == own
        take_down_policies(transaction)
        assert len(client.get(path).body) == 2


def test_B3_settings_without_their_clause_are_mine(api: Api, user: User, transaction: Connection) -> None:
    assert api(a_user()).put("/api/ai/user-config", {"model_name": "theirs"}).status == 200
    client = api(user)
    with no_owner_clauses():
        assert client.get("/api/ai/user-config").body["model_name"] == "scripted"
        take_down_policies(transaction)
        assert client.get("/api/ai/user-config").body["model_name"] == "theirs"


LEAVING = {
    "log out everywhere": ("POST", "/api/auth/logout-all", None),
    "a new password": (
        "PUT",
        "/api/auth/password",
        {"current_password": PASSWORD, "new_password": "another horse battery"},
    ),
    "delete the account": ("DELETE", "/api/auth/me", {"password": PASSWORD}),
}


@pytest.mark.parametrize(("method", "path", "body"), LEAVING.values(), ids=LEAVING)
def test_B3_what_forgets_whose_account_it_is_about_harms_no_other(
    method: str, path: str, body: Any, api: Api, session: Session, transaction: Connection
) -> None:
    def accounts() -> list[Any]:
        others = select(User.id, User.password_hash, Login.id, Login.ended_at).outerjoin(Login)
        return sorted(map(repr, session.execute(others.where(User.first_name == "Борис"))))

    api(a_user(first_name="Борис"))
    clients = [api(a_user(password_hash=auth.hash_password(PASSWORD))) for _ in range(2)]
    before = accounts()
    with no_owner_clauses():
        assert clients[0].request(method, path, body).status == 204
        assert accounts() == before
        take_down_policies(transaction)
        assert clients[1].request(method, path, body).status == 204
    assert accounts() != before


def test_B2_of_a_modules_talks_each_session_shows_its_own(api: Api, user: User, mine: Course) -> None:
    elsewhere = a_course(user, key="another")
    # No route makes a stranger's talk about a module of mine; if one did, its words were not shown to me.
    strangers = a_course(a_user(), key=mine.chat_session.key)
    talks = []
    with looking() as session:
        for place in (mine, mine, elsewhere, strangers):
            about = {"chat_type": LECTURE, "module_id": mine.module.id, "session_id": place.chat_session.id}
            talks.append(Chat(**about))
            session.add(talks[-1])
            session.flush()  # or they would all begin at one moment
    first, second, *others = [str(talk.id) for talk in talks]

    def shown(key: str, chat_id: str | None = None) -> Any:
        here = {"track_id": mine.ids["track_id"], "module_id": mine.ids["module_id"], "session_id": key}
        return api(user).post("/api/ai/module-chat-history", here | {"chat_id": chat_id})

    newest = [shown(place.chat_session.key).body["chat_id"] for place in (mine, elsewhere)]
    assert newest == [second, others[0]]
    assert [shown(mine.chat_session.key, one).body["chat_id"] for one in (first, second)] == [first, second]
    assert [shown(mine.chat_session.key, one).status for one in others] == [404, 404]


@pytest.mark.parametrize("malformed", ["x", "1.5", "not-a-uuid"])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_B1_a_malformed_id_is_refused(
    target: Target, malformed: str, api: Api, user: User, mine: Course, transaction: Connection
) -> None:
    client = api(user)
    before = rows(transaction)
    assert send(client, target, mine.ids, malformed).status == 422
    assert rows(transaction) == before


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize("target", beside("module_id", "track_id"), ids=str)
def test_B2_a_module_of_my_other_track_is_not_in_this_one(
    target: Target, api: Api, user: User, mine: Course
) -> None:
    other = a_course(user)
    assert send(api(user), target, mine.ids, str(other.module.id)).status == 404


@pytest.mark.usefixtures("walls")
@pytest.mark.parametrize(
    "target",
    [
        one
        for one in TARGETS
        if one.name == "chat_id" and "session_id" in schema_of(*one[:2]).get("properties", {})
    ],
    ids=str,
)
def test_B2_a_chat_of_my_other_session_is_not_in_this_one(
    target: Target, api: Api, user: User, mine: Course
) -> None:
    other = a_course(user)
    assert send(api(user), target, mine.ids, str(other.chat.id)).status == 404


OPERATIONS = [(method.upper(), path) for path, found in DOCUMENT["paths"].items() for method in found]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("method", "path"), [one for one in OPERATIONS if one not in PUBLIC_ROUTES], ids=" ".join
)
def test_B6_every_route_that_is_not_public_needs_a_token(
    method: str, path: str, slash: str, api: Api
) -> None:
    for name in (*OWNED, "session_id"):
        path = path.replace(f"{{{name}}}", str(uuid4()))
    for token in (None, "not.a.token"):
        reply = Client(token).request(method, path + slash, {})
        assert (reply.status, reply.code) == (401, "unauthorized")


SERVER_FIELDS = (
    "id",
    "role",
    "is_guest",
    "is_active",
    "progress",
    "created_at",
    "modules",
    "ai_generated_plan",
    "status",
)


@pytest.mark.parametrize("field", SERVER_FIELDS)
def test_B4_what_the_server_decides_cannot_be_sent(field: str, api: Api, user: User) -> None:
    assert api(user).post("/api/tracks", {"title": "Rust", field: "active"}).status == 422


def test_B4_a_user_id_in_a_body_is_ignored(api: Api, user: User) -> None:
    stranger = a_user()
    track = api(user).post("/api/tracks", {"title": "Rust", "user_id": stranger.id})
    assert track.status == 201
    assert api(stranger).get("/api/tracks").body == []
