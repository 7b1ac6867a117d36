"""Idempotency-Key: the same POST again is one effect and one answer."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from academy.http.idempotency import LEASE
from academy.models import Base, Chat, ChatSession, IdempotencyKey, Message, Track, User
from tests.client import Client, Reply
from tests.conftest import Api, client_of
from tests.factories import a_course, a_user
from tests.fakes import ScriptedModel
from tests.races import at_once

SESSION = "1718000000000abc123xyz"
QUESTION = {"message": "Что такое танго?", "session_id": SESSION}


@pytest.fixture(autouse=True)
def _unscripted(model: ScriptedModel) -> Iterator[None]:
    model.reset()
    yield
    model.reset()


def count(session: Session, table: type[Base]) -> int:
    return session.scalars(select(func.count()).select_from(table)).one()


def test_G1_the_same_again_is_the_same_answer_and_one_effect(api: Api, user: User) -> None:
    caller = api(user)
    first, second = [caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1") for _ in range(2)]
    assert (first.status, first.raw) == (second.status, second.raw) == (201, first.raw)
    assert len(caller.get("/api/tracks").body) == 1


def test_G1_another_body_is_a_mismatch(api: Api, user: User) -> None:
    caller = api(user)
    caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1")
    reply = caller.post("/api/tracks", {"title": "Go"}, idempotency_key="key-1")
    assert (reply.status, reply.code) == (422, "idempotency_mismatch")
    assert reply.body["detail"].endswith(" Make a new key.")
    assert len(caller.get("/api/tracks").body) == 1


def test_G1_another_route_is_a_mismatch(api: Api, user: User) -> None:
    caller = api(user)
    caller.post("/api/chat/sessions", {}, idempotency_key="key-1")
    reply = caller.post("/api/tracks", {}, idempotency_key="key-1")
    assert (reply.status, reply.code) == (422, "idempotency_mismatch")


def test_without_a_key_each_question_is_another_one(api: Api, user: User, session: Session) -> None:
    for _ in range(2):
        assert api(user).post("/api/ai/chat-response", QUESTION).status == 200
    assert count(session, Message) == 4


MICROSECOND = timedelta(microseconds=1)


def test_G1_a_lease_keeps_repetitions_waiting_until_it_is_over(
    api: Api, user: User, session: Session
) -> None:
    caller = api(user)

    def repeat_after(ended: timedelta) -> Reply:
        # As a request leaves it behind that let go of its connection, and was killed.
        row = {"sealed_answer": None, "leased_until": func.now() - ended}
        session.execute(update(IdempotencyKey).values(row))
        session.commit()
        return caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1")

    caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1")
    assert session.scalar(select(IdempotencyKey.leased_until - func.now())) == LEASE
    waits = repeat_after(timedelta(0))
    assert (waits.status, waits.code) == (409, "idempotency_in_progress")
    assert waits.headers["retry-after"] == "2"
    again = repeat_after(MICROSECOND)
    assert again.status == 201
    assert caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1").raw == again.raw
    assert len(caller.get("/api/tracks").body) == 2


def test_G1_an_answer_is_kept_for_a_day(api: Api, user: User, session: Session) -> None:
    caller = api(user)

    def title_after(age: timedelta, title: str) -> str:
        # The lease that it was claimed with is long over.
        aged = {"created_at": func.now() - age, "leased_until": func.now() - LEASE}
        session.execute(update(IdempotencyKey).values(aged))
        session.commit()
        reply = caller.post("/api/tracks", {"title": title}, idempotency_key="key-1")
        return str(reply.body["title"] if reply.status == 201 else reply.code)

    caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1")
    assert title_after(timedelta(hours=24), "Rust") == "Rust"
    assert title_after(timedelta(hours=24), "Go") == "idempotency_mismatch"
    assert title_after(timedelta(hours=24) + MICROSECOND, "Go") == "Go"
    assert title_after(timedelta(hours=24), "Go") == "Go"
    assert [track["title"] for track in caller.get("/api/tracks").body] == ["Go", "Rust"]


def test_G1_who_has_left_hears_nothing_again_but_that_they_left(api: Api, user: User) -> None:
    caller = api(user)
    assert caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1").status == 201
    left = caller.post("/api/auth/logout", idempotency_key="key-2")
    again = caller.post("/api/auth/logout", idempotency_key="key-2")
    assert (left.status, again.status) == (204, 204)
    assert caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1").status == 401
    assert caller.post("/api/auth/logout", idempotency_key="key-3").status == 401
    assert caller.post("/api/auth/logout", {}, idempotency_key="key-2").status == 422


@pytest.mark.parametrize("token", ["", "none of ours"])
def test_G1_a_key_opens_nothing_for_a_token_that_is_none(token: str) -> None:
    assert Client(token=token).post("/api/auth/logout", idempotency_key="key-1").status == 401


def test_G1_somebody_elses_same_key_is_another_key(api: Api, user: User) -> None:
    callers = [api(user), api(a_user())]
    ids = [
        caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1").body["id"]
        for caller in callers
    ]
    assert len(set(ids)) == 2


def test_G1_a_refused_body_leaves_the_key_free(api: Api, user: User) -> None:
    caller = api(user)
    assert caller.post("/api/tracks", {}, idempotency_key="key-1").status == 422
    assert caller.post("/api/tracks", {"title": "Rust"}, idempotency_key="key-1").status == 201


def test_G1_a_failure_is_not_remembered(api: Api, user: User) -> None:
    caller = api(user)
    body = {"session_id": SESSION}
    assert caller.post("/api/chat/chats", body, idempotency_key="key-1").status == 404
    a_course(user, key=SESSION)
    assert caller.post("/api/chat/chats", body, idempotency_key="key-1").status == 201


def test_G1_a_model_that_failed_is_asked_again(
    api: Api, user: User, model: ScriptedModel, session: Session
) -> None:
    caller = api(user)
    model.fails(401)
    assert caller.post("/api/ai/chat-response", QUESTION, idempotency_key="key-1").status == 424
    assert caller.post("/api/ai/chat-response", QUESTION, idempotency_key="key-1").status == 200
    assert count(session, Message) == 2


def test_G1_a_question_is_known_by_its_key_whatever_was_said_since(
    api: Api, user: User, model: ScriptedModel, session: Session
) -> None:
    caller = api(user)
    model.fails(401)
    assert caller.post("/api/ai/chat-response", QUESTION, idempotency_key="key-1").status == 424
    other = {**QUESTION, "message": "А вальс?"}
    assert caller.post("/api/ai/chat-response", other, idempotency_key="key-2").status == 200
    assert caller.post("/api/ai/chat-response", QUESTION, idempotency_key="key-1").status == 200
    assert count(session, Message) == 4


def test_G1_an_answered_question_is_not_asked_again(api: Api, user: User, model: ScriptedModel) -> None:
    caller = api(user)
    first, second = [
        caller.post("/api/ai/chat-response", QUESTION, idempotency_key="key-1") for _ in range(2)
    ]
    assert (first.status, first.raw) == (200, second.raw)
    assert len(model.requests) == 1


@pytest.mark.parametrize("key", ["", " ", "two words", "ключ", "x" * 256])
def test_G1_a_key_that_is_none_is_refused(key: str, api: Api, user: User) -> None:
    reply = api(user).post("/api/tracks", {"title": "Rust"}, idempotency_key=key)
    assert (reply.status, reply.code) == (422, "bad_idempotency_key")


def test_G1_only_a_post_takes_a_key(api: Api, user: User) -> None:
    caller = api(user)
    track = caller.post("/api/tracks", {"title": "Rust"}).body["id"]
    for title in ("Go", "Zig"):
        reply = caller.put(f"/api/tracks/{track}", {"title": title}, idempotency_key="key-1")
        assert reply.body["title"] == title


@pytest.mark.usefixtures("committed")
class TestTwentyAtOnce:
    @pytest.mark.parametrize(
        ("path", "body", "made"),
        [
            ("/api/tracks", {"title": "Rust"}, Track),
            ("/api/chat/sessions", {"session_name": "Утро"}, ChatSession),
            ("/api/chat/chats", {"session_id": SESSION}, Chat),
        ],
    )
    def test_G1_are_one_effect_and_twenty_equal_answers(
        self, path: str, body: dict[str, Any], made: type[Base], session_of_its_own: Session
    ) -> None:
        caller = owner()
        before = count(session_of_its_own, made)
        session_of_its_own.rollback()
        replies = at_once(lambda _: caller.post(path, body, idempotency_key="key-1"), range(20))
        assert {(reply.status, reply.raw) for reply in replies} == {(201, replies[0].raw)}
        assert count(session_of_its_own, made) == before + 1

    def test_G1_are_one_question_and_the_rest_hear_that_it_runs(
        self, model: ScriptedModel, session_of_its_own: Session
    ) -> None:
        caller = owner()

        def ask(_: int) -> tuple[int, bytes]:
            reply = caller.post("/api/ai/chat-response", QUESTION, idempotency_key="key-1")
            return reply.status, reply.raw if reply.status == 200 else reply.code.encode()

        replies = set(at_once(ask, range(20)))
        answer = ask(0)
        assert answer[0] == 200
        assert replies <= {answer, (409, b"idempotency_in_progress")}
        assert len(model.requests) == 1
        assert count(session_of_its_own, Message) == 2 + 2


def owner() -> Client:
    """Somebody with a course, for real."""
    user = a_user()
    a_course(user, key=SESSION)
    return client_of(user)
