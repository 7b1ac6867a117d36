"""Every error that leaves, as RFC 9457 problem+json, made in one place."""

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from academy.errors import AppError, DatabaseUnavailable
from academy.observability import logger
from academy.outages import is_outage

CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class FieldError(BaseModel):
    loc: list[str | int]
    msg: str
    type: str


class Problem(BaseModel):
    """An error as the client sees it. `detail` is a sentence for a person, `code` is for programs."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | None = None


class ProblemResponse(JSONResponse):
    media_type = "application/problem+json"


def problem(
    request_id: str,
    status: int,
    code: str,
    detail: str,
    *,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        **(extra or {}),
    }
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        content.setdefault("errors", [{"loc": [], "msg": detail, "type": code}])
    return ProblemResponse(content, status, headers=dict(headers or {}))


def internal_error(request_id: str) -> Response:
    detail = "Something went wrong on our side. Quote the request_id when you report it."
    return problem(request_id, 500, "internal_error", detail)


async def render_app_error(request: Request, error: AppError) -> Response:
    return problem(
        request.state.request_id,
        error.status,
        error.code,
        error.detail,
        extra=error.extra,
        headers=error.headers,
    )


async def render_validation_error(request: Request, error: RequestValidationError) -> Response:
    errors = [
        {"loc": [*item["loc"]], "msg": item["msg"], "type": item["type"]}
        for item in error.errors()  # `input` stays behind: it may be a password
    ]
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or first["loc"][0]
    detail = f"Check {where}: {first['msg'].removeprefix('Value error, ')}."
    return problem(request.state.request_id, 422, "validation_error", detail, extra={"errors": errors})


def _allowed(request: Request) -> dict[str, str]:
    """Every method of this address (RFC 9110, 10.2.1); Starlette names those of one of its routes alone."""

    def is_possible(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return {"Allow": ", ".join(filter(is_possible, METHODS))}


async def render_http_exception(request: Request, error: HTTPException) -> Response:
    sentences = {
        404: "There is nothing at this address.",
        405: f"{request.method} is not possible here.",
        413: "The request body is larger than 1 MiB.",
    }
    return problem(
        request.state.request_id,
        error.status_code,
        CODES.get(error.status_code, "bad_request"),
        sentences.get(error.status_code, "The request can't be read."),
        headers=_allowed(request) if error.status_code == 405 else error.headers,
    )


async def render_database_error(request: Request, error: Exception) -> Response:
    """A race that a constraint settled is a conflict, a database out of reach is no fault of the caller."""
    request_id = request.state.request_id
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    logger.warning("database error", kind=type(error).__name__, sqlstate=state)
    if isinstance(error, IntegrityError):
        detail = "Somebody changed this at the same moment. Look again and repeat what you still need."
        return problem(request_id, 409, "conflict", detail)
    if is_outage(error):
        return await render_app_error(request, DatabaseUnavailable())
    return internal_error(request_id)


async def render_gone(request: Request, _: StaleDataError) -> Response:
    detail = "This has just been deleted."
    return problem(request.state.request_id, 404, "not_found", detail)


async def render_internal_error(request: Request, _: Exception) -> Response:
    return internal_error(request.state.request_id)


RENDERERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    AppError: render_app_error,
    RequestValidationError: render_validation_error,
    HTTPException: render_http_exception,
    DBAPIError: render_database_error,
    PoolTimeout: render_database_error,
    StaleDataError: render_gone,
    Exception: render_internal_error,
}
