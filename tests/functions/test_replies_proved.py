"""The scenarios of faults with their counts printed: run by `make prove`."""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

import pytest
from sqlalchemy import func, select

from academy import connections
from academy.models import Message
from tests.conftest import client_of
from tests.deliveries import deliver, waiting
from tests.factories import a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.functions.fuzz import frames
from tests.limits import forget_counts
from tests.roles import looking
from tests.sockets import Socket, Switchboard, spoken, words_of
from tests.tiers import report, sized

SEED = 20261125
pytestmark = [pytest.mark.prove, pytest.mark.usefixtures("committed", "quiet")]


def people(switchboard: Switchboard, number: int, *, sockets: int = 1) -> list[list[Socket]]:
    """So many users, each with so many sockets on a session that all of them call by one name."""
    tokens = [a_login_of(a_user()) for _ in range(number)]
    return [[Socket(switchboard, token).opened() for _ in range(sockets)] for token in tokens]


def at_most(threads: int, call: Callable[[Any], Any], items: Any) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, items))


def statuses() -> Counter[str]:
    with looking() as session:
        query = select(Message.status, func.count()).where(Message.sender_type == "ai")
        return Counter({row[0]: row[1] for row in session.execute(query.group_by(Message.status))})


def test_F8_streams_cut_after_every_token_in_every_way_on_both_transports(
    switchboard: Switchboard, model: ScriptedModel
) -> None:
    whole = repaired = 0
    lengths = sized(full=range(21), short=range(0, 21, 4))
    ways: tuple[Literal["reset", "close", "no_done"], ...] = ("reset", "close", "no_done")
    cuts = [(how, tokens) for how in ways for tokens in lengths]
    for how, tokens in cuts:
        pieces = [f"слово{number} " for number in range(tokens)]
        user = a_user()
        socket = Socket(switchboard, a_login_of(user)).opened()
        model.cuts(*pieces, how=how)
        socket.say("По сокету")
        deliver(waiting()[0])
        assert socket.last("error")["code"] == "ai_unavailable"
        body = {"session_id": "rest", "message": "По HTTP"}
        model.cuts(*pieces, how=how)
        assert client_of(user).post("/api/ai/chat-response", body).status == 502
        whole += statuses()["complete"]
        socket.say("По сокету")
        deliver(waiting()[0])
        assert client_of(user).post("/api/ai/chat-response", body).status == 200
        repaired += statuses()["complete"]
        with looking() as session:
            asked = session.scalar(
                select(func.count()).select_from(Message).where(Message.sender_type == "user")
            )
            assert asked == 2
            session.delete(user)
    streams = 2 * len(cuts)
    report("F8", cut_streams=streams, taken_for_whole=whole, repaired_by_asking_again=repaired)
    assert (whole, repaired) == (0, streams)


def test_F12_every_event_delivered_three_times(switchboard: Switchboard, model: ScriptedModel) -> None:
    crowd = [sockets[0] for sockets in people(switchboard, 50)]
    rounds = sized(full=10, short=2)
    for round_ in range(rounds):
        at_most(8, partial(Socket.say, words=f"Вопрос {round_}"), crowd)
        messages = waiting()
        assert len(messages) == len(crowd)
        # Two at once, the third late; what is refused because somebody is at it is delivered once more.
        at_most(8, deliver, [message for message in messages for _ in range(2)])
        at_most(8, deliver, messages)
        forget_counts()
    ends = [len(socket.of_type("ai_response")) for socket in crowd]
    events = rounds * len(crowd)
    report("F12", events=f"{events} x 3", model_calls=len(model.requests), ai_responses=sum(ends))
    assert (len(model.requests), set(ends)) == (events, {rounds})
    assert statuses() == {"complete": events}


def test_F13_sockets_that_vanish_stall_and_refuse(switchboard: Switchboard, model: ScriptedModel) -> None:
    chance = random.Random(SEED)
    crowd = people(switchboard, sized(full=20, short=5), sockets=10)
    gone = {socket.connection.id for sockets in crowd for socket in sockets if chance.random() < 0.3}
    switchboard.closed |= gone

    def refusal(_: str) -> int | None:
        roll = chance.random()
        return 429 if roll < 0.1 else 503 if roll < 0.12 else None

    switchboard.chance = refusal
    text = "слово " * 40
    for sockets in crowd:
        alive = [socket for socket in sockets if socket.connection.id not in gone]
        model.tells(*words_of(text))
        (alive or sockets)[0].say()
        for message in waiting():
            deliver(message)
    alive = [s for sockets in crowd for s in sockets if s.connection.id not in gone]
    served = [socket for socket in alive if socket.of_type("ai_response")]
    for socket in served:
        assert spoken(socket.of_type("ai_delta")) == text == socket.last("ai_response")["message"]
    stale = [connection_id for connection_id in gone if connections.find(connection_id)]
    report(
        "F13",
        seed=SEED,
        sockets=sum(map(len, crowd)),
        alive=len(alive),
        served_whole=len(served),
        posts=switchboard.posts,
        rows_of_dead_sockets=len(stale),
    )
    assert (len(served), stale) == (len(alive), [])


def test_F20_ten_thousand_frames_of_every_kind(switchboard: Switchboard) -> None:
    sockets = [sockets[0] for sockets in people(switchboard, 5)]
    answers: Counter[str] = Counter()
    count = sized(full=10_000, short=1_000)
    for number, frame in enumerate(frames(count, SEED)):
        socket = sockets[number % len(sockets)]
        for answer in socket.send(frame):
            answers[str(answer.get("code", answer["type"]))] += 1
        socket.frames.clear()
        if number % 40 == 0:
            forget_counts()
    report("F20", seed=SEED, frames=count, answered_by=dict(answers.most_common()))
    assert answers["internal_error"] == 0
    assert not {socket.connection.id for socket in sockets} & switchboard.closed
