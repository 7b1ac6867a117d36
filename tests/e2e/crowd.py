"""People who talk over sockets that break, and write down what they sent, what was accepted and what came.

Each behaves as docs/websocket.md tells a client to: reconnects, restores the chat, repeats a message whose
fate it does not know under the same id, counts the words of a reply by their numbers.
"""

import asyncio
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

Frame = dict[str, Any]

CANARY = re.compile(r"canary-[0-9a-f]+")
PATIENCE_SECONDS = 300
AGAIN = frozenset({"reply_failed", "ai_unavailable", "ai_timeout", "unavailable", "internal_error"})


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
    _replies: dict[str, Text] = field(default_factory=dict)
    _early: list[Frame] | None = None
    """What came before the chat was restored, which says how far we are."""

    async def talk(self, questions: int) -> None:
        for number in range(questions):
            await asyncio.wait_for(self._ask(f"{self.canary} {number}"), PATIENCE_SECONDS)

    async def listen(self, until: asyncio.Event) -> None:
        """Have a second tab open that says nothing."""
        while not until.is_set():
            try:
                async with self._connected() as socket:
                    await socket.send('{"type": "restore_chat"}')
                    while not until.is_set():
                        await self._receive(socket, seconds=1)
            except (OSError, WebSocketException):
                await asyncio.sleep(0.2)

    def _connected(self) -> connect:
        self._replies, self._early = {}, []
        return connect(self.url, subprotocols=["bearer", self.token], proxy=None, open_timeout=30)  # type: ignore[list-item]

    async def _ask(self, words: str) -> None:
        while words not in self.answered:
            try:
                async with self._connected() as socket:
                    await socket.send('{"type": "restore_chat"}')
                    await self._follow(socket, words)
            except (OSError, WebSocketException):
                self.seen["reconnects"] += 1
                await asyncio.sleep(self.chance.random())

    async def _follow(self, socket: ClientConnection, words: str) -> None:
        while words not in self.answered:
            frame = await self._receive(socket, seconds=60)
            if frame is None:
                self.seen["silences"] += 1
                return
            match frame.get("type"):
                case "chat_restored" if not self._knows(frame, words):
                    await self._say(socket, words)
                case "message_accepted" if frame["client_message_id"] == words:
                    self.accepted.add(words)
                case "ai_response" if words in frame["message"]:
                    self.answered[words] = frame["message"]
                case "error":
                    self.seen[frame["code"]] += 1
                    if frame["code"] in AGAIN | {"rate_limited"}:
                        await asyncio.sleep(frame["retry_after"] or 0.5)
                        await self._say(socket, words)
                case "ai_delta" if self.chance.random() < self.drops:
                    socket.transport.abort()

    def _knows(self, frame: Frame, words: str) -> bool:
        """Whether the restored chat holds the question already, answered or being answered."""
        said = [entry["content"] for entry in frame["history"]]
        if words not in said:
            return False
        following = said[said.index(words) + 1 :]
        if following:
            self.answered[words] = following[0]
        return bool(following or frame["reply_in_progress"])

    async def _say(self, socket: ClientConnection, words: str) -> None:
        await socket.send(json.dumps({"message": words, "client_message_id": words}))

    async def _receive(self, socket: ClientConnection, seconds: float) -> Frame | None:
        try:
            async with asyncio.timeout(seconds):
                raw = await socket.recv()
        except TimeoutError:
            return None
        if set(CANARY.findall(str(raw))) - {self.canary}:
            self.seen["foreign frames"] += 1
        frame: Frame = json.loads(raw)
        self._check(frame)
        return frame

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
                self.seen["gaps"] += not text.take(frame["seq"], frame["delta"])
            case "ai_response":
                self.seen["replies shown"] += 1
                known = self._replies.pop(frame["message_id"], None)
                self.seen["texts that differ"] += bool(known and known.content != frame["message"])
