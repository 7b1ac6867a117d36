"""How long the database is waited for, and what is tried again when it fails."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.errors import ConnectionTimeout
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from academy import db, outages
from dev import postgres
from tests.conftest import client_of
from tests.factories import a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.faults.proxy import Proxy
from tests.outages import closed_port
from tests.sockets import Socket, Switchboard


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KNOCK_SECONDS", "PING_SECONDS", "SILENCE_SECONDS"):
        monkeypatch.setattr(outages, name, 0.2)


def an_engine(server: postgres.Server, port: int, door: outages.Door | None = None) -> Engine:
    url = f"postgresql+psycopg://{postgres.APP}:{server.password}@127.0.0.1:{port}/academy?sslmode=disable"
    made = create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True)
    event.listen(made, "do_connect", (door or outages.Door()).connect)
    return made


@contextmanager
def colliding(words: str, times: int) -> Iterator[list[str]]:
    """So many statements with these words in them end in a deadlock; yields those."""
    collided: list[str] = []

    def collide(_: Any, __: Any, sent: str, parameters: Any, ___: Any, ____: Any) -> tuple[str, Any]:
        if len(collided) < times and words in sent:
            collided.append(sent)
            return "DO $$ BEGIN RAISE deadlock_detected; END $$", ()
        return sent, parameters

    event.listen(db.engine(), "before_cursor_execute", collide, retval=True)
    try:
        yield collided
    finally:
        event.remove(db.engine(), "before_cursor_execute", collide)


class TestG7Patience:
    def test_a_statement_that_nothing_is_heard_of_is_given_up_and_the_next_one_served(
        self, database: postgres.Server, hasty: None
    ) -> None:
        door = outages.Door()
        with Proxy(database.port) as proxy:
            engine = an_engine(database, proxy.port, door)
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
                proxy.mode = "black hole"
                with pytest.raises(OperationalError) as caught:
                    connection.execute(text("SELECT 2"))
                assert outages.is_silence(caught.value)
                assert str(caught.value.orig) == "nothing was heard from the database"
                assert caught.value.connection_invalidated
            assert door.is_shut
            proxy.mode = "pass"
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT 3")) == 3
            assert not door.is_shut
            engine.dispose()

    def test_an_idle_connection_is_asked_for_less_long_than_a_statement(
        self, database: postgres.Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = an_engine(database, database.port)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        allowed: list[float] = []

        def wait(self: Any, gen: Any, interval: float, timeout: float) -> Any:
            allowed.append(timeout)
            return waited(self, gen, interval, timeout)

        waited = psycopg.Connection.wait
        monkeypatch.setattr(psycopg.Connection, "wait", wait)
        with engine.connect() as connection:
            assert outages.PING_SECONDS in allowed
            allowed.clear()
            connection.execute(text("SELECT 2"))
            assert {*allowed} == {outages.SILENCE_SECONDS}
        engine.dispose()

    def test_who_names_a_time_themselves_is_told_when_it_is_over(self, database: postgres.Server) -> None:
        engine = an_engine(database, database.port)
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.commit()
            assert [*driver.notifies(timeout=0.01)] == []
            assert connection.scalar(text("SELECT 1")) == 1
        engine.dispose()

    def test_a_busy_host_that_has_not_looked_waits_on_for_the_answer(
        self, database: postgres.Server, hasty: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outages.PatientConnection, "_is_silent", lambda _: False)
        engine = an_engine(database, database.port)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 7 FROM pg_sleep(0.7)")) == 7
        engine.dispose()

    def test_an_error_that_is_read_late_is_still_an_error(
        self, database: postgres.Server, hasty: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def read_late() -> Iterator[int]:
            time.sleep(2 * outages.SILENCE_SECONDS)
            yield from ()
            raise psycopg.OperationalError("what Postgres said")

        monkeypatch.setattr(outages.PatientConnection, "_is_silent", lambda _: False)
        engine = an_engine(database, database.port)
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            with pytest.raises(psycopg.OperationalError, match="what Postgres said"):
                driver.wait(read_late())
        engine.dispose()

    def test_an_idle_connection_that_died_is_replaced(self, database: postgres.Server, hasty: None) -> None:
        with Proxy(database.port) as proxy:
            engine = an_engine(database, proxy.port)
            for _ in range(2):
                with engine.connect() as connection:
                    assert connection.scalar(text("SELECT 1")) == 1
                proxy.reset_all()
            engine.dispose()

    def test_the_applications_role_is_limited_by_the_database(self, database: postgres.Server) -> None:
        with database.connect(postgres.APP) as connection:
            limits = {name: connection.execute(f"SHOW {name}".encode()) for name in outages.SESSION_LIMITS}
            assert {name: found.fetchone() for name, found in limits.items()} == {
                name: (limit,) for name, limit in outages.SESSION_LIMITS.items()
            }
        with database.connect(postgres.OWNER) as connection:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)


class TestG8Door:
    def test_who_is_refused_tries_once_more(self, database: postgres.Server, hasty: None) -> None:
        with Proxy(database.port) as proxy:
            proxy.mode = "refuse"
            engine = an_engine(database, proxy.port)
            with pytest.raises(OperationalError), engine.connect():
                pass
            assert len(proxy.connects) == 2

    def test_while_one_knocks_the_others_hear_at_once_that_it_is_shut(
        self, database: postgres.Server, hasty: None
    ) -> None:
        door = outages.Door()
        with Proxy(database.port) as proxy:
            place = f"host=127.0.0.1 port={proxy.port} dbname=academy user={postgres.APP} sslmode=disable"
            password = {"password": database.password}
            proxy.mode = "refuse"
            with pytest.raises(psycopg.OperationalError):
                door.connect(None, None, [place], password)
            proxy.mode = "pass"
            knocks = len(proxy.connects)
            shut = r"^the database was out of reach a moment ago$"
            with door._knocking, pytest.raises(psycopg.OperationalError, match=shut):
                door.connect(None, None, [place], password)
            assert len(proxy.connects) == knocks
            door.connect(None, None, [place], password).close()
            with door._knocking:
                door.connect(None, None, [place], password).close()

    @pytest.mark.parametrize(("took", "rests"), [(0.25, 0.75), (2.0, 0.0)])
    def test_who_knocks_in_vain_does_so_once_a_second(
        self, monkeypatch: pytest.MonkeyPatch, took: float, rests: float
    ) -> None:
        rested: list[float] = []
        clock = iter([10.0, 10.0 + took])
        monkeypatch.setattr(
            outages, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=rested.append)
        )
        door = outages.Door()
        door.is_shut = True
        with closed_port() as port, pytest.raises(psycopg.OperationalError, match="refused"):
            door.connect(None, None, [], {"host": "127.0.0.1", "port": port})
        assert rested == [rests]


class TestWhatCountsAsAnOutage:
    @pytest.mark.parametrize(
        "state", ["25006", "40P01", "53100", "53300", "55P03", "57014", "57P01", "58030"]
    )
    def test_the_databases_own_trouble(self, state: str) -> None:
        assert outages.is_outage(error_of(state))

    def test_a_connection_that_was_lost_whatever_postgres_calls_it(self) -> None:
        lost = DBAPIError.instance("", {}, idle_timeout(), psycopg.Error, connection_invalidated=True)
        assert outages.is_outage(lost)
        assert outages.is_outage(PoolTimeout())

    def test_what_a_caller_or_we_did_wrong(self) -> None:
        assert not outages.is_outage(IntegrityError("", {}, psycopg.errors.UniqueViolation()))
        assert not outages.is_outage(error_of("42601"))
        assert not outages.is_outage(ValueError())

    def test_silence_and_collision(self) -> None:
        assert outages.is_silence(OperationalError("", {}, ConnectionTimeout()))
        assert not outages.is_silence(error_of("57P01"))
        assert outages.is_collision(error_of("40001"))
        assert not outages.is_collision(error_of("57P01"))


def error_of(state: str) -> BaseException:
    error: BaseException = DBAPIError.instance("", {}, psycopg.errors.lookup(state)(), psycopg.Error)
    return error


def idle_timeout() -> psycopg.Error:
    return psycopg.errors.IdleInTransactionSessionTimeout()


@pytest.mark.usefixtures("committed")
class TestG7Collisions:
    @pytest.mark.parametrize(("times", "status"), [(2, 201), (3, 503)])
    def test_a_request_that_deadlocked_runs_again(self, times: int, status: int) -> None:
        learner = client_of(a_user())
        with colliding("INSERT INTO learning_tracks", times) as collided:
            reply = learner.post("/api/tracks", {"title": "Танго"}, idempotency_key="once")
        assert (reply.status, len(collided)) == (status, times)
        assert len(learner.get("/api/tracks").body) == (status == 201)

    def test_a_request_that_asked_a_model_meanwhile_does_not(self, model: ScriptedModel) -> None:
        model.reset()
        learner = client_of(a_user())
        body = {"session_id": "here", "message": "Привет"}
        with colliding("ai_model_used=", 1):
            reply = learner.post("/api/ai/chat-response", body, idempotency_key="once")
        assert (reply.status, reply.code) == (503, "db_unavailable")
        assert reply.headers["retry-after"] == "5"
        assert len(model.requests) == 1
        assert learner.post("/api/ai/chat-response", body, idempotency_key="once").status == 200
        model.reset()

    @pytest.mark.parametrize(("times", "kind"), [(2, "message_accepted"), (3, "error")])
    def test_a_frame_that_deadlocked_is_tried_three_times(
        self, switchboard: Switchboard, reply_queue: None, times: int, kind: str
    ) -> None:
        socket = Socket(switchboard, a_login_of(a_user())).opened()
        with colliding("INSERT INTO chat_messages", times) as collided:
            [answer] = socket.say("Привет")
        assert (answer["type"], len(collided)) == (kind, times)
