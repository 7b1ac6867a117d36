"""Clients of a gateway that serves `sample.talk`: a decent one, and one without any manners."""

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from dev.events import Event
from dev.sam import Template
from dev.sockets import QUOTAS, Limits
from tests import gateway
from tests.dev.sample import GATE, SEEN
from tests.gateway import Gateway

TEMPLATE = Path(__file__).with_name("template.yaml")
TEXT, CLOSE = 0x1, 0x8


def serving(
    limits: Limits = QUOTAS, *, template: Path = TEMPLATE, disconnect_after: float | None = 0
) -> AbstractContextManager[Gateway]:
    return gateway.serving(Template(template), websocket_limits=limits, disconnect_after=disconnect_after)


class Talk(NamedTuple):
    """A client's open socket, and what its function was told at the handshake."""

    client: ClientConnection
    handshake: Event

    @property
    def id(self) -> str:
        connection_id: str = self.handshake["requestContext"]["connectionId"]
        return connection_id

    def say(self, **orders: Any) -> None:
        self.client.send(json.dumps(orders))

    def hear(self) -> Any:
        return json.loads(self.client.recv(timeout=5))

    def closed(self) -> tuple[int | None, str | None]:
        """How the gateway closes the socket, whatever it sends before."""
        with suppress(ConnectionClosed):
            while True:
                self.client.recv(timeout=5)
        return self.client.close_code, self.client.close_reason

    def ending(self) -> tuple[int, str]:
        """How the function is told that it ended."""
        context = SEEN.first("DISCONNECT", self.id)["requestContext"]
        return context["disconnectStatusCode"], context["disconnectReason"]


@contextmanager
def talking(live: Gateway, path: str = "/ws", **options: Any) -> Iterator[Talk]:
    name = uuid4().hex
    with live.connect(f"{path}{'&' if '?' in path else '?'}name={name}", **options) as client:
        yield Talk(client, SEEN.handshake(name))


class Raw:
    """A client that does what no decent library lets it do."""

    def __init__(self, live: Gateway, orders: str = "wait=1", *, early: bytes = b"") -> None:
        self.name = uuid4().hex
        self.admitted = False
        request = [
            f"GET /ws?{orders}&name={self.name} HTTP/1.1",
            f"Host: 127.0.0.1:{live.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ]
        self.socket = socket.create_connection(("127.0.0.1", live.port), timeout=5)
        self.socket.sendall("\r\n".join([*request, "", ""]).encode() + early)

    @property
    def id(self) -> str:
        """Known from the handshake on, before it is answered."""
        connection_id: str = SEEN.handshake(self.name)["requestContext"]["connectionId"]
        return connection_id

    def answered(self) -> bytes:
        """What the client gets once the function that waits may answer."""
        GATE.set()
        answer = self.socket.recv(4096)
        self.admitted = answer.startswith(b"HTTP/1.1 101 ")
        return answer

    def silent(self) -> bool:
        self.socket.settimeout(0.1)
        try:
            return not self.socket.recv(1)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(5)

    def break_off(self) -> None:
        """Go without a word, and wait until that is noticed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        if self.admitted:
            SEEN.first("DISCONNECT", self.id)


def frame(kind: int, content: bytes) -> bytes:
    return bytes([0x80 | kind, 0x80 | len(content)]) + bytes(4) + content
