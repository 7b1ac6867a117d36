"""What the platform's key may spend: tokens a day, for each person and in all, taken before a model is asked.

Days are UTC's. What an answer may take at most is reserved, and settled to what it took; a reservation
belongs to the day it was made on. Each function wants a short transaction of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from academy.config import settings
from academy.errors import AppError, Unauthorized
from academy.models import Message, PlatformBudget, TokenReservation, User, UserBudget

LEASE = timedelta(seconds=40)
"""Longer than an answer in line takes. One that takes longer is a reply, which is leased itself."""

KEPT = timedelta(days=35)
"""How long a person's days stay for operators to look at; the platform's own, a row each, stay for good."""


class QuotaExceeded(AppError):
    """`whose` budget it was: `person` or `platform`."""

    status, code = 429, "quota_exceeded"

    def __init__(self, whose: str, detail: str, now: datetime) -> None:
        advice = "Try again after midnight UTC, or save an API key of your own."
        super().__init__(f"{detail} {advice}", headers={"Retry-After": str(_seconds_to_tomorrow(now))})
        self.whose = whose


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens that are ours to use for one question."""

    id: UUID
    user_id: str
    day: date


def reserve(
    session: Session, *, user_id: str, tokens: int, now: datetime, reply_id: UUID | None = None
) -> Reservation:
    """Take tokens out of both budgets. Raises `QuotaExceeded`, `Unauthorized`; then nothing is taken."""
    config, day = settings(), now.astimezone(UTC).date()
    is_guest = session.scalar(select(User.is_guest).where(User.id == user_id))
    if is_guest is None:
        raise Unauthorized
    limit = config.daily_tokens_per_guest if is_guest else config.daily_tokens_per_learner
    if not _take(session, UserBudget, tokens, limit, user_id=user_id, day=day):
        left = max(0, limit - _taken(session, user_id, day))
        detail = f"This answer may take {tokens:,} tokens; {left:,} of your {limit:,} for today are left."
        raise QuotaExceeded("person", detail, now)
    reservation = Reservation(uuid4(), user_id, day)
    lease = {"reply_id": reply_id, "leased_until": func.now() + LEASE}
    row = {"id": reservation.id, "spender": user_id, "day": day, "tokens": tokens, **lease}
    session.execute(insert(TokenReservation).values(row))
    # Last, because everybody waits for this row: it stays locked for no longer than the commit takes.
    if not _take(session, PlatformBudget, tokens, config.daily_tokens_in_all, day=day):
        raise QuotaExceeded("platform", "The platform's tokens for today are used up.", now)
    return reservation


def settle(session: Session, reservation: Reservation, tokens: int) -> None:
    """Give a reservation back, and charge the tokens that were used."""
    statement = (
        delete(TokenReservation)
        .where(TokenReservation.id == reservation.id)
        .returning(TokenReservation.tokens)
    )
    # None is held any more where the sweeper took us to be dead; what was used is charged all the same.
    held = session.scalar(statement) or 0
    _charge_user(session, reservation.user_id, reservation.day, held, tokens)
    _charge_platform(session, reservation.day, held, tokens)


def abandoned(session: Session, limit: int) -> Sequence[UUID]:
    """What the dead have reserved."""
    being_written = select(Message.id).where(
        Message.id == TokenReservation.reply_id,
        Message.status == "streaming",
        Message.leased_until > func.now(),
    )
    is_over = TokenReservation.leased_until < func.now()
    query = select(TokenReservation.id).where(is_over, ~being_written.exists()).limit(limit)
    return session.scalars(query).all()


def give_back(session: Session, reservations: Sequence[UUID]) -> int:
    """Give reservations back that nobody has settled meanwhile; how many those were."""
    still_there = (
        select(TokenReservation.id)
        .where(TokenReservation.id.in_(reservations))
        .with_for_update(skip_locked=True)
    )
    statement = (
        delete(TokenReservation)
        .where(TokenReservation.id.in_(still_there))
        .returning(TokenReservation.spender, TokenReservation.day, TokenReservation.tokens)
    )
    rows = session.execute(statement).all()
    of_users: Counter[tuple[str, date]] = Counter()
    of_platform: Counter[date] = Counter()
    for spender, day, tokens in rows:
        of_users[spender, day] += tokens
        of_platform[day] += tokens
    for (spender, day), held in sorted(of_users.items()):
        _charge_user(session, spender, day, held, 0)
    for day, held in sorted(of_platform.items()):
        _charge_platform(session, day, held, 0)
    return len(rows)


def forget_old_days(session: Session, limit: int, now: datetime) -> None:
    """Delete people's days that nobody looks at any more."""
    old = (
        select(UserBudget.user_id, UserBudget.day)
        .where(UserBudget.day < (now - KEPT).date())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    session.execute(delete(UserBudget).where(tuple_(UserBudget.user_id, UserBudget.day).in_(old)))


def _take(
    session: Session, budget: type[UserBudget] | type[PlatformBudget], tokens: int, limit: int, **key: Any
) -> bool:
    """One statement, so that of many at once no more get through than there is room for."""
    fresh = postgresql.insert(budget).values(reserved=tokens, spent=0, **key)
    statement = fresh.on_conflict_do_update(
        index_elements=[*key],
        set_={"reserved": budget.reserved + tokens},
        where=budget.spent + budget.reserved + tokens <= limit,
    ).returning(budget.day)
    return tokens <= limit and session.execute(statement).first() is not None


def _taken(session: Session, user_id: str, day: date) -> int:
    query = select(UserBudget.spent + UserBudget.reserved).where(
        UserBudget.user_id == user_id, UserBudget.day == day
    )
    return session.scalar(query) or 0


def _charge_user(session: Session, user_id: str, day: date, held: int, tokens: int) -> None:
    session.execute(
        update(UserBudget)
        .where(UserBudget.user_id == user_id, UserBudget.day == day)
        .values(reserved=UserBudget.reserved - held, spent=UserBudget.spent + tokens)
    )


def _charge_platform(session: Session, day: date, held: int, tokens: int) -> None:
    session.execute(
        update(PlatformBudget)
        .where(PlatformBudget.day == day)
        .values(reserved=PlatformBudget.reserved - held, spent=PlatformBudget.spent + tokens)
    )


def _seconds_to_tomorrow(now: datetime) -> int:
    tomorrow = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
    return max(1, ceil((tomorrow - now).total_seconds()))
