"""Two hundred sockets that break, a worker that is killed again and again: nothing may be lost, doubled or
shown to a stranger. Run by `make prove`."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import aliased

from academy import config
from academy.models import Chat, ChatSession, Message, TokenReservation
from ai import sweeper
from dev.sam import TEMPLATE, Template
from dev.source_events import scheduled_event
from tests.budgets import books
from tests.deliveries import context
from tests.e2e.crowd import CANARY, Person
from tests.factories import a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.gateway import serving
from tests.replies import in_seconds
from tests.roles import looking
from tests.tiers import only_in_full, report

PEOPLE, QUESTIONS, KILLS = 100, 5, 20
SECONDS_BETWEEN_KILLS = (5.0, 11.0)
SEED = 20261125


@pytest.fixture
def port(committed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A gateway with everything but the queue's worker."""
    with socket.create_server(("127.0.0.1", 0)) as listening, monkeypatch.context() as changed:
        changed.setenv("WEBSOCKET_MANAGEMENT_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/ws")
        config.settings.cache_clear()
        with serving(Template(TEMPLATE), listening=listening, threads=40) as gateway:
            yield gateway.port
    config.settings.cache_clear()


class Worker:
    """A process that is started anew whenever it is killed, and ends when the test's own does."""

    def __init__(self) -> None:
        self.kills = 0
        self._process = self._started()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        self.kills += 1
        self._process = self._started()

    def close(self) -> None:
        self._process.communicate()

    @staticmethod
    def _started() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )


@contextmanager
def worker_under_fire(chance: random.Random) -> Iterator[Worker]:
    """A worker that is killed at random moments until the block ends, twenty times at most."""
    worker, over = Worker(), threading.Event()

    def fire() -> None:
        while worker.kills < KILLS and not over.wait(chance.uniform(*SECONDS_BETWEEN_KILLS)):
            worker.kill()

    thread = threading.Thread(target=fire)
    thread.start()
    try:
        yield worker
    finally:
        over.set()
        thread.join()
        worker.close()


def a_crowd(port: int, chance: random.Random) -> list[Person]:
    return [
        Person(
            url=f"ws://127.0.0.1:{port}/ws/chat/everybodys-session",
            token=a_login_of(a_user()),
            canary=f"canary-{number:04x}",
            chance=random.Random(chance.random()),
            drops=0.02,
        )
        for number in range(PEOPLE)
    ]


async def all_talk(crowd: list[Person]) -> None:
    over = asyncio.Event()
    tabs = [asyncio.create_task(person.listen(over)) for person in crowd]
    outcomes = await asyncio.gather(*(person.talk(QUESTIONS) for person in crowd), return_exceptions=True)
    over.set()
    await asyncio.gather(*tabs)
    assert [outcome for outcome in outcomes if outcome] == []


def stored() -> list[tuple[str, str, str, str]]:
    """Every question with its owner, its reply's text and status."""
    question, reply = aliased(Message), aliased(Message)
    query = (
        select(ChatSession.user_id, question.message_content, reply.message_content, reply.status)
        .join(Chat, Chat.session_id == ChatSession.id)
        .join(question, question.chat_id == Chat.id)
        .outerjoin(reply, reply.reply_to == question.id)
        .where(question.sender_type == "user")
        .order_by(question.position)
    )
    with looking() as session:
        return [(row[0], row[1], row[2], row[3]) for row in session.execute(query)]


def give_back_what_the_killed_held() -> None:
    """What the sweeper does within two minutes, without waiting for them."""
    with looking() as session:
        session.execute(update(TokenReservation).values(leased_until=in_seconds(-1)))
    sweeper.handler(scheduled_event(), context())


@only_in_full
@pytest.mark.prove
def test_F10_F11_nothing_is_lost_doubled_disordered_or_shown_to_a_stranger(
    port: int, model: ScriptedModel
) -> None:
    chance = random.Random(SEED)
    model.reset()
    model.paces(0.03, words=40)
    crowd = a_crowd(port, chance)
    with worker_under_fire(chance) as worker:
        asyncio.run(all_talk(crowd))
    calls = len(model.requests)
    model.reset()
    held = books().reservations
    give_back_what_the_killed_held()
    left = books()
    rows = stored()
    questions = Counter(words for _, words, _, _ in rows)
    seen: Counter[str] = sum((person.seen for person in crowd), Counter())
    accepted = set().union(*(person.accepted for person in crowd))
    asked = {f"{person.canary} {number}" for person in crowd for number in range(QUESTIONS)}
    figures = {
        "user messages lost": len((accepted | asked) - set(questions)),
        "replies lost": sum(status != "complete" or words not in text for _, words, text, status in rows),
        "duplicated": sum(questions.values()) - len(questions),
        "out of order": seen["gaps"] + seen["texts that differ"],
        "delivered to a stranger": seen["foreign frames"]
        + sum(len(set(CANARY.findall(f"{words} {text}"))) > 1 for _, words, text, _ in rows),
        "still reserved": left.reserved_in_all + left.reserved_by_people + left.reservations,
        "spent but not used": abs(left.spent_in_all - left.used) + abs(left.spent_by_people - left.used),
    }
    report(
        "F10, F11",
        seed=SEED,
        sockets=2 * PEOPLE,
        questions=len(asked),
        worker_killed=f"{worker.kills} times",
        reconnects=seen["reconnects"],
        model_calls=calls,
        tokens_the_killed_still_held=held,
        tokens_spent=left.spent_in_all,
        asked_again_after_an_error_frame=seen["reply_failed"],
        **{name.replace(" ", "_"): figure for name, figure in figures.items()},
        seen=dict(seen),
    )
    assert set(figures.values()) == {0}
