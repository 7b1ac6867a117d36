"""People who use the platform over HTTP and sockets while it breaks, and never take no for an answer.

Each has a canary in every word, repeats what failed under the same Idempotency-Key, and writes it all down.
"""

import asyncio
import random
import secrets
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tests.e2e.crowd import Person
from tests.faults.invariants import CANARY
from tests.faults.ledger import Ledger
from tests.faults.rest import Answer, request

AGAIN = frozenset({0, 429, 500, 502, 503, 504})
BUSY = frozenset({"idempotency_in_progress", "conflict", "reply_taken_over"})
LONGEST_PAUSE = 2.0
"""Seconds: the answer says 5, but a scenario is to press."""
PATIENCE_SECONDS = 150


def new_op() -> str:
    return f"op-{secrets.token_hex(8)}"


@dataclass
class Learner:
    """One person at REST."""

    port: int
    ledger: Ledger
    canary: str
    chance: random.Random
    token: str | None = None
    longest_pause: float = LONGEST_PAUSE
    gave_up: int = field(default=0)

    def words(self, op: str) -> str:
        return f"{self.canary} {op}"

    async def once(
        self, method: str, path: str, body: Any = None, *, op: str, key: str | None = None
    ) -> Answer:
        """One try, written down; status 0 if no answer came."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["Idempotency-Key"] = key
        started = monotonic()
        answer = await request(self.port, method, path, body, headers)
        is_problem = answer.content_type == "application/problem+json"
        self.ledger.tried(op, started, answer.status, is_problem=is_problem)
        strangers = set(CANARY.findall(answer.content.decode())) - {self.canary}
        self.ledger.seen["foreign frames"] += bool(strangers)
        return answer

    async def do(
        self, kind: str, path: str, body: Any, *, op: str | None = None, method: str = "POST"
    ) -> Answer:
        """Try until it is done or refused for good; the last answer."""
        op = op or new_op()
        self.ledger.sent(op, kind)
        deadline = monotonic() + PATIENCE_SECONDS
        while True:
            answer = await self.once(method, path, body, op=op, key=op if method == "POST" else None)
            if answer.status not in AGAIN and answer.code not in BUSY:
                self.ledger.ended(op, "acked" if answer.status < 400 else "error")
                return answer
            if monotonic() > deadline:
                self.gave_up += 1
                self.ledger.ended(op, "unknown")
                return answer
            pause = min(self.longest_pause, max(answer.retry_after, 0.3))
            await asyncio.sleep(pause * (0.5 + self.chance.random()))

    async def add_track(self) -> Answer:
        op = new_op()
        return await self.do("track", "/api/tracks", {"title": self.words(op)}, op=op)

    async def add_session(self, track_id: str) -> Answer:
        op = new_op()
        body = {"track_id": track_id, "session_name": self.words(op)}
        return await self.do("session", "/api/chat/sessions", body, op=op)

    async def add_chat(self, session_id: str) -> Answer:
        op = new_op()
        body = {"session_id": session_id, "chat_name": self.words(op), "chat_type": "track_manager"}
        return await self.do("chat", "/api/chat/chats", body, op=op)

    async def say(self, session_id: str) -> Answer:
        op = new_op()
        body = {"session_id": session_id, "message": self.words(op)}
        return await self.do("message", "/api/ai/chat-response", body, op=op)

    async def read(self, path: str) -> Answer:
        return await self.do("read", path, None, method="GET")

    async def wander(self, until: float, pause: float) -> None:
        """Mixed requests until that moment of the monotonic clock."""
        track = (await self.add_track()).body
        session = (await self.add_session(track["id"])).body
        while monotonic() < until:
            match self.chance.randrange(6):
                case 0:
                    await self.add_track()
                case 1:
                    await self.add_session(track["id"])
                case 2:
                    await self.add_chat(session["id"])
                case 3:
                    await self.say(f"{session['id']}")
                case 4:
                    await self.read("/api/tracks")
                case _:
                    await self.read(f"/api/chat/sessions/{session['id']}/chats")
            await asyncio.sleep(pause * 2 * self.chance.random())


@dataclass
class Talker(Person):
    """A person at a socket whose questions are in the ledger."""

    ledger: Ledger | None = None

    async def chat(self, until: float, pause: float) -> None:
        assert self.ledger is not None
        while monotonic() < until:
            op = new_op()
            self.ledger.sent(op, "message")
            words = f"{self.canary} {op}"
            try:
                await asyncio.wait_for(self._ask(words), PATIENCE_SECONDS)
            except TimeoutError:
                self.seen["gave up"] += 1
            self.ledger.ended(op, "acked" if words in self.accepted or words in self.answered else "unknown")
            await asyncio.sleep(pause * 2 * self.chance.random())
