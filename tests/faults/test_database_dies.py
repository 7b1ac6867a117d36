"""A database that is killed, restarted, cut off and swamped under load. Run by `make prove`."""

import asyncio
import random
import signal
from time import monotonic
from typing import Any

import psycopg
import pytest

from dev.postgres import OWNER
from tests.faults.conftest import SEED, Scene, Setting
from tests.faults.crowds import guests, happening, mixed
from tests.faults.learners import Learner, new_op
from tests.faults.processes import POOL
from tests.tiers import only_in_full, report

pytestmark = pytest.mark.prove

RECOVERED_WITHIN = 5.0
ANSWER_SECONDS = 5.0


def served_soon_after(scene: Scene, recoveries: list[float], deaths: list[float]) -> float:
    """The share of first answers that were right, of those asked for later than 5 s after a recovery."""
    calm = [
        one
        for one in scene.ledger.tries
        if any(
            recovery + RECOVERED_WITHIN <= one.at < min((d for d in deaths if d > recovery), default=1e12) - 5
            for recovery in recoveries
        )
    ]
    return sum(0 < one.status < 500 for one in calm) / len(calm) if calm else 1.0


@only_in_full
def test_F1_postmaster_killed_again_and_again(scene: Setting) -> None:
    people, seconds, kills = 50, 300, 10
    chance = random.Random(SEED)
    deaths: list[float] = []
    with scene() as it:

        def kill() -> None:
            deaths.append(monotonic())
            it.postgres.restart(signal.SIGKILL)

        with happening(kill, lambda: chance.uniform(18, 28), kills) as recoveries:
            asyncio.run(mixed(it, people, seconds, pause=3.0))
        figures = it.checked()
        calm = served_soon_after(it, recoveries, deaths)
        outages = [recovery - death for death, recovery in zip(deaths, recoveries, strict=True)]
    report(
        "F1",
        seed=SEED,
        people=people,
        duration=f"{seconds} s",
        kills=len(recoveries),
        back_after=f"{min(outages):.1f} to {max(outages):.1f} s",
        served_later_than_5_s_after=f"{calm:.2%}",
        **figures,
    )
    assert len(recoveries) == kills
    assert calm >= 0.99


@only_in_full
def test_F2_restarted_in_good_order_and_connections_ended_every_two_seconds(scene: Setting) -> None:
    people, seconds = 50, 120
    chance = random.Random(SEED)
    with scene() as it:
        ended: list[int] = []
        with (
            happening(lambda: ended.append(it.postgres.terminate_backends()), lambda: 2.0),
            happening(lambda: it.postgres.restart(signal.SIGINT), lambda: chance.uniform(20, 30)) as restarts,
        ):
            asyncio.run(mixed(it, people, seconds, pause=3.0))
        figures = it.checked()
    report(
        "F2",
        seed=SEED,
        people=people,
        duration=f"{seconds} s",
        restarts=len(restarts),
        connections_ended=sum(ended),
        **figures,
    )


@only_in_full
@pytest.mark.parametrize("fault", ["reset", "black hole"])
def test_F4_cut_off_in_the_middle_of_a_query(scene: Setting, fault: str) -> None:
    operations, hole_seconds = 500, 30.0

    async def ask(it: Scene) -> list[int]:
        people = await guests(it, 50)
        for person in people:
            await person.add_track()
        it.ledger.tries.clear()
        over = asyncio.Event()

        async def break_it() -> None:
            if fault == "black hole":
                it.proxy.mode = "black hole"
                await asyncio.sleep(hole_seconds)
                it.proxy.reset_all()
                it.proxy.mode = "pass"
                return
            while not over.is_set():
                it.proxy.reset_all()
                await asyncio.sleep(0.05)

        breaking = asyncio.create_task(break_it())
        until = monotonic() + hole_seconds
        counter = iter(range(operations))

        async def press(person: Learner) -> None:
            for _ in counter:
                await person.once("GET", "/api/tracks", op=a_read(it))
                if fault == "black hole":
                    # So that all of them fall into the hole, and none after it.
                    await asyncio.sleep(0.3)
                    if monotonic() > until - ANSWER_SECONDS:
                        return

        await asyncio.gather(*(press(person) for person in people))
        over.set()
        await breaking
        during = len(it.ledger.tries)
        after = [(await person.once("GET", "/api/tracks", op=a_read(it))).status for person in people]
        it.ledger.seen["during"] = during
        return after

    with scene() as it:
        after = asyncio.run(ask(it))
        figures = it.checked()
        during = it.ledger.seen["during"]
    report(
        "F4",
        fault=fault,
        seed=SEED,
        asked_meanwhile=during,
        next_requests_served=f"{after.count(200)} of {len(after)}",
        **figures,
    )
    assert set(after) == {200}
    assert it.ledger.slowest() <= ANSWER_SECONDS


def a_read(it: Scene) -> str:
    op = new_op()
    it.ledger.sent(op, "read")
    return op


@only_in_full
@pytest.mark.parametrize("fault", ["slow", "full"])
def test_F5_two_hundred_clients_of_a_database_that_takes_no_connections(scene: Setting, fault: str) -> None:
    clients, seconds = 200, 20.0

    async def ask(it: Scene) -> tuple[float, int]:
        people = await guests(it, clients)
        it.ledger.tries.clear()
        it.proxy.connects.clear()
        blockers: list[psycopg.Connection[Any]] = []
        if fault == "slow":
            it.proxy.mode = "hold"
        else:
            it.postgres.terminate_backends()
            blockers = places_taken(it)
        if fault == "slow":
            it.proxy.reset_all()
        until = monotonic() + seconds

        async def press(person: Learner) -> float | None:
            while monotonic() < until + 15:
                answer = await person.once("GET", "/api/tracks", op=a_read(it))
                if answer.status == 200 and monotonic() > until:
                    return monotonic()
                await asyncio.sleep(person.chance.uniform(0.5, 1.5))
            return None

        async def release() -> float:
            await asyncio.sleep(seconds)
            it.ledger.seen["busiest second"] = it.proxy.busiest_second()
            it.ledger.seen["connects"] = len(it.proxy.connects)
            for blocker in blockers:
                blocker.close()
            it.proxy.mode = "pass"
            return monotonic()

        released = asyncio.create_task(release())
        firsts = await asyncio.gather(*(press(person) for person in people))
        return min(first for first in firsts if first) - await released, sum(1 for f in firsts if f)

    with scene(postgres={"max_connections": "40"} if fault == "full" else None) as it:
        first, served = asyncio.run(ask(it))
        figures = it.checked()
        busiest, connects = it.ledger.seen["busiest second"], it.ledger.seen["connects"]
    report(
        "F5",
        fault=fault,
        seed=SEED,
        clients=clients,
        duration=f"{seconds:g} s",
        pool=POOL,
        connects=connects,
        in_the_busiest_second=busiest,
        first_success_after=f"{first:.2f} s",
        served=f"{served} of {clients}",
        **figures,
    )
    assert it.ledger.slowest() <= ANSWER_SECONDS
    assert busiest <= POOL * 1.2
    assert first <= 2
    assert served == clients


def places_taken(it: Scene) -> "list[psycopg.Connection[Any]]":
    """All the connections that Postgres grants."""
    taken: list[psycopg.Connection[Any]] = []
    while True:
        try:
            taken.append(it.postgres.server.connect(OWNER))
        except psycopg.OperationalError:
            return taken
