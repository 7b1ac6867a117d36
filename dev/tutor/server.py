"""The tutor's HTTP side: Chat Completions, streamed word by word or whole, and the list of models."""

import json
import re
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from academy.llm import estimate_tokens
from dev.local import LOOPBACK
from dev.trouble import Trouble
from dev.tutor import completions, speech
from dev.tutor.schema import Author, instance
from dev.tutor.topic import topic_of

MODEL = "demo-tutor"
SECONDS_PER_WORD = 0.02
_LARGEST_REQUEST = 8 * 1024 * 1024


def serve(port: int, address: str = LOOPBACK, *, exit_with_parent: bool = False) -> None:
    """Serves until interrupted, or until standard input ends if `exit_with_parent`."""
    with tutor(port, address) as server:
        print(f"The demo tutor answers on http://{address}:{server.server_port}/v1", flush=True)
        if exit_with_parent:
            threading.Thread(target=_stop_with_input, args=(server,), daemon=True).start()
        try:
            server.serve_forever(poll_interval=0.05)
        except KeyboardInterrupt:
            return


def tutor(
    port: int = 0, address: str = LOOPBACK, *, seconds_per_word: float = SECONDS_PER_WORD
) -> ThreadingHTTPServer:
    """The server, bound to its port; 0 picks a free one."""
    handler = type("_PacedHandler", (_Handler,), {"seconds_per_word": seconds_per_word})
    try:
        return ThreadingHTTPServer((address, port), handler)
    except OSError:
        raise Trouble(f"Port {port} is taken: stop what uses it, or give the tutor another --port.") from None


def answer(request: dict[str, Any]) -> str:
    """What the tutor says to a Chat Completions request: Markdown, or JSON that fits its schema."""
    topic = topic_of(request["messages"])
    if schema := completions.wanted_schema(request):
        author = Author(text=partial(speech.written, topic), number=partial(speech.counted, topic))
        return json.dumps(instance(schema, author), ensure_ascii=False)
    return speech.spoken(topic)


class _Handler(BaseHTTPRequestHandler):
    timeout = 30
    seconds_per_word: float

    def do_GET(self) -> None:
        if self.path.rstrip("/") != "/v1/models":
            return self._fail(404, "The tutor answers GET /v1/models and POST /v1/chat/completions.")
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "academy"}
        return self._send(200, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        if self.path.rstrip("/") != "/v1/chat/completions":
            return self._fail(404, "The tutor answers GET /v1/models and POST /v1/chat/completions.")
        try:
            request = self._read()
            text = answer(request)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return self._fail(400, "The request is not a Chat Completions request.")
        return self._stream(request, text) if request.get("stream") else self._complete(request, text)

    def _read(self) -> dict[str, Any]:
        length = int(self.headers["Content-Length"])
        if length > _LARGEST_REQUEST:
            raise ValueError("too large")
        request: dict[str, Any] = json.loads(self.rfile.read(length))
        return request

    def _complete(self, request: dict[str, Any], text: str) -> None:
        self._send(200, completions.completion(MODEL, text, _usage(request, text)))

    def _stream(self, request: dict[str, Any], text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        pieces = [text] if completions.wanted_schema(request) else re.findall(r"\s*\S+\s*$|\s*\S+", text)
        try:
            for piece in pieces:
                self._send_event(completions.chunk(MODEL, {"content": piece}))
                time.sleep(self.seconds_per_word)
            self._send_event(completions.chunk(MODEL, {}, "stop"))
            if completions.wants_usage(request):
                self._send_event(completions.bill(MODEL, _usage(request, text)))
            self.wfile.write(completions.DONE)
        except ConnectionError:
            return  # whoever asked has heard enough

    def _send_event(self, data: dict[str, Any]) -> None:
        self.wfile.write(completions.event(data))

    def _fail(self, status: int, message: str) -> None:
        self._send(status, {"error": {"message": message, "type": "invalid_request_error"}})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing: the gateway logs what matters."""


def _usage(request: dict[str, Any], text: str) -> dict[str, Any]:
    asked = json.dumps(request["messages"], ensure_ascii=False)
    return completions.usage(estimate_tokens(asked), estimate_tokens(text))


def _stop_with_input(server: ThreadingHTTPServer) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    server.shutdown()
