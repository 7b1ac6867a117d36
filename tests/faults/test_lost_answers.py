"""G1, F3 in small: whichever commit of a POST loses its answer, repeating it has one effect, one answer."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from sqlalchemy import create_engine, func, select, text

from academy import db
from academy.models import Base, Login, Message, User
from dev import postgres
from tests.client import Client
from tests.factories import PASSWORD, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.faults.proxy import Proxy
from tests.roles import looking

ACCOUNT = {"email": "anna@example.com", "password": PASSWORD, "first_name": "Анна", "last_name": "Петрова"}
WORDS = {"session_id": "here", "message": "Привет"}


@pytest.fixture
def proxy(committed: None, database: postgres.Server, model: ScriptedModel) -> Iterator[Proxy]:
    """The platform's way to the database."""
    model.reset()
    factory = db.session_factory()
    usual = db.engine()
    with Proxy(database.port) as proxy:
        through = db.engine.__wrapped__().url.set(port=proxy.port)
        engine = create_engine(through, pool_pre_ping=True)
        factory.configure(bind=engine)
        yield proxy
        factory.configure(bind=usual)
        engine.dispose()
    model.reset()


def how_many(model: type[Base], *which: Any) -> int:
    with looking() as session:
        return session.scalar(select(func.count()).select_from(model).where(*which)) or 0


def answered(proxy: Proxy, nth: int, caller: Client, path: str, body: Any) -> Client:
    """Post while the answer to the nth commit is lost, then again until it is done, and once more."""
    commits = count(1)
    proxy.swallow = lambda: next(commits) == nth
    first = caller.post(path, body, idempotency_key="once")
    assert proxy.swallowed == 1, "there is no such commit"
    assert (first.status, first.code) == (503, "db_unavailable")
    with looking() as session:
        # As if the seconds were over for which a lost writer is taken to be alive.
        session.execute(text("UPDATE chat_messages SET leased_until = now()"))
    second, third = (caller.post(path, body, idempotency_key="once") for _ in range(2))
    assert second.status in {200, 201}, second.body
    assert (third.status, third.raw) == (second.status, second.raw)
    return caller


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_registering(nth: int, proxy: Proxy) -> None:
    answered(proxy, nth, Client(), "/api/auth/register", ACCOUNT)
    assert (how_many(User), how_many(Login)) == (1, 1)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_logging_in_as_a_guest(nth: int, proxy: Proxy) -> None:
    answered(proxy, nth, Client(), "/api/auth/guest-login", {})
    assert (how_many(User), how_many(Login)) == (1, 1)


@pytest.mark.parametrize("nth", range(1, 7))
def test_talking_with_the_tutor(nth: int, proxy: Proxy) -> None:
    answered(proxy, nth, Client(token=a_login_of(a_user())), "/api/ai/chat-response", WORDS)
    said = [Message.sender_type == "user", Message.reply_to.is_not(None)]
    assert [how_many(Message, which) for which in said] == [1, 1]


@pytest.mark.parametrize("nth", range(1, 7))
def test_a_greeting(nth: int, proxy: Proxy) -> None:
    wishes = {"skill_area": "танцы", "user_expectations": "Хочу", "difficulty_level": "beginner"}
    body = {"session_id": "here", **wishes, "duration_hours": 20}
    answered(proxy, nth, Client(token=a_login_of(a_user())), "/api/ai/welcome-message", body)
    assert how_many(Message) == 1


@pytest.mark.parametrize("nth", [1])
def test_a_track(nth: int, proxy: Proxy) -> None:
    caller = answered(proxy, nth, Client(token=a_login_of(a_user())), "/api/tracks", {"title": "Танго"})
    assert len(caller.get("/api/tracks").body) == 1
