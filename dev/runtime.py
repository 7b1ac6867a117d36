"""Plays the Lambda service: imports the handlers and calls them as their environment in AWS would."""

import asyncio
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from dev.sam import ACCOUNT_ID, REGION, Function
from dev.threads import Threads, cancel_leftovers

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
    """The functions of a template, each imported once and called on threads of its own.

    As in AWS, no function waits for another's invocations: replies that take minutes stop no request.
    """

    def __init__(self, functions: dict[str, Function], *, threads: int = THREADS) -> None:
        self.functions = functions
        self.handlers: dict[str, Handler] = {}
        self._threads = {name: Threads(threads, name) for name in functions}

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
        return self._threads[name].submit(lambda: self._call(name, payload))

    async def answer(self, name: str, event: dict[str, Any], seconds: float) -> Any:
        """The function's answer to somebody who waits so many seconds, or a `TimeoutError`.

        A function that reaches its own limit has failed; one that outlasts its caller is just late, and
        goes on, as in AWS.
        """
        limit = self.functions[name].timeout
        waiting = asyncio.wrap_future(self.invoke(name, event))
        try:
            # `wait` cancels nothing when the time is over.
            done, _ = await asyncio.wait([waiting], timeout=min(seconds, limit))
        except asyncio.CancelledError:
            waiting.cancel()
            raise
        if done:
            return waiting.result()
        waiting.add_done_callback(lambda late: late.cancelled() or late.exception())
        print(f"{name} did not answer within {min(seconds, limit):g} s", flush=True)
        if limit < seconds:
            raise FunctionError(f"{name} timed out")
        raise TimeoutError

    def close(self, seconds: float | None = None) -> None:
        """Wait for running handlers, at most so many seconds each."""
        for threads in self._threads.values():
            threads.close(seconds)

    def _call(self, name: str, payload: str) -> Any:
        if name not in self.handlers:
            raise FunctionError(f"{name} could not be imported")
        try:
            result = self.handlers[name](json.loads(payload), Context(self.functions[name]))
            answer = json.dumps(result)
        except (Exception, SystemExit):  # noqa: BLE001 - like Lambda: it is logged and the caller hears no more
            traceback.print_exc()
            raise FunctionError(f"{name} raised") from None
        finally:
            if left := cancel_leftovers():
                # Lambda freezes the environment here: such a task would go on whenever, or never.
                print(f"{name} returned before {', '.join(left)} had ended: cancelled.", flush=True)
        if len(answer) > MAX_PAYLOAD_BYTES:
            raise FunctionError(f"{name} returned more than {MAX_PAYLOAD_BYTES} bytes")
        return json.loads(answer)


def _import(handler: str) -> Handler:
    module, _, attribute = handler.rpartition(".")
    found: Handler = getattr(importlib.import_module(module), attribute)
    return found
