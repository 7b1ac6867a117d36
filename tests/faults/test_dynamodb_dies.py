"""The table of connections is down or throttled: REST goes on, and no reply is lost. Run by `make prove`."""

import asyncio
from time import monotonic

import pytest

from tests.faults.conftest import SEED, Scene, Setting
from tests.faults.crowds import guests, talker
from tests.faults.learners import Learner, Talker
from tests.faults.proxy import Proxy
from tests.tiers import only_in_full, report

pytestmark = [pytest.mark.prove, only_in_full]

PEOPLE, DOWN_SECONDS, SECONDS = 100, 30.0, 90.0
ALL_THERE_SECONDS, FAILS_AFTER = 20.0, 30.0
POOL = 60
REST_PAUSE, CHAT_PAUSE = 8.0, 20.0
"""Seconds on average: what two cores bear without a fault, or it would not be the fault that is measured."""


async def talk_while_it_is_down(it: Scene, dynamodb: Proxy, mode: str) -> None:
    people = await guests(it, PEOPLE)
    talkers = [talker(it, person) for person in people]
    until = monotonic() + SECONDS

    async def fail() -> None:
        await asyncio.sleep(FAILS_AFTER)
        if mode == "down":
            dynamodb.mode = "refuse"
            dynamodb.reset_all()
            await asyncio.sleep(DOWN_SECONDS)
            dynamodb.mode = "pass"
            return
        for _ in range(int(DOWN_SECONDS * 4)):
            # Every other call fails, which is how throttling looks from outside.
            dynamodb.mode = "refuse"
            dynamodb.reset_all()
            await asyncio.sleep(0.125)
            dynamodb.mode = "pass"
            await asyncio.sleep(0.125)

    async def take_part(person: Learner, tab: Talker) -> None:
        await asyncio.sleep(it.chance.uniform(0, ALL_THERE_SECONDS))
        await asyncio.gather(person.wander(until, REST_PAUSE), tab.chat(until, CHAT_PAUSE))

    await asyncio.gather(fail(), *map(take_part, people, talkers))
    for one in talkers:
        it.ledger.seen.update(one.seen)


@pytest.mark.parametrize("mode", ["down", "failing half of the time"])
def test_F14_the_table_of_connections_fails(mode: str, scene: Setting, aws_settings: dict[str, str]) -> None:
    port = int(aws_settings["AWS_ENDPOINT_URL"].rsplit(":", 1)[1])
    with (
        Proxy(port) as dynamodb,
        scene(
            AWS_ENDPOINT_URL_DYNAMODB=f"http://127.0.0.1:{dynamodb.port}", DATABASE_POOL_SIZE=str(POOL)
        ) as it,
    ):
        asyncio.run(talk_while_it_is_down(it, dynamodb, mode))
        rest_failures = sum(status == 0 or status >= 500 for status in it.ledger.statuses().elements())
        figures = it.checked(stale_sockets=True, pool=POOL)
        with it.postgres.server.connect() as connection:
            query = (
                "SELECT (SELECT count(*) FROM ai_usage WHERE outcome = 'ok'), "
                "(SELECT count(*) FROM chat_messages WHERE sender_type = 'ai' AND status <> 'complete')"
            )
            metered, not_whole = connection.execute(query).fetchone() or (0, 0)
        calls = len(it.model.requests)
    report(
        "F14",
        fault=mode,
        seed=SEED,
        people=PEOPLE,
        duration=f"{SECONDS:g} s, {DOWN_SECONDS:g} s of it failing",
        rest_failures=rest_failures,
        replies_lost=not_whole,
        model_calls=calls,
        unmetered_calls=calls - int(str(metered)),
        **figures,
    )
    assert (rest_failures, not_whole, calls) == (0, 0, metered)
