"""When the database fails: how long it is waited for, what is tried again, and what counts as its failure."""

import select
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.errors import ConnectionTimeout, DeadlockDetected, ReadOnlySqlTransaction, SerializationFailure
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

Result = TypeVar("Result")

PLACE_SECONDS = 2.0
"""For a place in the pool, where threads share one; an environment of Lambda has its place at once."""
PING_SECONDS = 1.5
CONNECT_SECONDS = 2
SILENCE_SECONDS = 3.5
"""A statement that takes longer, we give up; a lock is waited for less long, so that its end is heard of."""
KNOCK_SECONDS = 1.0
"""How often we look whether a database is back."""

CONNECT_ARGUMENTS = {
    "connect_timeout": CONNECT_SECONDS,
    # A peer that vanished without a word is noticed by the kernel, too, while nobody waits for an answer.
    "tcp_user_timeout": int(SILENCE_SECONDS * 1000),
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

    door: "Door | None" = None
    """The one it came through, which is shut when nothing is heard."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        # The pool's ping is all that ever runs outside a transaction.
        patience = PING_SECONDS if self.autocommit else SILENCE_SECONDS
        while True:
            try:
                return super().wait(gen, interval, patience)
            # Only while nothing has come is `gen` still there to be waited for once more.
            except psycopg.errors._WaitTimeout:
                if self._is_silent():
                    break
        self.pgconn.finish()
        if self.door:
            self.door.is_shut = True
        raise ConnectionTimeout("nothing was heard from the database")

    def _is_silent(self) -> bool:
        """Whether there is nothing to read: on a busy machine it may be us who were not heard of."""
        readable, _, _ = select.select([self.pgconn.socket], [], [], 0)
        return not readable


class Door:
    """The way to the database. While it is shut one of us knocks, and the others hear that at once.

    So a database that comes back is not run over by all who wait for it, nor does everybody wait in vain.
    """

    def __init__(self) -> None:
        self.is_shut = False
        self._knocking = threading.Lock()

    def connect(self, _: object, __: object, arguments: Any, parameters: dict[str, Any]) -> PatientConnection:
        """SQLAlchemy's `do_connect`."""
        if not self.is_shut:
            try:
                return self._through(arguments, parameters)
            except psycopg.OperationalError as error:
                self.is_shut = True
                if isinstance(error, ConnectionTimeout):
                    raise
                # Nothing was sent yet, so whoever was refused may try once more.
                time.sleep(KNOCK_SECONDS)
        if not self._knocking.acquire(blocking=False):
            raise psycopg.OperationalError("the database was out of reach a moment ago")
        try:
            return self._knock(arguments, parameters)
        finally:
            self._knocking.release()

    def _knock(self, arguments: Any, parameters: dict[str, Any]) -> PatientConnection:
        started = time.monotonic()
        try:
            connection = self._through(arguments, parameters)
        except psycopg.OperationalError:
            time.sleep(max(0.0, started + KNOCK_SECONDS - time.monotonic()))
            raise
        self.is_shut = False
        return connection

    def _through(self, arguments: Any, parameters: dict[str, Any]) -> PatientConnection:
        connection = PatientConnection.connect(*arguments, **parameters)
        connection.door = self
        return connection


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
