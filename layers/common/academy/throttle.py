"""How often something may be tried: counters in Postgres, one atomic statement each."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import ColumnElement, case, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from academy import crypto
from academy.errors import RateLimited
from academy.models import Throttle

LONGEST_PAUSE = timedelta(hours=1)
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `times` in `window`, for each subject that `count` is called with.

    With a `pause`, more tries follow one by one: after the last of `times` that long, and twice as long
    after every further one, up to `LONGEST_PAUSE`. They are forgotten a `window` after the pause.
    """

    name: str
    times: int
    window: timedelta
    pause: timedelta | None = None


def count(session: Session, limit: Limit, subject: str) -> None:
    """Count one more try. Raises `RateLimited` when that is one too many, or comes too soon.

    The count must outlive the failure that it leads to, so this wants a transaction of its own.
    """
    row = session.execute(_statement(limit, subject)).one_or_none()
    if row is None:
        now, ends_at = session.execute(
            select(func.now(), Throttle.window_ends_at).where(Throttle.key == _key(limit, subject))
        ).one()
        raise RateLimited(_seconds(now, ends_at - limit.window))
    tries, ends_at, now = row
    if not limit.pause and tries > limit.times:
        raise RateLimited(_seconds(now, ends_at))


def clear(session: Session, limit: Limit, subject: str) -> None:
    """Forget the tries, for somebody who proved to be right."""
    session.execute(delete(Throttle).where(Throttle.key == _key(limit, subject)))


def _key(limit: Limit, subject: str) -> bytes:
    return crypto.keyed_hash(f"throttle/{limit.name}", subject)


def _statement(limit: Limit, subject: str) -> ReturningInsert[int, datetime, datetime]:
    """Counts the try and returns the new count; no row for a try before its pause is over."""
    fresh = insert(Throttle).values(
        key=_key(limit, subject),
        window_ends_at=func.now() + limit.window,
        count=1,
    )
    is_over = Throttle.window_ends_at <= func.now()
    tries = Throttle.count + 1
    ends_at: ColumnElement[datetime] = Throttle.window_ends_at.expression
    may_try = None
    if limit.pause:
        forgotten = func.now() + _pause(limit.pause, tries - limit.times) + limit.window
        ends_at = case((tries < limit.times, Throttle.window_ends_at), else_=forgotten)
        pause_is_over = Throttle.window_ends_at - limit.window <= func.now()
        may_try = or_(is_over, tries <= limit.times, pause_is_over)
    return fresh.on_conflict_do_update(
        index_elements=[Throttle.key],
        set_={
            "count": case((is_over, 1), else_=tries),
            "window_ends_at": case((is_over, fresh.excluded.window_ends_at), else_=ends_at),
        },
        where=may_try,
    ).returning(Throttle.count, Throttle.window_ends_at, func.now())


def _pause(first: timedelta, doublings: ColumnElement[int]) -> ColumnElement[timedelta]:
    # A power of hundreds would not fit into a double.
    seconds = first.total_seconds() * func.power(2, func.least(doublings, _MOST_DOUBLINGS))
    return func.make_interval(0, 0, 0, 0, 0, 0, func.least(seconds, LONGEST_PAUSE.total_seconds()))


def _seconds(now: datetime, ends_at: datetime) -> int:
    return max(1, ceil((ends_at - now).total_seconds()))
