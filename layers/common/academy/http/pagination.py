"""Pages over HTTP: `?limit=` and `?cursor=` in, a `Link` header out (RFC 8288)."""

import base64
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from academy import crypto
from academy.errors import Invalid
from academy.http.dependencies import CurrentUser
from academy.paging import Page

DEFAULT_LIMIT = 100
MAX_LIMIT = 200
SIGNATURE_BYTES = 16

Row = TypeVar("Row")
SortKey = tuple[str | int, ...]


class BadCursor(Invalid):
    code = "bad_cursor"

    def __init__(self) -> None:
        super().__init__("This cursor is not one of this list. Take it from the Link header of a page.")


class Paginator:
    """The page that was asked for, and the way to the one beyond it.

    A cursor is signed together with the caller and the address, so it opens no list but its own.
    """

    def __init__(
        self, *, path: str, owner_id: str, response: Response, limit: int, cursor: str | None
    ) -> None:
        self._path = path
        self._scope = f"{owner_id} {path}"
        self._response = response
        self.page = Page(limit, self._read(cursor) if cursor else None)

    def cut(self, rows: Sequence[Row], key: Callable[[Row], SortKey], *, rel: str = "next") -> Sequence[Row]:
        """The page itself; names the page beyond it in the `Link` header if a row too many was read."""
        page = rows[: self.page.limit]
        if len(rows) > self.page.limit:
            query = urlencode({"limit": self.page.limit, "cursor": self._write(key(page[-1]))})
            self._response.headers["Link"] = f'<{self._path}?{query}>; rel="{rel}"'
        return page

    def _write(self, key: SortKey) -> str:
        payload = json.dumps(key)
        return base64.urlsafe_b64encode(self._sign(payload) + payload.encode()).decode().rstrip("=")

    def _read(self, cursor: str) -> SortKey:
        try:
            raw = base64.urlsafe_b64decode(cursor + "==")  # more padding than it needs does no harm
            signature, payload = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:].decode()
        except ValueError:
            raise BadCursor from None
        if not hmac.compare_digest(signature, self._sign(payload)):
            raise BadCursor
        return tuple(json.loads(payload))

    def _sign(self, payload: str) -> bytes:
        return crypto.keyed_hash("cursor", f"{self._scope}\n{payload}")[:SIGNATURE_BYTES]


async def get_paginator(
    request: Request,
    response: Response,
    user: CurrentUser,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> Paginator:
    return Paginator(path=request.url.path, owner_id=user.id, response=response, limit=limit, cursor=cursor)


PaginatorDep = Annotated[Paginator, Depends(get_paginator)]
