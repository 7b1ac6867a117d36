"""People who talk over sockets that break, and write down what they sent, what was accepted and what came.

Each behaves as docs/websocket.md tells a client to: reconnects, restores the chat, repeats a message whose
fate it does not know under the same id, counts the words of a reply by their numbers.
"""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

Frame = dict[str, Any]

CANARY = re.compile(r"canary-[0-9a-f]+")
PATIENCE_SECONDS = 300
AGAIN = frozenset(
    {"rate_limited", "reply_failed", "ai_unavailable", "ai_timeout", "unavailable", "db_unavailable"}
)


class Text:
    """A reply as it grows on one socket."""

    def __init__(self, content: str = "", expected: int = 0) -> None:
        self.content = content
        self.expected = expected

    def take(self, seq: int, delta: str) -> bool:
        """Whether nothing is missing before these words."""
        if seq == 0:
            self.content, self.expected = delta, 1
        elif seq == self.expected:
            self.content, self.expected = self.content + delta, seq + 1
        return seq < self.expected


class Tab:
    """One socket of a person's, from its handshake to its end."""

    def __init__(self, socket: ClientConnection, canary: str, seen: Counter[str]) -> None:
        self._socket = socket
        self._canary = canary
        self._seen = seen
        self._replies: dict[str, Text] = {}
        self._early: list[Frame] | None = []
        """What came before the chat was restored, which says how far we are."""

    async def send(self, frame: Frame) -> None:
        await self._socket.send(json.dumps(frame))

    async def receive(self, seconds: float) -> Frame | None:
        """The next frame, checked; `None` if there is none in that time."""
        try:
            async with asyncio.timeout(seconds):
                raw = await self._socket.recv()
        except TimeoutError:
            return None
        self._seen["foreign frames"] += bool(set(CANARY.findall(str(raw))) - {self._canary})
        frame: Frame = json.loads(raw)
        self._check(frame)
        return frame

    def break_off(self) -> None:
        self._socket.transport.abort()

    def _check(self, frame: Frame) -> None:
        match frame.get("type"):
            case "chat_restored":
                if partial := frame["reply_in_progress"]:
                    self._replies[partial["message_id"]] = Text(partial["content"], partial["next_seq"])
                early, self._early = self._early or [], None
                for earlier in early:
                    self._check(earlier)
            case "ai_delta" | "ai_response" if self._early is not None:
                self._early.append(frame)
            case "ai_delta":
                text = self._replies.setdefault(frame["message_id"], Text())
                self._seen["gaps"] += not text.take(frame["seq"], frame["delta"])
            case "ai_response":
                self._seen["replies shown"] += 1
                self._compare(self._replies.pop(frame["message_id"], None), frame["message"])

    def _compare(self, known: Text | None, whole: str) -> None:
        """An end may bring more than the words before it, where whoever wrote them died."""
        if known and known.content != whole:
            is_beginning = whole.startswith(known.content)
            self._seen["tails that the end brought" if is_beginning else "texts that differ"] += 1


@dataclass
class Person:
    """Somebody with a canary in every word, on a session that everybody calls by the same name."""

    url: str
    token: str
    canary: str
    chance: random.Random
    drops: float = 0.0
    """How likely a socket breaks at each piece of a reply."""
    accepted: set[str] = field(default_factory=set)
    answered: dict[str, str] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    async def talk(self, questions: int) -> None:
        for number in range(questions):
            await asyncio.wait_for(self._ask(f"{self.canary} {number}"), PATIENCE_SECONDS)

    async def listen(self, until: asyncio.Event) -> None:
        """Have a second tab open that says nothing."""
        while not until.is_set():
            try:
                async with self._opened() as tab:
                    while not until.is_set():
                        await tab.receive(seconds=1)
            except (OSError, WebSocketException):
                await asyncio.sleep(0.2)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Tab]:
        offered: Any = ["bearer", self.token]
        async with connect(self.url, subprotocols=offered, proxy=None, open_timeout=30) as socket:
            tab = Tab(socket, self.canary, self.seen)
            await tab.send({"type": "restore_chat"})
            yield tab

    async def _ask(self, words: str) -> None:
        while words not in self.answered:
            try:
                async with self._opened() as tab:
                    await self._follow(tab, words)
            except (OSError, WebSocketException):
                self.seen["reconnects"] += 1
                await asyncio.sleep(self.chance.random())

    async def _follow(self, tab: Tab, words: str) -> None:
        say = {"message": words, "client_message_id": words}
        while words not in self.answered:
            frame = await tab.receive(seconds=40)
            if frame is None:
                self.seen["silences"] += 1
                return
            match frame.get("type"):
                case "chat_restored" if not self._knows(frame, words):
                    await tab.send(say)
                case "message_accepted" if frame["client_message_id"] == words:
                    self.accepted.add(words)
                case "ai_response" if words in frame["message"]:
                    self.answered[words] = frame["message"]
                case "error":
                    self.seen[frame["code"]] += 1
                    if frame["code"] in AGAIN:
                        await asyncio.sleep(frame["retry_after"] or 0.5)
                        await tab.send(say)
                case "ai_delta" if self.chance.random() < self.drops:
                    tab.break_off()

    def _knows(self, frame: Frame, words: str) -> bool:
        """Whether the restored chat holds the question already, answered or being answered."""
        said = [entry["content"] for entry in frame["history"]]
        if words not in said:
            return False
        following = said[said.index(words) + 1 :]
        if following:
            self.answered[words] = following[0]
        return bool(following or frame["reply_in_progress"])
