"""Which rows of a list are wanted, as repositories understand it."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVarTuple
from uuid import UUID

from sqlalchemy import Select, tuple_

from academy.models import Chat, ChatSession, Track

Rows = TypeVarTuple("Rows")


@dataclass(frozen=True, slots=True)
class Page:
    """Up to `limit` rows beyond the one whose sort key is `after`; `None` starts at the list's head.

    A repository reads one row more than `limit`: its presence says that there is a further page.
    """

    limit: int = 100
    after: tuple[str | int, ...] | None = None


def newest_first(query: Select[*Rows], model: type[Track | ChatSession | Chat], page: Page) -> Select[*Rows]:
    """The query, ordered and cut; `id` settles equal times."""
    if page.after:
        created_at, row_id = page.after
        edge = (datetime.fromisoformat(str(created_at)), UUID(str(row_id)))
        query = query.where(tuple_(model.created_at, model.id) < edge)
    return query.order_by(model.created_at.desc(), model.id.desc()).limit(page.limit + 1)


def newest_first_key(row: Track | ChatSession | Chat) -> tuple[str, str]:
    """The sort key of a row, as a cursor carries it."""
    return row.created_at.isoformat(), str(row.id)
