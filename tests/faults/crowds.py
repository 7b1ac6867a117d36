"""Crowds of learners: guests, each with an HTTP client and perhaps a socket."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from tests.faults.conftest import Scene
from tests.faults.learners import Learner, Talker, new_op


async def guests(scene: Scene, number: int) -> list[Learner]:
    people = [_learner(scene, n) for n in range(number)]
    await asyncio.gather(*(log_in(person) for person in people))
    return people


async def log_in(person: Learner) -> None:
    answer = await person.do("guest", "/api/auth/guest-login", {}, op=new_op())
    assert answer.status == 200, answer.body
    person.token = answer.body["access_token"]


def talker(scene: Scene, person: Learner, drops: float = 0.0) -> Talker:
    assert person.token
    return Talker(
        url=scene.platform.socket_url,
        token=person.token,
        canary=person.canary,
        chance=random.Random(scene.chance.random()),
        drops=drops,
        ledger=scene.ledger,
    )


async def mixed(scene: Scene, number: int, seconds: float, pause: float = 1.0, drops: float = 0.0) -> None:
    """So many people, each at REST and at a socket at once, for so long."""
    people = await guests(scene, number)
    talkers = [talker(scene, person, drops) for person in people]
    until = monotonic() + seconds
    await asyncio.gather(
        *(person.wander(until, pause) for person in people), *(one.chat(until, pause) for one in talkers)
    )
    for one in talkers:
        scene.ledger.seen.update(one.seen)


def _learner(scene: Scene, number: int) -> Learner:
    return Learner(
        scene.platform.port, scene.ledger, f"canary-{number:04x}", random.Random(scene.chance.random())
    )


@contextmanager
def happening(
    what: Callable[[], object], seconds: Callable[[], float], times: int = 1_000_000
) -> Iterator[list[float]]:
    """Do something again and again until the block ends; yields when each was over."""
    over, done = threading.Event(), list[float]()

    def go_on() -> None:
        while len(done) < times and not over.wait(seconds()):
            what()
            done.append(monotonic())

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()
