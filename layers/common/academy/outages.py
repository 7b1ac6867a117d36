"""When the database fails: how long it is waited for, what is tried again, and what counts as its failure."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.errors import ConnectionTimeout, DeadlockDetected, ReadOnlySqlTransaction, SerializationFailure
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

Result = TypeVar("Result")

PLACE_SECONDS = 0.9
"""For a place in the pool. With a ping and an attempt to connect it is less than the 5 s we answer within."""
PING_SECONDS = 0.5
CONNECT_SECONDS = 3
SILENCE_SECONDS = 4
"""A statement that takes longer, we give up; a lock is waited for less long, so that its end is heard of."""
ATTEMPT_SECONDS = 1.0
"""How long an attempt to connect that was refused keeps its place in the pool: whoever comes back, each place
knocks once a second. https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/"""

CONNECT_ARGUMENTS = {
    "connect_timeout": CONNECT_SECONDS,
    # A peer that vanished without a word is noticed by the kernel, too, while nobody waits for an answer.
    "tcp_user_timeout": SILENCE_SECONDS * 1000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

SESSION_LIMITS = {
    "statement_timeout": "10s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "15s",
}
"""Defaults of the application's role, and not said by each connection: that would cost a round trip, and pin
the connections of an RDS Proxy. They end what nobody waits for any more."""

TRIES = 3


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when nothing is heard on it for seconds; libpq would wait for ever."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        # The pool's ping is all that ever runs outside a transaction.
        patience = PING_SECONDS if self.autocommit else SILENCE_SECONDS
        started = time.monotonic()
        try:
            return super().wait(gen, interval, patience if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.closed or time.monotonic() - started < patience:
                raise
            self.pgconn.finish()
            raise ConnectionTimeout("nothing was heard from the database") from None


def connect(_: object, __: object, arguments: Any, parameters: dict[str, Any]) -> PatientConnection:
    """SQLAlchemy's `do_connect`: one more attempt after one that was refused, for nothing was sent yet."""
    for is_last in (False, True):
        started = time.monotonic()
        try:
            return PatientConnection.connect(*arguments, **parameters)
        except psycopg.OperationalError as error:
            time.sleep(max(0.0, started + ATTEMPT_SECONDS - time.monotonic()))
            if is_last or isinstance(error, ConnectionTimeout):
                raise
    raise AssertionError("the last attempt returns or raises")


def is_outage(error: BaseException) -> bool:
    """Whether the database is to blame: it is out of reach, too slow, full, or has just become a replica."""
    if isinstance(error, DBAPIError):
        is_replica = isinstance(error.orig, ReadOnlySqlTransaction)
        return isinstance(error, OperationalError) or error.connection_invalidated or is_replica
    return isinstance(error, PoolTimeout)


def is_silence(error: BaseException) -> bool:
    """Whether it was waited for in vain: whoever caused this has waited long enough."""
    return isinstance(getattr(error, "orig", None), ConnectionTimeout)


def is_collision(error: BaseException) -> bool:
    """Whether two transactions stood in each other's way, so that this one may simply run again."""
    return isinstance(getattr(error, "orig", None), SerializationFailure | DeadlockDetected)


def transact(factory: Callable[[], Any], work: Callable[[Session], Result]) -> Result:
    """What `work` gives in a transaction of its own, tried again when it collides with another one."""
    for _ in range(TRIES - 1):
        try:
            with factory() as session:
                return work(session)
        except OperationalError as error:
            if not is_collision(error):
                raise
    with factory() as session:
        return work(session)
