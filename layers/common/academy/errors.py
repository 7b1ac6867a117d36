"""One error tree: status and code live on the class, the sentence for a person is the message."""

from collections.abc import Mapping
from typing import Any


class AppError(Exception):
    """An outcome a client should hear about, as a problem document or an error frame.

    `detail` is one sentence for a person; `headers` go out with the response; `extra` are
    further members of the problem document (RFC 9457, section 3.2).
    """

    status = 500
    code = "internal_error"

    def __init__(
        self,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


class NotFound(AppError):
    """Something that does not exist, or belongs to somebody else: the two must look the same."""

    status, code = 404, "not_found"

    def __init__(self, noun: str) -> None:
        super().__init__(f"There is no such {noun}.")


class Unauthorized(AppError):
    status, code = 401, "unauthorized"

    def __init__(self, detail: str = "Log in to continue: this needs a valid access token.") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(AppError):
    status, code = 403, "forbidden"


class Conflict(AppError):
    status, code = 409, "conflict"


class Invalid(AppError):
    """A payload that no field's type can refuse on its own."""

    status, code = 422, "invalid"


class TooLarge(AppError):
    status, code = 413, "too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes.")


class DatabaseUnavailable(AppError):
    status, code = 503, "db_unavailable"

    def __init__(self) -> None:
        super().__init__(
            "The database can't be reached right now. Try again in a few seconds.",
            headers={"Retry-After": "5"},
        )


class RateLimited(AppError):
    status, code = 429, "rate_limited"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"Too many attempts. Try again in {retry_after} seconds.",
            headers={"Retry-After": str(retry_after)},
        )
