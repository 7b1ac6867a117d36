"""Tracks and their modules."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session, joinedload

from academy.errors import NotFound
from academy.models import Module, Track
from academy.paging import Page, newest_first


class Tracks:
    def __init__(self, session: Session) -> None:
        self.session = session

    def newest(self, *, owner_id: str, page: Page) -> Sequence[Track]:
        """The owner's tracks with their modules, in one statement; one more than the page holds."""
        query = newest_first(select(Track).where(Track.user_id == owner_id), Track, page)
        return self.session.scalars(query.options(joinedload(Track.modules))).unique().all()

    def get(self, track_id: UUID, *, owner_id: str, lock: bool = False) -> Track:
        """The track with its modules. Raises `NotFound`. `lock` holds other writers off until the commit."""
        query = (
            select(Track)
            .where(Track.id == track_id, Track.user_id == owner_id)
            .options(joinedload(Track.modules))
            .execution_options(populate_existing=True)
        )
        if lock:
            self._lock(track_id, owner_id)
        if track := self.session.scalars(query).unique().one_or_none():
            return track
        raise NotFound("track")

    def add(self, track: Track) -> Track:
        track.modules = []
        self.session.add(track)
        self.session.flush()
        return track

    def delete(self, track_id: UUID, *, owner_id: str) -> None:
        """The track and, by the tables' cascades, all that hangs on it. Raises `NotFound`."""
        statement = delete(Track).where(Track.id == track_id, Track.user_id == owner_id).returning(Track.id)
        if self.session.execute(statement).first() is None:
            raise NotFound("track")

    def _lock(self, track_id: UUID, owner_id: str) -> None:
        query = select(Track.id).where(Track.id == track_id, Track.user_id == owner_id).with_for_update()
        self.session.execute(query)


class Modules:
    def __init__(self, session: Session) -> None:
        self.session = session

    def get(self, module: UUID | int, *, track_id: UUID | None = None, owner_id: str) -> Module:
        """The module of that id, or of that number in the track, if it is the owner's. Raises `NotFound`."""
        query = select(Module).join(Track, Track.id == Module.track_id).where(Track.user_id == owner_id)
        if track_id is not None:
            query = query.where(Track.id == track_id)
        query = query.where(_is(module))
        if found := self.session.scalars(query).one_or_none():
            return found
        raise NotFound("module")


def _is(module: UUID | int) -> ColumnElement[bool]:
    return Module.id == module if isinstance(module, UUID) else Module.module_number == module
