"""Tracks and their modules."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, func, select, update
from sqlalchemy.orm import Session, joinedload

from academy.errors import NotFound
from academy.models import ChatSession, Module, Track
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
            self._hold(Track, Track.id == track_id, Track.user_id == owner_id)
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
        self._hold(Track, Track.id == track_id, Track.user_id == owner_id)
        self._hold(ChatSession, ChatSession.track_id == track_id)
        statement = delete(Track).where(Track.id == track_id, Track.user_id == owner_id).returning(Track.id)
        if self.session.scalar(statement) is None:
            raise NotFound("track")

    def hold_all(self, *, owner_id: str) -> None:
        """Keep others from writing in whatever the owner has, until the commit.

        Everybody locks a track before a session and a session before what is said in it. A cascade would
        not, and two that lock in different orders wait for each other.
        """
        self._hold(Track, Track.user_id == owner_id)
        self._hold(ChatSession, ChatSession.user_id == owner_id)

    def _hold(self, kind: type[Track] | type[ChatSession], *which: ColumnElement[bool]) -> None:
        query = select(kind.id).where(*which).order_by(kind.id)
        self.session.execute(query.with_for_update())


class Modules:
    def __init__(self, session: Session) -> None:
        self.session = session

    def get(self, module: UUID | int, *, track_id: UUID | None = None, owner_id: str) -> Module:
        """The module of that id, or of that number in the track, if it is the owner's. Raises `NotFound`."""
        query = select(Module).join(Track).where(Track.user_id == owner_id)
        if track_id is not None:
            query = query.where(Track.id == track_id)
        query = query.where(is_module(module))
        if found := self.session.scalars(query).one_or_none():
            return found
        raise NotFound("module")

    def begin(self, module_id: UUID, *, summary: str | None = None) -> None:
        """Mark a module as being studied, and keep its first summary. Wants its track locked."""
        begun = case((Module.status == "not_started", "in_progress"), else_=Module.status)
        content = func.coalesce(Module.ai_generated_content, summary)
        statement = update(Module).where(Module.id == module_id)
        self.session.execute(statement.values(status=begun, ai_generated_content=content))

    def replace_unbegun(self, track: Track, following: Sequence[Module]) -> None:
        """Put new modules behind those that somebody has begun, numbered without a gap.

        Wants the track locked. What is begun keeps its id, text and progress.
        """
        self.session.execute(
            delete(Module).where(Module.track_id == track.id, Module.status == "not_started")
        )
        begun = [module for module in track.modules if module.status != "not_started"]
        for number, module in enumerate([*begun, *following], 1):
            module.track_id, module.module_number = track.id, number
            self.session.add(module)
            self.session.flush()


def is_module(module: UUID | int) -> ColumnElement[bool]:
    """Whether a row is the module of that id, or of that number."""
    return Module.id == module if isinstance(module, UUID) else Module.module_number == module
