"""The open sockets: what reaches a client, in the order in which it was said, and when it has to go."""

import asyncio
from typing import NamedTuple

from starlette.types import Message, Send

from dev.websocket_events import Connection, now

NORMAL = 1000, "Connection Closed Normally"
GOING_AWAY = 1001, "Going away"


class Limits(NamedTuple):
    """API Gateway's quotas, which nobody can raise; only tests have a reason to change them.

    AWS does not say how much it keeps for a client that reads slowly: `buffer_bytes` is a guess.
    """

    seconds: float = 29
    message_bytes: int = 128 * 1024
    idle_seconds: float = 600
    life_seconds: float = 7200
    buffer_bytes: int = 1024 * 1024


QUOTAS = Limits()


class BufferFull(Exception):
    """The client reads too slowly for what it is sent."""


class Socket:
    """One open socket. A single writer sends all there is, so that nothing overtakes."""

    def __init__(self, connection: Connection, send: Send, limits: Limits) -> None:
        self.connection = connection
        self.last_active = connection.connected_at
        self.is_closing = False
        self._send = send
        self._limits = limits
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._waiting_bytes = 0

    def push(self, text: str) -> None:
        """Have a frame sent after all earlier ones. Raises `BufferFull`."""
        size = len(text.encode())
        if self._waiting_bytes and self._waiting_bytes + size > self._limits.buffer_bytes:
            raise BufferFull
        self._waiting_bytes += size
        self._outgoing.put_nowait({"type": "websocket.send", "text": text})

    def close(self, code: int, reason: str) -> None:
        """Have the socket closed after what is still to be sent."""
        self.is_closing = True
        self._outgoing.put_nowait({"type": "websocket.close", "code": code, "reason": reason})

    def touch(self) -> None:
        """Something went through: the socket is not idle."""
        self.last_active = now()

    async def write(self) -> None:
        """Send what there is to send, until the socket is closed from this side or gone."""
        while True:
            message = await self._outgoing.get()
            try:
                await self._send(message)
            except OSError:
                return
            if message["type"] == "websocket.close":
                return
            self._waiting_bytes -= len(message["text"].encode())
            self.touch()

    async def expire(self) -> None:
        """Close the socket when it has been silent or alive for too long."""
        while (left := self._milliseconds_left()) > 0:  # noqa: ASYNC110 - only time ends this wait
            await asyncio.sleep(left / 1000)
        self.close(*GOING_AWAY)

    def _milliseconds_left(self) -> float:
        silent = self.last_active + self._limits.idle_seconds * 1000
        old = self.connection.connected_at + self._limits.life_seconds * 1000
        return min(silent, old) - now()
