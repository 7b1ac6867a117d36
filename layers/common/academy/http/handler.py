"""A router made into a Lambda handler."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from mangum import Mangum

from academy.http.dependencies import authenticate, bearer
from academy.http.description import Application
from academy.http.edge import MAX_BODY_BYTES, Edge
from academy.http.idempotency import claim
from academy.http.problems import RENDERERS

Event = dict[str, Any]
_THREAD = threading.local()


class LambdaHandler:
    """What Lambda calls with an event and a context; `app` is the FastAPI application behind it."""

    def __init__(self, *routers: APIRouter) -> None:
        self._routers = routers

    def __call__(self, event: Event, context: Any) -> dict[str, Any]:
        _ensure_event_loop()
        return self._adapter(event, context)

    @cached_property
    def app(self) -> FastAPI:
        app = Application(
            title="AI Learning Platform",
            openapi_url=None,
            redirect_slashes=False,
            max_body_size=MAX_BODY_BYTES,
            dependencies=[Depends(bearer), Depends(authenticate), Depends(claim)],
            exception_handlers=RENDERERS,
        )
        for router in self._routers:
            app.include_router(router, prefix="/api")
        return app

    @cached_property
    def _adapter(self) -> Callable[[Event, Any], dict[str, Any]]:
        logging.getLogger("mangum").setLevel(logging.ERROR)
        adapter = Mangum(Edge(self.app), lifespan="off")
        if os.environ.get("POWERTOOLS_TRACE_DISABLED", "true").lower() in {"1", "true"}:
            return adapter
        return _traced(adapter)


def lambda_handler(*routers: APIRouter) -> LambdaHandler:
    """The Lambda handler of an API area: `handler = lambda_handler(router)`."""
    return LambdaHandler(*routers)


class _Loop:
    """A thread's event loop, closed when the thread is gone."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)

    def __del__(self) -> None:
        self._loop.close()


def _ensure_event_loop() -> None:
    # Mangum runs on the loop of the thread it is called in, and makes one only where it was built.
    if not hasattr(_THREAD, "loop"):
        _THREAD.loop = _Loop()


def _traced(adapter: Callable[[Event, Any], dict[str, Any]]) -> Callable[[Event, Any], dict[str, Any]]:
    # X-Ray's SDK brings botocore along, 0.3 s at a cold start, so it is imported only where it is used.
    from academy.observability import tracer

    def handle(event: Event, context: Any) -> dict[str, Any]:
        return adapter(event, context)

    # It wants a function, with a name; and by itself it would keep every answer with the trace.
    return tracer().capture_lambda_handler(handle, capture_response=False)
