"""Sockets, the queue and the model as every test of replies wants to find them."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, event

from academy import config, db, outages
from academy.llm import dialect
from ai import draft
from tests.factories import a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.replies import wait_for_background
from tests.sockets import Socket, Switchboard
from tests.walls import no_owner_clauses, take_down_policies


@pytest.fixture(params=["both walls", "owner clauses alone", "policies alone"])
def walls(request: pytest.FixtureRequest, transaction: Connection) -> Iterator[None]:
    """What keeps people apart: one of the two is enough."""
    if request.param == "policies alone":
        with no_owner_clauses() as robbed:
            yield
        assert robbed, "there was no clause to forget"
        return
    if request.param == "owner clauses alone":
        take_down_policies(transaction)
    yield


@pytest.fixture
def quiet(model: ScriptedModel, switchboard: Switchboard, reply_queue: None) -> Iterator[None]:
    """No script, no frames, nothing in the queue."""
    model.reset()
    switchboard.reset()
    yield
    wait_for_background()
    model.reset()
    dialect._memory.cache_clear()  # one of the servers here could not stream


@pytest.fixture
def learner(committed: None, quiet: None, switchboard: Switchboard) -> Socket:
    """A socket of somebody whose words are truly committed, for what happens on several threads."""
    return Socket(switchboard, a_login_of(a_user())).opened()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words are kept, and wishes looked at, far more often than every second."""
    monkeypatch.setattr(draft, "KEEP_SECONDS", 0.02)


@pytest.fixture
def patience(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So many callers share their cores with Postgres: who is heard late, or has a turn late, is not lost."""

    def wait_for_locks(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")

    monkeypatch.setattr(outages, "PING_SECONDS", 30.0)
    monkeypatch.setattr(outages, "SILENCE_SECONDS", 30.0)
    monkeypatch.setattr(db.engine().pool, "_timeout", 30.0)
    event.listen(db.engine(), "begin", wait_for_locks)
    yield
    event.remove(db.engine(), "begin", wait_for_locks)


@pytest.fixture
def per_account_only(monkeypatch: pytest.MonkeyPatch, environment: None) -> Iterator[None]:
    """Nobody is counted by their address."""
    with monkeypatch.context() as changed:
        changed.setenv("THROTTLE_PER_ADDRESS", "off")
        config.settings.cache_clear()
        try:
            yield
        finally:
            config.settings.cache_clear()
