"""How often something may be tried: counters in Postgres, one atomic statement each."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import case, delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from academy import crypto
from academy.errors import RateLimited
from academy.models import Throttle


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `times` in `window`, for each subject that `count` is called with."""

    name: str
    times: int
    window: timedelta


def count(session: Session, limit: Limit, subject: str) -> None:
    """Count one more try. Raises `RateLimited` when that is one too many.

    The count must outlive the failure that it leads to, so this wants a transaction of its own.
    """
    tries, ends_at, now = session.execute(_statement(limit, subject)).one()
    if tries > limit.times:
        raise RateLimited(_seconds(now, ends_at))


def clear(session: Session, limit: Limit, subject: str) -> None:
    """Forget the tries, for somebody who proved to be right."""
    session.execute(delete(Throttle).where(Throttle.key == _key(limit, subject)))


def _key(limit: Limit, subject: str) -> bytes:
    return crypto.keyed_hash(f"throttle/{limit.name}", subject)


def _statement(limit: Limit, subject: str) -> ReturningInsert[int, datetime, datetime]:
    fresh = insert(Throttle).values(
        key=_key(limit, subject),
        window_ends_at=func.now() + limit.window,
        count=1,
    )
    is_over = Throttle.window_ends_at <= func.now()
    return fresh.on_conflict_do_update(
        index_elements=[Throttle.key],
        set_={
            "count": case((is_over, 1), else_=Throttle.count + 1),
            "window_ends_at": case((is_over, fresh.excluded.window_ends_at), else_=Throttle.window_ends_at),
        },
    ).returning(Throttle.count, Throttle.window_ends_at, func.now())


def _seconds(now: datetime, ends_at: datetime) -> int:
    return max(1, ceil((ends_at - now).total_seconds()))
