"""Whatever a model server does to us, on both transports, as often as it takes to believe it."""

import gc
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from academy import config
from academy.llm import dialect
from academy.models import AIUsage, Chat, ChatSession
from academy.models import Message as Said
from ai.worker import GOODBYE_SECONDS
from dev.tutor import completions
from tests.client import Client
from tests.conftest import client_of
from tests.deliveries import deliver, waiting
from tests.factories import a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.functions.test_ai_flows import KEY, Learner
from tests.outages import closed_port
from tests.replies import eventually
from tests.roles import looking
from tests.sockets import Socket, Switchboard
from tests.tiers import report, sized

STATUS_ROUNDS = sized(full=100, short=5)
SILENCE_ROUNDS = sized(full=50, short=5)
GARBAGE_ROUNDS = sized(full=50, short=5)
DEADLINE_SECONDS = 1.0
SLACK_SECONDS = 1.0
WAITING_AT_ONCE = 2
MOST_CALLS = 3
MOST_GROWTH_MB = 50

pytestmark = [pytest.mark.prove, pytest.mark.usefixtures("committed", "quiet")]

Script = Callable[[ScriptedModel], None]
Message = dict[str, Any]


@dataclass
class Person:
    """Somebody new, with a socket."""

    client: Client
    socket: Socket
    user_id: str

    def over_http(self) -> str:
        """How a question ended: `ok`, or the code that was answered."""
        reply = self.client.post("/api/ai/chat-response", {"session_id": KEY, "message": "Сохрани меня"})
        return reply.code if reply.status >= 400 else "ok"

    def over_the_socket(self) -> str:
        return self.answered(self.sent())

    def sent(self) -> Message:
        """The question over the socket; the message of the queue that asks for a reply."""
        self.socket.say("Сохрани меня", client_message_id="m-1")
        [message] = waiting()
        return message

    def answered(self, message: Message, seconds: float = 60) -> str:
        assert deliver(message, seconds=GOODBYE_SECONDS + seconds)
        end = [frame for frame in self.socket.frames if frame["type"] in ("error", "ai_response")][-1]
        return str(end.get("code", "ok"))

    def said(self) -> list[tuple[str, str, str]]:
        query = (
            select(Said.sender_type, Said.message_content, Said.status)
            .join(Chat, Chat.id == Said.chat_id)
            .join(ChatSession, ChatSession.id == Chat.session_id)
            .where(ChatSession.user_id == self.user_id)
            .order_by(Said.position)
        )
        with looking() as session:
            return [(row[0], row[1], row[2]) for row in session.execute(query)]


Transport = Callable[[Person], str]
TRANSPORTS: tuple[Transport, ...] = (Person.over_http, Person.over_the_socket)


@pytest.fixture
def someone(switchboard: Switchboard) -> Callable[[], Person]:
    def make() -> Person:
        user = a_user()
        return Person(client_of(user), Socket(switchboard, a_login_of(user)).opened(), user.id)

    return make


STATUSES: dict[str, tuple[Script, str]] = {
    "429": (lambda model: model.fails(429, times=MOST_CALLS), "ai_rate_limited"),
    "429 with Retry-After": (
        lambda model: model.fails(429, retry_after=60, times=MOST_CALLS),
        "ai_rate_limited",
    ),
    "500": (lambda model: model.fails(500, times=MOST_CALLS), "ai_unavailable"),
    "503": (lambda model: model.fails(503, times=MOST_CALLS), "ai_unavailable"),
    "401": (lambda model: model.fails(401, times=MOST_CALLS), "ai_key_rejected"),
    "404 model": (
        lambda model: model.fails(404, body={"error": {"code": "model_not_found"}}, times=MOST_CALLS),
        "ai_unavailable",
    ),
}


@pytest.mark.parametrize("fault", STATUSES)
def test_F6_a_status_is_the_contracts_code_and_asking_again_works(
    fault: str, someone: Callable[[], Person], model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("academy.llm.wire._JITTER", (0.0, 0.01))
    script, code = STATUSES[fault]
    began, seen = time.monotonic(), Counter[str]()
    for transport in TRANSPORTS:
        for _ in range(STATUS_ROUNDS):
            person = someone()
            model.reset()
            script(model)
            seen["contract's code"] += transport(person) == code
            seen["message kept"] += person.said()[0] == ("user", "Сохрани меня", "complete")
            seen["more calls than three"] += len(model.requests) > MOST_CALLS
            model.reset()
            seen["asked again"] += transport(person) == "ok" and len(person.said()) == 2
    model.reset()
    every = 2 * STATUS_ROUNDS
    report(f"F6 {fault}", questions=every, seconds=round(time.monotonic() - began), seen=dict(seen))
    assert +seen == {"contract's code": every, "message kept": every, "asked again": every}


SILENCES: dict[str, tuple[Script, str]] = {
    "refused": (lambda _: None, "ai_unavailable"),
    "silence": (lambda model: model.keeps_silent(), "ai_timeout"),
    "headers then silence": (lambda model: model.keeps_silent(after_headers=True), "ai_timeout"),
    "a byte every 0.3 s": (lambda model: model.trickles(every=0.3), "ai_timeout"),
}


@contextmanager
def nobody_answers() -> Iterator[None]:
    """The platform's model server does not listen."""
    with closed_port() as port, pytest.MonkeyPatch.context() as changed:
        changed.setenv("DEFAULT_OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
        config.settings.cache_clear()
        yield
    config.settings.cache_clear()


@pytest.mark.parametrize("fault", SILENCES)
def test_F7_a_silence_ends_at_the_deadline_and_leaves_no_thread(
    fault: str, someone: Callable[[], Person], model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai.conversations.SECONDS", DEADLINE_SECONDS)
    monkeypatch.setattr("academy.llm.wire._JITTER", (0.0, 0.01))
    script, code = SILENCES[fault]

    def ask(question: Callable[[], str]) -> tuple[str, float]:
        began = time.monotonic()
        return question(), time.monotonic() - began

    assert someone().over_http() == "ok"  # so that nothing has to be imported within a deadline
    turns: list[Callable[[], str]] = []
    for _ in range(SILENCE_ROUNDS):
        person = someone()
        turns += [someone().over_http, partial(person.answered, person.sent(), DEADLINE_SECONDS)]
    for _ in turns:
        script(model)
    before = ours()
    began = time.monotonic()
    with nobody_answers() if fault == "refused" else nullcontext():
        outcomes = at_most(WAITING_AT_ONCE, ask, turns)
    took = sorted(seconds for _, seconds in outcomes)
    with looking() as session:
        asking = sorted(session.scalars(select(AIUsage.duration_ms)))
    eventually(lambda: ours() <= before)
    report(
        f"F7 {fault}",
        questions=f"{len(turns)}, {WAITING_AT_ONCE} at once",
        seconds=round(time.monotonic() - began),
        deadline=DEADLINE_SECONDS,
        median=f"{took[len(took) // 2]:.2f}",
        longest=f"{took[-1]:.2f}",
        longest_call=f"{asking[-1] / 1000:.2f}",
        codes=dict(Counter(code for code, _ in outcomes)),
        threads=f"{before} before, {ours()} after",
    )
    assert {outcome for outcome, _ in outcomes} == {code}
    # The call is what the deadline is for; what a busy machine takes around it is only reported.
    assert asking[-1] <= (DEADLINE_SECONDS + SLACK_SECONDS) * 1000
    assert len(asking) == 1 + len(turns)


def at_most(threads: int, call: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, items))


def ours() -> int:
    """Threads, but for those that play the other side."""
    return sum("process_request_thread" not in one.name for one in threading.enumerate())


def stream_of(*deltas: dict[str, Any]) -> bytes:
    events = [completions.event(completions.chunk("scripted", delta)) for delta in deltas]
    end = completions.event(completions.chunk("scripted", {}, "stop"))
    return b"".join([*events, end, completions.DONE])


GARBAGE: dict[str, tuple[Script, str]] = {
    "bad SSE JSON": (lambda model: model.sends(b"data: {not json}\n\n"), "ai_unavailable"),
    "error event": (
        lambda model: model.sends(b'event: error\ndata: {"error": {"message": "canary"}}\n\n'),
        "ai_unavailable",
    ),
    "HTML 200": (lambda model: model.sends(b"<html>canary</html>", "text/html"), "ai_unavailable"),
    "empty choices": (
        lambda model: model.sends(b'data: {"choices": []}\n\ndata: [DONE]\n\n'),
        "ai_unavailable",
    ),
    "wrong schema": (
        lambda model: model.sends(b'data: {"choices": [{"delta": {"content": [7]}, "index": "x"}]}\n\n'),
        "ai_unavailable",
    ),
    "NUL": (lambda model: model.sends(stream_of({"content": "до\x00после"})), "ok"),
    "half emoji": (lambda model: model.sends(stream_of({"content": "до\ud83dпосле"})), "ok"),
    "5 MB line": (lambda model: model.sends(b"data: " + b"x" * 5_000_000), "ai_unavailable"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_F9_garbage_is_no_error_of_ours_and_leaves_no_garbage(
    kind: str, someone: Callable[[], Person], model: ScriptedModel
) -> None:
    script, expected = GARBAGE[kind]
    outcomes, texts, began = Counter[str](), set[str](), time.monotonic()
    before = 0.0
    for round_ in range(GARBAGE_ROUNDS):
        for transport in TRANSPORTS:
            person = someone()
            script(model)
            outcomes[transport(person)] += 1
            texts |= {text for _, text, _ in person.said()}
        model.reset()
        dialect._memory.cache_clear()
        if round_ == 0:
            before = resident_mb()
    growth = resident_mb() - before
    report(
        f"F9 {kind}",
        questions=2 * GARBAGE_ROUNDS,
        seconds=round(time.monotonic() - began),
        outcomes=dict(outcomes),
        stored=texts,
        memory_grew=f"{growth:.1f} MB",
    )
    assert outcomes == {expected: 2 * GARBAGE_ROUNDS}
    assert texts == {"Сохрани меня", "до\ufffdпосле" if expected == "ok" else ""}
    assert growth < MOST_GROWTH_MB


@pytest.mark.parametrize("kind", [kind for kind, (_, end) in GARBAGE.items() if end != "ok"])
def test_F9_garbage_makes_no_course(kind: str, model: ScriptedModel) -> None:
    outcomes = Counter[str]()
    learner = Learner(client_of(a_user()))
    assert learner.say().status == 200
    for _ in range(GARBAGE_ROUNDS):
        model.reset()
        for _ in range(2):
            GARBAGE[kind][0](model)
        reply = learner.finalize()
        outcomes[f"{reply.status} {reply.code}"] += 1
    report(f"F9 {kind}", plans=GARBAGE_ROUNDS, outcomes=dict(outcomes))
    assert set(outcomes) <= {"502 ai_unavailable", "502 ai_bad_output"}
    assert learner.track()["modules"] == []


def resident_mb() -> float:
    """Memory of this process, which plays the model server too."""
    gc.collect()
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found, "this is measured on Linux"
    return int(found[1]) / 1024
