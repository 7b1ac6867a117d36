"""Idempotency-Key on every POST there is, taken from the API's description: none can be forgotten."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from academy.http.dependencies import PUBLIC_ROUTES
from academy.models import Base, Module, User
from tests.client import Client, Reply
from tests.factories import a_course
from tests.fakes import ScriptedModel
from tests.functions.test_ownership import FILLERS, OPERATIONS
from tests.functions.test_statements import ACCOUNT, PASSWORDS, body_of
from tests.outages import no_database
from tests.races import at_once
from tests.roles import looking

POSTS = [path for method, path in OPERATIONS if method == "POST"]
WITH_BODY = [
    path
    for path in POSTS
    if body_of(
        "POST",
        path,
        FILLERS | PASSWORDS | ACCOUNT | dict.fromkeys(("track_id", "module_id", "refresh_token")),
    )
]
ASKING = [path for path in POSTS if path.startswith("/api/ai/")]
NOBODYS = {"throttles", "idempotency_keys", "platform_budgets"}
COUNTED = [table for table in Base.metadata.sorted_tables if table.name not in NOBODYS]
AT_ONCE = 20

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def _unscripted(model: ScriptedModel) -> Iterator[None]:
    model.reset()
    yield
    model.reset()


@dataclass
class Caller:
    """Somebody with a course, and everything that a POST's body may want to hold."""

    client: Client
    known: dict[str, Any]

    def post(self, path: str, key: str, **changes: Any) -> Reply:
        body = body_of("POST", path, self.known)
        if body is None and not changes:
            return self.client.post(path, idempotency_key=key)
        return self.client.post(path, {**(body or {}), **changes}, idempotency_key=key)


def caller_for(path: str, number: int = 1) -> Caller:
    anybody = Client(address=f"198.51.100.{number}")
    account = anybody.post("/api/auth/register", {**ACCOUNT, "email": f"{uuid4().hex}@example.com"}).body
    with looking() as session:
        owner = session.get_one(User, account["user"]["id"])
    course = a_course(owner, key=FILLERS["session_id"])
    with looking() as session:
        session.execute(update(Module).where(Module.id == course.module.id).values(status="in_progress"))
    known = {**FILLERS, **PASSWORDS, **ACCOUNT, **course.ids, "refresh_token": account["refresh_token"]}
    known["email"] = f"{number}@example.com" if path.endswith("/register") else account["user"]["email"]
    is_public = ("POST", path) in PUBLIC_ROUTES
    return Caller(anybody if is_public else Client(account["access_token"]), known)


def sizes() -> dict[str, int]:
    with looking() as session:
        return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in COUNTED}


def grown(before: dict[str, int]) -> dict[str, int]:
    return {name: size - before[name] for name, size in sizes().items() if size != before[name]}


@pytest.mark.parametrize("path", POSTS)
def test_G1_twenty_at_once_are_one_effect_and_one_answer(path: str, model: ScriptedModel) -> None:
    alone = caller_for(path)
    before, asked = sizes(), len(model.requests)
    assert alone.post(path, "key-1").status < 300
    once, asked_once = grown(before), len(model.requests) - asked

    crowd = caller_for(path, number=2)
    before, asked = sizes(), len(model.requests)
    replies = at_once(lambda _: crowd.post(path, "key-1"), range(AT_ONCE))
    again = crowd.post(path, "key-1")
    assert again.status < 300
    for reply in replies:
        assert reply.raw == again.raw or (reply.status, reply.code) == (409, "idempotency_in_progress")
    assert again.raw in {reply.raw for reply in replies}
    assert (grown(before), len(model.requests) - asked) == (once, asked_once)


@pytest.mark.parametrize("path", POSTS)
def test_G1_another_body_is_a_mismatch_and_somebody_elses_key_another_one(path: str) -> None:
    mine, theirs = caller_for(path), caller_for(path, number=2)
    assert mine.post(path, "key-1").status < 300
    other = mine.post(path, "key-1", user_id="is ignored, but the body is another one")
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    before = sizes()
    reply = theirs.post(path, "key-1")
    assert reply.status < 300
    assert reply.raw == theirs.post(path, "key-1").raw
    assert "users" not in grown(before) or path.endswith(("register", "guest-login"))


@pytest.mark.parametrize("path", WITH_BODY)
def test_G1_a_refused_body_leaves_the_key_free(path: str) -> None:
    caller = caller_for(path)
    refused = caller.post(path, "key-1", no_such_field=True)
    assert (refused.status, refused.code) == (422, "validation_error")
    assert caller.post(path, "key-1").status < 300


@pytest.mark.parametrize("path", POSTS)
def test_G1_an_outage_is_not_remembered(path: str) -> None:
    caller = caller_for(path)
    with no_database():
        assert caller.post(path, "key-1").status == 503
    assert caller.post(path, "key-1").status < 300


@pytest.mark.parametrize("path", ASKING)
def test_G1_a_models_trouble_is_not_remembered(path: str, model: ScriptedModel) -> None:
    caller = caller_for(path)
    model.fails(401, times=2)
    failed = caller.post(path, "key-1")
    model.reset()
    if failed.status == 200:  # it asks no model, or is asked whether one answers
        assert path.endswith(("module-complete", "module-chat-history", "test-connection"))
        return
    assert (failed.status, failed.code) == (424, "ai_key_rejected")
    assert caller.post(path, "key-1").status == 200
