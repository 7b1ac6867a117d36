"""Who is asking, where everybody shares one connection; and the tests' own look, which no policy narrows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

from academy.db import USER

TAKE_ROLE = """
    SELECT current_setting('role'), current_setting(%(user)s, true),
           set_config('role', %(role)s, true), set_config(%(user)s, '', true)
"""
GIVE_BACK = "SELECT set_config('role', %s, true), set_config(%s, %s, true)"

looks: sessionmaker[Session] = sessionmaker(expire_on_commit=False)
"""Sessions of the superuser, who sees what everybody has made; the fixtures say where."""


@contextmanager
def looking() -> Iterator[Session]:
    """A transaction that sees and may change everything."""
    with looks.begin() as session:
        yield session


class Roles:
    """Has each session that shares a connection act as a role of its own.

    A transaction of theirs begins as a connection's does, with nobody known, and what it said about that is
    over when it ends.
    """

    def __init__(self) -> None:
        self._before: dict[SessionTransaction, tuple[Connection, tuple[Any, ...]]] = {}

    @contextmanager
    def played(self, factory: sessionmaker[Session], role: str) -> Iterator[None]:
        def take(_: Session, transaction: SessionTransaction, connection: Connection) -> None:
            found = _cursor(connection).execute(TAKE_ROLE, {"role": role, "user": USER}).fetchone()
            self._before[transaction] = connection, (found[0], USER, found[1] or "")

        # Before the platform's own listener, which names the user.
        event.listen(factory, "after_begin", take, insert=True)
        event.listen(factory, "after_transaction_end", self._give_back)
        yield
        event.remove(factory, "after_begin", take)
        event.remove(factory, "after_transaction_end", self._give_back)

    def _give_back(self, _: Session, transaction: SessionTransaction) -> None:
        if transaction in self._before:
            connection, before = self._before.pop(transaction)
            _cursor(connection).execute(GIVE_BACK, before)


def _cursor(connection: Connection) -> Any:
    # The driver's own: these are no statements of the platform's.
    return connection.connection.cursor()
