"""Looking at replies while they are made, and waiting for what another thread does."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import Event, Thread
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from academy.models import Message
from tests.deliveries import deliver
from tests.roles import looking


def said() -> list[tuple[str, str, str]]:
    query = select(Message.sender_type, Message.message_content, Message.status).order_by(Message.position)
    with looking() as session:
        return [(row[0], row[1], row[2]) for row in session.execute(query)]


def change_reply(**values: Any) -> None:
    with looking() as session:
        session.execute(update(Message).where(Message.sender_type == "ai").values(**values))


def in_seconds(seconds: int) -> Any:
    return func.now() + timedelta(seconds=seconds)


def eventually(fact: Callable[[], Any]) -> Any:
    waiting_for = Event()
    for _ in range(500):
        if found := fact():
            return found
        waiting_for.wait(0.02)
    raise AssertionError("it never came to that")


_BACKGROUND: list[Thread] = []


def in_background(message: dict[str, Any]) -> Thread:
    """A delivery on a thread of its own; the test's fixtures wait for it, however the test ends."""
    thread = Thread(target=deliver, args=[message])
    _BACKGROUND.append(thread)
    thread.start()
    return thread


def wait_for_background() -> None:
    while _BACKGROUND:
        _BACKGROUND.pop().join()


def reply_ids() -> Sequence[UUID]:
    with looking() as session:
        query = select(Message.id).where(Message.sender_type == "ai").order_by(Message.position)
        return session.scalars(query).all()
