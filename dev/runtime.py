"""Plays the Lambda service: imports the handlers and calls them as their environment in AWS would."""

import asyncio
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from dev.sam import ACCOUNT_ID, REGION, Function

Handler = Callable[[dict[str, Any], Any], Any]
THREADS = 40
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024


class FunctionError(Exception):
    """The function raised, could not be imported, or returned what is not JSON."""


class PayloadTooLarge(Exception):
    """The event is larger than Lambda takes in a synchronous call."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler may ask about its own invocation."""

    function: Function
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))
    function_version: str = "$LATEST"
    started: float = field(default_factory=time.monotonic)
    identity: None = None
    client_context: None = None

    @property
    def function_name(self) -> str:
        return self.function.name

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.function.name}"

    @property
    def memory_limit_in_mb(self) -> int:
        return self.function.memory

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function.name}"

    @property
    def log_stream_name(self) -> str:
        return "local/[$LATEST]"

    def get_remaining_time_in_millis(self) -> int:
        elapsed = time.monotonic() - self.started
        return max(0, int((self.function.timeout - elapsed) * 1000))


class Runtime:
    """The functions of a template, each imported once and called on a pool of threads."""

    def __init__(self, functions: dict[str, Function], *, threads: int = THREADS) -> None:
        self.functions = functions
        self.handlers: dict[str, Handler] = {}
        self._loops: list[asyncio.AbstractEventLoop] = []
        # Mangum runs the application on its thread's event loop, so every thread gets one.
        self._pool = ThreadPoolExecutor(threads, "lambda", initializer=self._make_loop)

    def load(self) -> None:
        """Import every handler; one that fails is shown and stays out, the others serve."""
        for name, function in self.functions.items():
            try:
                self.handlers[name] = _import(function.handler)
            except Exception:  # noqa: BLE001 - whatever a module does while it is imported is its own affair
                print(f"{name} cannot be imported: every request to it answers 500.", file=sys.stderr)
                traceback.print_exc()

    def invoke(self, name: str, event: dict[str, Any]) -> "Future[Any]":
        """The function's answer, as it comes back over the wire. Raises `PayloadTooLarge` at once."""
        payload = json.dumps(event)
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise PayloadTooLarge
        return self._pool.submit(self._call, name, payload)

    def close(self) -> None:
        """Wait for running handlers, then let go of their event loops."""
        self._pool.shutdown(cancel_futures=True)
        for loop in self._loops:
            loop.close()

    def _call(self, name: str, payload: str) -> Any:
        if name not in self.handlers:
            raise FunctionError(f"{name} could not be imported")
        try:
            result = self.handlers[name](json.loads(payload), Context(self.functions[name]))
            answer = json.dumps(result)
        except Exception:  # noqa: BLE001 - like Lambda: whatever it is, it is logged and the caller hears no more
            traceback.print_exc()
            raise FunctionError(f"{name} raised") from None
        if len(answer) > MAX_PAYLOAD_BYTES:
            raise FunctionError(f"{name} returned more than {MAX_PAYLOAD_BYTES} bytes")
        return json.loads(answer)

    def _make_loop(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._loops.append(loop)


def _import(handler: str) -> Handler:
    module, _, attribute = handler.rpartition(".")
    found: Handler = getattr(importlib.import_module(module), attribute)
    return found
