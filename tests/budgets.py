"""The books as they are committed, budgets of any size, and what has to hold when nothing is running."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import ColumnElement, func, select

from academy import config
from academy.models import AIUsage, Base, PlatformBudget, TokenReservation, UserBudget
from tests.roles import looking


@dataclass(frozen=True)
class Books:
    """Sums of tokens over everybody and all days; `used` is what questions to the platform's key took."""

    reserved_by_people: int
    reserved_in_all: int
    reservations: int
    spent_by_people: int
    spent_in_all: int
    used: int


def books() -> Books:
    with looking() as session:

        def total(column: ColumnElement[int], of: type[Base]) -> int:
            return session.scalar(select(func.coalesce(func.sum(column), 0)).select_from(of)) or 0

        paid = AIUsage.prompt_tokens + AIUsage.completion_tokens
        used = select(func.coalesce(func.sum(paid), 0)).where(~AIUsage.own_key)
        return Books(
            reserved_by_people=total(UserBudget.reserved.expression, UserBudget),
            reserved_in_all=total(PlatformBudget.reserved.expression, PlatformBudget),
            reservations=total(TokenReservation.tokens.expression, TokenReservation),
            spent_by_people=total(UserBudget.spent.expression, UserBudget),
            spent_in_all=total(PlatformBudget.spent.expression, PlatformBudget),
            used=session.scalar(used) or 0,
        )


def assert_settled() -> Books:
    """I8: nothing is reserved, and what is charged is what was used."""
    now = books()
    assert (now.reserved_by_people, now.reserved_in_all, now.reservations) == (0, 0, 0)
    assert now.spent_by_people == now.spent_in_all == now.used
    return now


@contextmanager
def budgets(*, learner: int = 10**6, guest: int = 10**6, in_all: int = 10**9) -> Iterator[None]:
    """Tokens a day inside the block."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("DAILY_TOKENS_PER_LEARNER", str(learner))
        changed.setenv("DAILY_TOKENS_PER_GUEST", str(guest))
        changed.setenv("DAILY_TOKENS_IN_ALL", str(in_all))
        config.settings.cache_clear()
        try:
            yield
        finally:
            config.settings.cache_clear()
