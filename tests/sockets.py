"""Sockets as the handlers see them: events in, and an `@connections` that keeps what each was sent."""

import json
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

from dev.websocket_events import Connection, connect_event, disconnect_event, message_event
from tests import leaks
from tests.client import CONTEXT

Frame = dict[str, Any]
Chance = Callable[[str], int | None]
"""Which status a post to a socket is refused with this time, if it is."""

ERRORS = {410: "GoneException", 429: "LimitExceededException", 413: "PayloadTooLargeException"}
LIMIT_BYTES = 128 * 1024


class Switchboard:
    """Plays `@connections` over HTTP: remembers every frame, answers with faults on demand."""

    def __init__(self) -> None:
        self.frames: dict[str, list[Frame]] = defaultdict(list)
        self.closed: set[str] = set()
        self.largest = 0
        self.posts = 0
        self.chance: Chance | None = None
        self._faults: dict[str, deque[int | float]] = defaultdict(deque)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.switchboard = self  # type: ignore[attr-defined]  # the handler's way to us
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/ws"

    def reset(self) -> None:
        self.frames.clear()
        self.closed.clear()
        self._faults.clear()
        self.largest = self.posts = 0
        self.chance = None

    def fails(self, connection_id: str, *faults: int | float) -> None:
        """The next posts to this socket: a status each, or seconds of silence if it is a float."""
        self._faults[connection_id].extend(faults)

    def take(self, connection_id: str, body: bytes) -> int:
        self.posts += 1
        if self.chance and (status := self.chance(connection_id)):
            return status
        self.largest = max(self.largest, len(body))
        if self._faults[connection_id]:
            fault = self._faults[connection_id].popleft()
            if isinstance(fault, int):
                return fault
            time.sleep(fault)
        if connection_id in self.closed:
            return 410
        if len(body) > LIMIT_BYTES:
            return 413
        self.frames[connection_id].append(json.loads(body))
        return 200


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self._switchboard.take(self._connection_id, body))

    def do_DELETE(self) -> None:
        is_open = self._connection_id not in self._switchboard.closed
        self._switchboard.closed.add(self._connection_id)
        self._answer(204 if is_open else 410)

    @property
    def _switchboard(self) -> Switchboard:
        found: Switchboard = self.server.switchboard  # type: ignore[attr-defined]  # ours has one
        return found

    @property
    def _connection_id(self) -> str:
        return unquote(self.path.rsplit("/", 1)[1])

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status in ERRORS:
            self.send_header("x-amzn-ErrorType", ERRORS[status])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing: tests print nothing."""


@dataclass
class Socket:
    """A client's socket on a session."""

    switchboard: Switchboard
    token: str | None = None
    session_id: str = "1718000000000abc123xyz"
    channel: str = "chat"
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    connection: Connection = field(default_factory=Connection)

    def connect(self) -> Frame:
        """What `$connect` answers: a status, perhaps headers."""
        from urllib.parse import urlencode

        query = urlencode({"session_id": self.session_id, "channel": self.channel})
        headers = {"Host": "localhost", **self.headers}
        if self.token:
            headers.setdefault("Sec-WebSocket-Protocol", f"bearer, {self.token}")
        event = connect_event(f"{query}{self.query}", headers, connection=self.connection)
        return self._handle(event)

    def opened(self) -> Self:
        assert self.connect()["statusCode"] == 200
        return self

    def send(self, frame: Any) -> list[Frame]:
        """Sends one frame, as JSON unless it is a text; the frames that came meanwhile."""
        leaks.remember(frame)
        before = len(self.frames)
        body = frame if isinstance(frame, str) else json.dumps(frame)
        self._handle(message_event(body, connection=self.connection))
        return self.frames[before:]

    def say(self, words: str = "Привет", **more: Any) -> list[Frame]:
        return self.send({"message": words, **more})

    def disconnect(self) -> None:
        self.switchboard.closed.add(self.connection.id)
        self._handle(disconnect_event(connection=self.connection))

    def vanish(self) -> None:
        """Closed without anybody being told."""
        self.switchboard.closed.add(self.connection.id)

    @property
    def frames(self) -> list[Frame]:
        return self.switchboard.frames[self.connection.id]

    def of_type(self, kind: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def last(self, kind: str) -> Frame:
        return self.of_type(kind)[-1]

    @staticmethod
    def _handle(event: Frame) -> Frame:
        from ws.routes import handler

        answer: Frame = json.loads(json.dumps(handler(json.loads(json.dumps(event)), CONTEXT)))
        return answer


def spoken(deltas: list[Frame]) -> str:
    """The text that deltas make; they have to count without a gap from 0, or from the last 0."""
    assert [frame["seq"] for frame in deltas] == list(range(len(deltas))), "a gap or a repetition"
    return "".join(frame["delta"] for frame in deltas)


def words_of(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\S+\s*|\s+", text))
