"""Budgets under load: how many questions a second one row bears, and who is killed in mid-answer."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from academy import migrate
from academy.db import session_scope
from academy.models import PlatformBudget, TokenReservation, User, UserBudget
from ai import budget, sweeper
from dev import postgres
from dev.source_events import scheduled_event
from tests.budgets import assert_settled, books, budgets
from tests.deliveries import context
from tests.factories import a_user
from tests.fakes import ScriptedModel
from tests.replies import change_reply, in_seconds
from tests.tiers import only_in_full, report

KILLED = 5
CONVERSE = """
import sys
from ai import conversations
conversations.SECONDS = 600  # the others need time to get as far
conversations.converse(owner_id=sys.argv[1], session_key="mine", words="Привет")
"""
ASKERS, SECONDS, TOKENS, USED = 24, 20, 5_000, 3_400


def ask_for(seconds: float, factory: sessionmaker[Session], user_id: str, day: timedelta) -> list[float]:
    """How long each took to reserve and settle, in seconds; what the model would take is left out."""
    took = []
    end = time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        now = datetime.now(UTC) + day
        with factory.begin() as session:
            mine = budget.reserve(session, user_id=user_id, tokens=TOKENS, now=now)
        with factory.begin() as session:
            budget.settle(session, mine, USED)
        took.append(time.perf_counter() - started)
    return took


def all_ask(factory: sessionmaker[Session], *, days: int) -> list[float]:
    """Everybody at once, on the same day, or spread over so many that nobody shares a row."""
    people = [str(uuid4()) for _ in range(ASKERS)]
    with factory.begin() as session:
        session.add_all([User(id=one) for one in people])
    with ThreadPoolExecutor(ASKERS) as pool:
        asking = [
            pool.submit(ask_for, SECONDS, factory, one, timedelta(days=number % days))
            for number, one in enumerate(people)
        ]
    return [each for asked in asking for each in asked.result()]


@only_in_full
@pytest.mark.prove
@pytest.mark.usefixtures("environment")
def test_E5_one_row_for_everybody_bears_them_all(tmp_path: Path) -> None:
    unbounded = budgets(learner=10**12, in_all=10**12)
    with unbounded, postgres.running(tmp_path / "postgres", durable=True) as server:
        migrate.upgrade(server.owner_url, app_role=postgres.APP)
        url = server.url.replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(url, pool_size=ASKERS, connect_args={"prepare_threshold": None})
        factory = sessionmaker(engine)
        took = {days: all_ask(factory, days=days) for days in (1, ASKERS)}
        with factory.begin() as session:
            sums = [
                session.execute(select(func.sum(of.reserved), func.sum(of.spent))).one()
                for of in (PlatformBudget, UserBudget)
            ]
            left = session.scalar(select(func.count()).select_from(TokenReservation))
        engine.dispose()
    report(
        "E5",
        askers=ASKERS,
        seconds=SECONDS,
        load=f"{os.getloadavg()[0]:.1f}",
        reserved_and_settled_on_one_row=told(took[1]),
        on_a_row_each=told(took[ASKERS]),
    )
    asked = sum(map(len, took.values()))
    assert [tuple(row) for row in sums] == [(0, USED * asked)] * 2
    assert left == 0


@only_in_full
@pytest.mark.prove
@pytest.mark.usefixtures("committed", "quiet")
def test_E5_what_a_killed_process_held_is_given_back(model: ScriptedModel) -> None:
    owners = [a_user().id for _ in range(KILLED)]
    for _ in owners:
        model.drips("слово ")
    processes = [subprocess.Popen([sys.executable, "-c", CONVERSE, owner]) for owner in owners]
    try:
        while len(model.requests) < KILLED:
            assert [process.poll() for process in processes] == [None] * KILLED
            time.sleep(0.1)
        held = books()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    change_reply(leased_until=in_seconds(-1))
    with session_scope() as session:
        session.execute(update(TokenReservation).values(leased_until=in_seconds(-1)))
    sweeper.handler(scheduled_event(), context())
    report("E5", killed=KILLED, tokens_they_held=held.reservations, left=books().reservations)
    assert held.reserved_in_all == held.reserved_by_people == held.reservations > KILLED * 4_096
    assert_settled()


def told(took: list[float]) -> str:
    centiles = quantiles(took, n=100)
    return f"{len(took) / SECONDS:.0f}/s (p50 {centiles[49] * 1000:.0f} ms, p99 {centiles[98] * 1000:.0f} ms)"
