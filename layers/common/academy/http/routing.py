"""A router whose routes run where they are called, read JSON strictly and honour Idempotency-Key."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from academy import payload
from academy.errors import Unauthorized
from academy.http.idempotency import Replay, answer_who_ended, forget, remember


class StrictRequest(Request):
    """A request whose JSON was read by `payload`."""

    async def read_json(self) -> None:
        """Read the body ahead of FastAPI, which would turn our errors into a bare 400."""
        if "json" in self.headers.get("content-type", "") and (body := await self.body()):
            self._json = payload.parse(body)


class Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except Unauthorized:
                await answer_who_ended(request)
                raise

        async def strict(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            await request.read_json()
            try:
                response = await answered(request)
            except Replay as replay:
                return replay.response()
            except BaseException:
                forget(request)
                raise
            remember(request, response)
            return response

        return strict


class Router(APIRouter):
    """An `APIRouter` for one API area.

    A Lambda environment serves one request at a time, so there is nothing for FastAPI's thread pool
    to gain, and its hop costs 0.4 ms a request: plain functions are called right where they are.
    """

    def __init__(self, *, prefix: str, tag: str, **options: Any) -> None:
        super().__init__(prefix=prefix, tags=[tag], route_class=Route, redirect_slashes=False, **options)

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().add_api_route(path, _inline(endpoint), **options)


def _inline(endpoint: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    @functools.wraps(endpoint)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return endpoint(*args, **kwargs)

    return call
