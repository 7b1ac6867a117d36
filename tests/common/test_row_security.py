"""The second wall: what a transaction sees of each table is its user's, whatever it asks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from academy import auth, migrate
from academy.db import USER, engine, session_factory, session_scope
from academy.models import (
    AIConfiguration,
    AIUsage,
    Base,
    IdempotencyKey,
    Lesson,
    Login,
    Message,
    RefreshToken,
    Track,
    User,
)
from dev import postgres
from tests.factories import Course, a_course, a_guest, a_login_of, a_user
from tests.roles import looking

COUNTS = "numbers without a word, which the sweeper sets right for everybody at once"
EXCEPTIONS = {
    "throttles": "counts what keyed hashes have tried, by which nobody is found",
    "platform_budgets": "everybody's",
    "user_budgets": COUNTS,
    "token_reservations": COUNTS,
}
"""Tables whose rows are nobody's, and why that is so."""

ACCOUNTS = {"users", "logins", "refresh_tokens"}
"""Where who is asking is found out: open until that is known."""

POLICIES = """
    SELECT relname, relrowsecurity, relforcerowsecurity, polname, polcmd, polpermissive,
           polroles = '{0}' AS for_everybody, polqual IS NOT NULL AND polwithcheck IS NOT NULL AS both_ways
      FROM pg_class LEFT JOIN pg_policy ON polrelid = pg_class.oid
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
"""


def everything_of(owner: User) -> Course:
    """A row in every table that holds what somebody has made."""
    course = a_course(owner)
    a_login_of(owner)
    with looking() as session:
        login = session.scalars(select(Login).where(Login.user_id == owner.id)).one()
        token = RefreshToken(token_hash=uuid4().bytes, login_id=login.id, expires_at=login.expires_at)
        lesson = Lesson(module_id=course.module.id, title="Шаг", content_type="theory", content="Раз")
        usage = AIUsage(
            user_id=owner.id,
            purpose="chat",
            model="m",
            own_key=False,
            calls=1,
            prompt_tokens=1,
            completion_tokens=1,
            duration_ms=1,
            outcome="ok",
        )
        key = IdempotencyKey(scope=owner.id, key="k", fingerprint=b"f")
        session.add_all([token, lesson, usage, key, AIConfiguration(user_id=owner.id)])
    return course


@pytest.fixture
def people(committed: None) -> list[Course]:
    return [everything_of(a_user()), everything_of(a_guest())]


@pytest.fixture
def app(database: postgres.Server) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    """A connection of the application's role."""
    with database.connect(postgres.APP) as connection:
        yield connection


def visible(app: "psycopg.Connection[tuple[Any, ...]]", user_id: str | None) -> dict[str, int]:
    """How many rows of each table a transaction sees that has said so whose it is."""
    protected = [table.name for table in Base.metadata.sorted_tables if table.name not in EXCEPTIONS]
    with app.transaction():
        if user_id is not None:
            app.execute("SELECT set_config(%s, %s, true)", [USER, user_id])
        return {name: count(app, name) for name in protected}


def count(connection: "psycopg.Connection[tuple[Any, ...]]", table: str) -> int:
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_B1_every_table_has_its_policy_or_a_reason_to_have_none(transaction: Connection) -> None:
    found = transaction.execute(text(POLICIES)).mappings().all()
    assert {row["relname"] for row in found} == set(Base.metadata.tables), "an unknown table"
    own = [row for row in found if row["polname"] == "own"]
    assert {row["relname"] for row in own} | EXCEPTIONS.keys() == set(Base.metadata.tables)
    for row in own:
        about = (row["relrowsecurity"], row["relforcerowsecurity"], row["polcmd"], row["both_ways"])
        assert about == (True, True, "*", True), row["relname"]
    # Whatever else is allowed, is allowed to a role that no request has, and for looking alone.
    others = [row for row in found if row["polname"] not in ("own", None)]
    assert {row["relname"] for row in others} == migrate.SWEPT.keys()
    assert {(row["polname"], row["polcmd"], row["for_everybody"]) for row in others} == {
        ("swept", "r", False)
    }


@pytest.mark.parametrize("nobody", [None, "", "somebody-unknown"])
def test_B1_who_says_not_whose_it_is_sees_nothing(
    nobody: str | None, people: list[Course], app: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    seen = visible(app, nobody)
    assert {name: rows for name, rows in seen.items() if rows and name not in ACCOUNTS} == {}
    assert {name for name in ACCOUNTS if seen[name]} == (set() if nobody else ACCOUNTS)


def test_B1_each_sees_their_own_and_nobody_elses(
    people: list[Course], app: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    for course in people:
        seen = visible(app, course.owner.id)
        assert min(seen.values()) >= 1
        own = {"users": 1, "learning_tracks": 1, "course_modules": 3, "chats": 1, "chat_messages": 2}
        assert seen == dict.fromkeys(seen, 1) | own


def test_B1_the_schemas_owner_is_no_exception_until_it_lifts_the_policies(
    people: list[Course], database: postgres.Server
) -> None:
    with database.connect(postgres.OWNER) as owner:
        assert count(owner, "learning_tracks") == 0
        with owner.transaction(force_rollback=True):
            owner.execute("ALTER TABLE learning_tracks NO FORCE ROW LEVEL SECURITY")
            assert count(owner, "learning_tracks") == len(people)
        assert count(owner, "learning_tracks") == 0


def test_whose_it_is_ends_with_the_transaction(
    people: list[Course], app: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    assert visible(app, people[0].owner.id)["learning_tracks"] == 1
    assert visible(app, None)["learning_tracks"] == 0


def test_who_is_asking_is_whose_it_is_from_the_next_statement_to_the_sessions_end(
    people: list[Course],
) -> None:
    claims = auth.read_token(a_login_of(people[0].owner))
    with session_factory()() as session:
        auth.user_of(session, claims)
        assert [track.user_id for track in session.scalars(select(Track))] == [claims.user_id]
        session.commit()
        assert [track.user_id for track in session.scalars(select(Track))] == [claims.user_id]


def test_naming_the_user_takes_no_round_trip(people: list[Course], tmp_path: Path) -> None:
    def round_trips(user_id: str | None) -> int:
        trace = tmp_path / str(user_id)
        with engine().connect() as connection, trace.open("wb") as file:
            driver: Any = connection.connection.driver_connection
            driver.pgconn.trace(file.fileno())
            with session_factory()(bind=connection, info={USER: user_id}) as session:
                session.execute(select(Track))
                session.commit()
            driver.pgconn.untrace()
        return trace.read_text().count("ReadyForQuery")

    # BEGIN, the query, COMMIT.
    assert round_trips(None) == round_trips(people[0].owner.id) == 3


INTRUSIONS = (
    "INSERT INTO chat_messages (id, chat_id, sender_type, message_content, message_type, status) "
    "VALUES (gen_random_uuid(), :chat, 'user', 'Чужое', 'text', 'complete')",
    "INSERT INTO lessons (id, module_id, title, content_type, content) "
    "VALUES (gen_random_uuid(), :module, 'Чужой', 'theory', 'Раз')",
    "UPDATE learning_tracks SET user_id = :them",
)


@pytest.mark.parametrize("intrusion", INTRUSIONS)
def test_B1_nothing_can_be_written_into_what_is_somebody_elses(intrusion: str, people: list[Course]) -> None:
    mine, theirs = people
    values = {"chat": theirs.chat.id, "module": theirs.module.id, "them": theirs.owner.id}
    with session_scope(mine.owner.id) as session, pytest.raises(IntegrityError):
        session.execute(text(intrusion), values)


def test_B1_a_change_without_a_clause_changes_ones_own(people: list[Course]) -> None:
    mine, theirs = people
    with session_scope(mine.owner.id) as session:
        session.execute(text("UPDATE learning_tracks SET title = 'Мой'"))
        session.execute(text("DELETE FROM chat_messages"))
        session.execute(text("UPDATE users SET first_name = 'Я'"))
    with looking() as session:
        assert session.get_one(Track, theirs.track.id).title == "Танго"
        assert {row.chat_id for row in session.scalars(select(Message))} == {theirs.chat.id}
        assert session.get_one(User, theirs.owner.id).first_name != "Я"


def test_what_hangs_on_an_account_goes_with_it(people: list[Course]) -> None:
    mine, theirs = people
    with session_scope(mine.owner.id) as session:
        session.execute(text("DELETE FROM users"))
    with looking() as session:
        assert [user.id for user in session.scalars(select(User))] == [theirs.owner.id]
        assert [track.user_id for track in session.scalars(select(Track))] == [theirs.owner.id]


def test_the_sweeper_finds_whose_a_reply_is_and_no_word_of_it(
    people: list[Course], database: postgres.Server
) -> None:
    with database.connect(postgres.SWEEPER) as sweeper:
        found = sweeper.execute(
            "SELECT user_id, count(m.id) FROM chat_messages m JOIN chats c ON c.id = m.chat_id "
            "JOIN chat_sessions s ON s.id = c.session_id GROUP BY 1"
        ).fetchall()
        assert sorted(found) == sorted((course.owner.id, 2) for course in people)
        for forbidden in (
            "SELECT message_content FROM chat_messages",
            "SELECT id FROM users",
            "SELECT title FROM learning_tracks",
            "UPDATE chats SET lane = 1",
            "DELETE FROM chat_messages",
            f"SET ROLE {postgres.APP}",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                sweeper.execute(forbidden.encode())


def test_the_application_cannot_become_the_sweeper(app: "psycopg.Connection[tuple[Any, ...]]") -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        app.execute("SELECT set_config('role', %s, true)", [postgres.SWEEPER])


def test_a_connection_lost_before_the_user_is_named_is_an_outage(
    people: list[Course], database: postgres.Server
) -> None:
    with engine().connect() as connection:
        driver: Any = connection.connection.driver_connection
        with database.connect() as superuser:
            superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [driver.info.backend_pid])
        session = session_factory()(bind=connection, info={USER: people[0].owner.id})
        with pytest.raises(OperationalError), session:
            session.execute(select(Track))
    # The pool has let go of it.
    with session_scope(people[0].owner.id) as session:
        assert session.scalars(select(Track)).all()
