"""Whoever writes or deletes locks from the track downwards: two that lock in different orders wait for each
other. The races show that nobody does; here is who waits where, one lock at a time.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from uuid import UUID

import pytest
from psycopg import Connection, sql
from psycopg.errors import LockNotAvailable

from academy.models import Base, Chat, ChatSession, Track, User
from dev.postgres import Server
from tests.client import Client, Reply
from tests.factories import Course, a_course, a_guest, a_login_of, a_user
from tests.races import at_once, waiting_for_locks
from tests.replies import eventually
from tests.roles import looking


class Bystander:
    """Holds one row, and tries which others are held meanwhile."""

    def __init__(self, holding: Connection, trying: Connection) -> None:
        self._holding = holding
        self._trying = trying

    @contextmanager
    def holds(self, row: Base, call: partial[Reply]) -> Iterator[None]:
        """Inside the block the call waits for that row; after it, it has succeeded."""
        with ThreadPoolExecutor(1) as pool:
            with self._holding.transaction():
                self._holding.execute(_lock(row))
                waiting = pool.submit(at_once, lambda _: call(), [None])
                eventually(lambda: waiting_for_locks(self._trying))
                yield
            [reply] = waiting.result()
            assert reply.status in (200, 204)

    def sees_locked(self, row: Base) -> bool:
        try:
            self._trying.execute(_lock(row))
        except LockNotAvailable:
            return True
        return False


def _lock(row: Base) -> sql.Composed:
    found: UUID | str = row.id  # type: ignore[attr-defined]  # every table here has one
    table = sql.Identifier(row.__tablename__)
    return sql.SQL("SELECT FROM {} WHERE id = {} FOR UPDATE NOWAIT").format(table, sql.Literal(found))


@pytest.fixture
def bystander(committed: None, database: Server) -> Iterator[Bystander]:
    with database.connect() as holding, database.connect() as trying:
        yield Bystander(holding, trying)


@pytest.fixture
def owner(committed: None) -> User:
    return a_guest()


@pytest.fixture
def course(owner: User) -> Course:
    return a_course(owner)


@pytest.fixture
def lecture(course: Course) -> Chat:
    """A chat that the database deletes with its session and with its module."""
    chat = Chat(session_id=course.chat_session.id, module_id=course.module.id, chat_type="lecture_agent")
    with looking() as session:
        session.add(chat)
    return chat


@pytest.fixture
def strangers(committed: None) -> Course:
    return a_course(a_user())


@pytest.fixture(params=["course_modules", "chat_sessions"])
def followed_last(request: pytest.FixtureRequest, database: Server) -> None:
    """A track's rows in this table are deleted last: cascades are followed in the order they were made in."""
    table: str = request.param
    names = {"table": sql.Identifier(table), "key": sql.Identifier(f"{table}_track_id_fkey")}
    again = """
        ALTER TABLE {table} DROP CONSTRAINT {key}, ADD CONSTRAINT {key}
        FOREIGN KEY (track_id) REFERENCES learning_tracks ON DELETE CASCADE
    """
    with database.connect() as connection:
        connection.execute(sql.SQL(again).format(**names))


def deleting_the_track(course: Course) -> partial[Reply]:
    return partial(Client(token=a_login_of(course.owner)).delete, f"/api/tracks/{course.track.id}")


def beginning_a_module(course: Course) -> partial[Reply]:
    body = {**course.ids, "session_id": course.chat_session.key}
    del body["chat_id"]
    return partial(Client(token=a_login_of(course.owner)).post, "/api/ai/module-learning-start", body)


def leaving(owner: User) -> partial[Reply]:
    return partial(Client(token=a_login_of(owner)).delete, "/api/auth/me")


def test_reading_waits_for_nobody(bystander: Bystander, course: Course) -> None:
    reading = Client(token=a_login_of(course.owner))
    with bystander.holds(course.track, deleting_the_track(course)):
        assert reading.get(f"/api/tracks/{course.track.id}").status == 200


@pytest.mark.usefixtures("quiet")
def test_writing_begins_with_the_track(bystander: Bystander, course: Course, strangers: Course) -> None:
    with bystander.holds(course.chat_session, beginning_a_module(course)):
        assert bystander.sees_locked(course.track)
        assert not bystander.sees_locked(course.module)
        assert not bystander.sees_locked(strangers.track)


@pytest.mark.usefixtures("followed_last")
class TestDeletingATrack:
    def test_begins_with_the_track(self, bystander: Bystander, course: Course) -> None:
        with bystander.holds(course.track, deleting_the_track(course)):
            assert not bystander.sees_locked(course.chat_session)

    def test_goes_on_with_its_sessions(
        self, bystander: Bystander, course: Course, lecture: Chat, strangers: Course
    ) -> None:
        with bystander.holds(course.chat_session, deleting_the_track(course)):
            assert bystander.sees_locked(course.track)
            assert not bystander.sees_locked(course.module)
            assert not bystander.sees_locked(lecture)
            assert not bystander.sees_locked(strangers.track)
            assert not bystander.sees_locked(strangers.chat_session)

    def test_leaves_the_owners_other_tracks_alone(
        self, bystander: Bystander, owner: User, course: Course
    ) -> None:
        another = a_course(owner)
        with bystander.holds(course.chat_session, deleting_the_track(course)):
            assert not bystander.sees_locked(another.track)
            assert not bystander.sees_locked(another.chat_session)

    def test_does_not_wait_for_somebody_elses(self, bystander: Bystander, course: Course) -> None:
        """How long that takes would tell that there is such a track."""
        stranger = Client(token=a_login_of(a_user()))
        with bystander.holds(course.track, deleting_the_track(course)):
            assert stranger.delete(f"/api/tracks/{course.track.id}").status == 404


class TestLeaving:
    def test_begins_with_the_tracks(self, bystander: Bystander, owner: User, course: Course) -> None:
        with bystander.holds(course.track, leaving(owner)):
            assert not bystander.sees_locked(course.chat_session)
            assert not bystander.sees_locked(owner)

    def test_goes_on_with_the_sessions(
        self, bystander: Bystander, owner: User, course: Course, strangers: Course
    ) -> None:
        with bystander.holds(course.chat_session, leaving(owner)):
            assert bystander.sees_locked(course.track)
            assert not bystander.sees_locked(course.chat)
            assert not bystander.sees_locked(owner)
            assert not bystander.sees_locked(strangers.track)
            assert not bystander.sees_locked(strangers.chat_session)

    @pytest.mark.parametrize("kind", [Track, ChatSession])
    def test_takes_them_in_the_order_of_their_ids(
        self, bystander: Bystander, owner: User, kind: type[Track] | type[ChatSession]
    ) -> None:
        """Neither the oldest nor the newest first: the first by its id is the middle one here."""
        second, first, third = (_made(kind, owner, UUID(int=number)) for number in (2, 1, 3))
        with bystander.holds(first, leaving(owner)):
            assert not bystander.sees_locked(second)
            assert not bystander.sees_locked(third)


def _made(kind: type[Track] | type[ChatSession], owner: User, known_as: UUID) -> Track | ChatSession:
    rest = {"title": "Танго"} if kind is Track else {"key": str(known_as)}
    row = kind(id=known_as, user_id=owner.id, **rest)
    with looking() as session:
        session.add(row)
    return row
