"""A model server that answers what a test tells it to, over real HTTP, with every fault on demand."""

import json
import random
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from dev.tutor import completions
from dev.tutor.schema import Author, instance
from tests import leaks

Json = dict[str, Any]
Turn = Callable[["Exchange"], None]

SSE = "text/event-stream"
USAGE = completions.usage(prompt_tokens=30, completion_tokens=12)


@dataclass
class Request:
    """What arrived. `hung_up` is set when the caller closed the connection during the answer."""

    path: str
    headers: dict[str, str]
    body: Json
    hung_up: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def messages(self) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = self.body["messages"]
        return messages


class ScriptedModel:
    """`with ScriptedModel() as model`: each scripted turn answers one request, in order.

    Without a script it echoes the last message, and answers a request for JSON with a value that
    fits the schema. `model.requests` holds all that was asked.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._script: deque[Turn] = deque()
        self._refused: tuple[str, ...] = ()
        self._pace: tuple[float, int] | None = None
        self._faltering: tuple[float, random.Random] | None = None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.model = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def base_url(self) -> str:
        return f"http://{self.address}/v1"

    def reset(self) -> None:
        """Forgets the script and what was asked."""
        self.requests.clear()
        self._script.clear()
        self._refused = ()
        self._pace = self._faltering = None

    def falters(self, share: float, chance: random.Random) -> None:
        """From now on so many of the requests are answered 429 or 500."""
        self._faltering = (share, chance)

    def paces(self, every: float, words: int) -> None:
        """From now on what it says unscripted is so many words long, one each `every` seconds."""
        self._pace = (every, words)

    def says(self, *pieces: str, finish: str | None = "stop", usage: Json | None = USAGE) -> None:
        """Answers with these pieces, a chunk each; one piece is sent word by word."""
        self._add(lambda exchange: exchange.say(_pieces(pieces), finish, usage))

    def says_json(self, value: Any) -> None:
        self.says(json.dumps(value))

    def declines(self, reason: str = "I cannot help with that.") -> None:
        self._add(lambda exchange: exchange.decline(reason))

    def fails(
        self, status: int, *, retry_after: float | None = None, body: Any = None, times: int = 1
    ) -> None:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        error = {"error": {"message": "scripted failure", "type": "server_error"}} if body is None else body
        self._add(lambda exchange: exchange.send_json(status, error, headers), times)

    def redirects(self, target: str, status: int = 307) -> None:
        self._add(lambda exchange: exchange.send_json(status, {}, {"Location": target}))

    def sends(self, body: bytes, content_type: str = SSE, headers: dict[str, str] | None = None) -> None:
        """Answers 200 with exactly these bytes."""
        self._add(lambda exchange: exchange.send(200, body, {"Content-Type": content_type} | (headers or {})))

    def answers(self, everything: bytes) -> None:
        """Answers exactly these bytes, status line and all."""
        self._add(lambda exchange: exchange.send_everything(everything))

    def cuts(self, *pieces: str, how: Literal["reset", "close", "no_done"] = "close") -> None:
        """Sends these pieces, then ends without a finish: by RST, in mid-body, or politely."""
        self._add(lambda exchange: exchange.cut(pieces, how))

    def drips(self, *pieces: str, every: float = 0.05) -> None:
        """Says these pieces over and over, one each `every` seconds, and never comes to an end."""
        self._add(lambda exchange: exchange.drip(pieces or ("drop ",), every))

    def trickles(self, every: float) -> None:
        """Sends its answer byte by byte, one each `every` seconds."""
        self._add(lambda exchange: exchange.trickle(every))

    def waits(self, until: threading.Event, *pieces: str) -> None:
        """Answers with these pieces once `until` is set."""

        def turn(exchange: Exchange) -> None:
            until.wait(10)
            exchange.say(_pieces(pieces), "stop", USAGE)

        self._add(turn)

    def tells(self, *steps: str | threading.Event) -> None:
        """Says each piece in turn; where an event stands, waits until it is set."""
        self._add(lambda exchange: exchange.tell(steps))

    def keeps_silent(self, *, after_headers: bool = False) -> None:
        self._add(lambda exchange: exchange.keep_silent(after_headers))

    def refuses(self, *parameters: str) -> None:
        """From now on: 400 for every request that has one of these parameters."""
        self._refused = parameters

    def turn_for(self, request: Request) -> Turn:
        for parameter in self._refused:
            if parameter in request.body:
                return lambda exchange: exchange.send_json(400, _unsupported(parameter))
        if self._script:
            return self._script.popleft()
        if self._faltering and self._faltering[1].random() < self._faltering[0]:
            status = self._faltering[1].choice((429, 500))
            return lambda exchange: exchange.send_json(status, {"error": {"message": "scripted"}})
        if self._pace and not completions.wanted_schema(request.body):
            pace = self._pace
            return lambda exchange: exchange.say_slowly(*pace)
        return _usual_answer

    def _add(self, turn: Turn, times: int = 1) -> None:
        self._script.extend([turn] * times)


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, request: Request, model: ScriptedModel, handler: BaseHTTPRequestHandler) -> None:
        self.request = request
        self._model = model
        self._handler = handler
        self._name: str = request.body.get("model", "")

    def send_json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send(status, content, {"Content-Type": "application/json"} | (headers or {}))

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._start(status, headers | {"Content-Length": str(len(body))})
        self._handler.wfile.write(body)

    def send_everything(self, everything: bytes) -> None:
        self._handler.wfile.write(everything)
        self._handler.close_connection = True

    def say(self, pieces: tuple[str, ...], finish: str | None, usage: Json | None) -> None:
        leaks.remember("".join(pieces))
        if not self.request.body.get("stream"):
            whole = completions.completion(self._name, "".join(pieces), usage or {}, finish or "stop")
            return self.send_json(200, whole)
        self._start_stream()
        self._send_pieces(pieces)
        self._finish(finish, usage)

    def _finish(self, finish: str | None, usage: Json | None) -> None:
        self._send_event(completions.chunk(self._name, {}, finish))
        if usage and completions.wants_usage(self.request.body):
            self._send_event(completions.bill(self._name, usage))
        self._send_chunk(completions.DONE)
        self._send_chunk(b"")

    def decline(self, reason: str) -> None:
        self._start_stream()
        self._send_event(completions.chunk(self._name, {"refusal": reason}, "stop"))
        self._send_chunk(completions.DONE)
        self._send_chunk(b"")

    def cut(self, pieces: tuple[str, ...], how: str) -> None:
        self._start_stream()
        self._send_pieces(pieces)
        if how == "no_done":
            self._send_chunk(b"")
        if how == "reset":
            # Lingering for zero seconds turns the close into an RST.
            option = struct.pack("ii", 1, 0)
            self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
            self._handler.connection.close()

    def drip(self, pieces: tuple[str, ...], every: float) -> None:
        self._start_stream()
        while not self._model.closing.wait(every):
            self._send_pieces(pieces)

    def trickle(self, every: float) -> None:
        self._start_stream()
        for byte in completions.event(completions.chunk(self._name, {"content": "слово " * 1_000})):
            if self._model.closing.wait(every):
                break
            self._send_chunk(bytes([byte]))

    def say_slowly(self, every: float, words: int) -> None:
        self._start_stream()
        self._send_pieces((f"You said: {self.request.messages[-1]['content']}",))
        for number in range(words):
            time.sleep(every)
            self._send_pieces((f" {number}",))
        self._finish("stop", USAGE)

    def tell(self, steps: tuple[str | threading.Event, ...]) -> None:
        self._start_stream()
        for step in steps:
            if isinstance(step, str):
                self._send_pieces((step,))
            else:
                step.wait(10)
        self._finish("stop", USAGE)

    def keep_silent(self, after_headers: bool) -> None:
        if after_headers:
            self._start_stream()
        while not self._model.closing.wait(0.02) and not self._abandoned():
            pass

    def _abandoned(self) -> bool:
        self._handler.connection.setblocking(False)
        with suppress(BlockingIOError):
            return not self._handler.connection.recv(1)
        return False

    def _start_stream(self) -> None:
        self._start(200, {"Content-Type": SSE, "Transfer-Encoding": "chunked"})

    def _start(self, status: int, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.send_header("Connection", "close")
        self._handler.end_headers()

    def _send_pieces(self, pieces: tuple[str, ...]) -> None:
        leaks.remember(["".join(pieces), *pieces])
        for piece in pieces:
            self._send_event(completions.chunk(self._name, {"content": piece}))

    def _send_event(self, data: Json) -> None:
        self._send_chunk(completions.event(data))

    def _send_chunk(self, data: bytes) -> None:
        self._handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # of a hundred callers at one moment none is turned away
    daemon_threads = False  # so that server_close waits for every answer under way
    model: ScriptedModel


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, body)
        leaks.remember([request.key, body.get("messages")])
        model = self.server.model
        model.requests.append(request)
        try:
            model.turn_for(request)(Exchange(request, model, self))
        except OSError:
            request.hung_up.set()

    def log_message(self, *_: object) -> None:
        """Says nothing: tests print nothing."""


def _usual_answer(exchange: Exchange) -> None:
    if schema := completions.wanted_schema(exchange.request.body):
        text = json.dumps(instance(schema, Author(text=_filler)))
    else:
        text = f"You said: {exchange.request.messages[-1]['content']}"
    exchange.say((text,), "stop", USAGE)


def _filler(path: tuple[str, ...]) -> str:
    return f"Scripted {' '.join(path)}, long enough for most fields"


def _pieces(pieces: tuple[str, ...]) -> tuple[str, ...]:
    if len(pieces) != 1:
        return pieces
    return tuple(re.findall(r"\S+\s*|\s+", pieces[0]))


def _unsupported(parameter: str) -> Json:
    message = f"Unsupported parameter: '{parameter}' is not supported with this model."
    code = "unsupported_parameter"
    return {"error": {"message": message, "type": "invalid_request_error", "param": parameter, "code": code}}
