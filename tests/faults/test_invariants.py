"""The checker of what has to hold bites: a planted row that is lost, doubled or orphaned is reported."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev import postgres
from tests.factories import a_course, a_user
from tests.faults import invariants
from tests.faults.invariants import Findings, check
from tests.faults.ledger import Ledger

OP, OTHER = "op-0123456789abcdef", "op-fedcba9876543210"
CHAT = "(SELECT id FROM chats LIMIT 1)"
TRACK = "(SELECT id FROM learning_tracks LIMIT 1)"


@pytest.fixture
def ledger(committed: None, tmp_path: Path) -> Iterator[Ledger]:
    """Of a course that is as it should be."""
    a_course(a_user(), messages=0)
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        yield ledger


def plant(server: postgres.Server, *statements: str) -> None:
    """Change rows as nobody could: without foreign keys being looked at."""
    with server.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement.encode())


def a_question(text: str) -> str:
    return (
        "INSERT INTO chat_messages (id, chat_id, sender_type, message_content, message_type, status) "
        f"VALUES (gen_random_uuid(), {CHAT}, 'user', '{text}', 'text', 'complete')"
    )


def a_reply(status: str, *, age: str = "0 s") -> str:
    return (
        "INSERT INTO chat_messages (id, chat_id, sender_type, message_content, message_type, status, "
        f"reply_to, timestamp) SELECT gen_random_uuid(), {CHAT}, 'ai', '', 'text', '{status}', id, "
        f"now() - interval '{age}' FROM chat_messages"
    )


def broken(server: postgres.Server, ledger: Ledger, *, under_fault: bool = False) -> dict[str, list[str]]:
    found: Findings = check(server, ledger, under_fault=under_fault)
    return found.broken


def test_what_is_as_it_should_be_is_not_reported(database: postgres.Server, ledger: Ledger) -> None:
    ledger.sent(OP, "message")
    plant(database, a_question(OP), a_reply("complete"))
    ledger.ended(OP, "acked")
    ledger.tried(OP, 0.0, 200, is_problem=False)
    assert broken(database, ledger) == {}


def test_I1_an_acknowledged_write_that_is_not_stored(database: postgres.Server, ledger: Ledger) -> None:
    ledger.sent(OP, "track")
    ledger.ended(OP, "acked")
    assert broken(database, ledger) == {"I1": [f"track {OP}"]}


@pytest.mark.parametrize(("outcome", "invariant"), [("acked", "I2"), ("unknown", "I3")])
def test_I2_I3_an_effect_that_is_there_twice(
    outcome: str, invariant: str, database: postgres.Server, ledger: Ledger
) -> None:
    ledger.sent(OP, "message")
    if outcome == "acked":
        ledger.ended(OP, "acked")
    plant(database, a_question(OP), a_question(OP), a_reply("complete"))
    assert broken(database, ledger) == {invariant: [f"message {OP}: 2 times"]}


def test_I2_an_effect_of_what_was_refused(database: postgres.Server, ledger: Ledger) -> None:
    ledger.sent(OP, "message")
    ledger.ended(OP, "error")
    plant(database, a_question(OP), a_reply("complete"))
    assert broken(database, ledger) == {"I2": [f"message {OP}: refused, and done"]}


def test_I4_words_of_two_people_in_one_chat(database: postgres.Server, ledger: Ledger) -> None:
    plant(database, a_question("canary-1 a"), a_question("canary-2 b"), a_reply("complete"))
    ledger.seen["foreign frames"] = 1
    assert len(broken(database, ledger)["I4"]) == 2


@pytest.mark.parametrize(
    ("table", "orphans"),
    [("users", 2), ("learning_tracks", 3), ("chat_sessions", 1), ("chats", 1)],
)
def test_I5_rows_without_what_they_belong_to(
    table: str, orphans: int, database: postgres.Server, ledger: Ledger
) -> None:
    plant(database, a_question(""), a_reply("complete"))
    expected = orphans + (table == "chats")
    plant(database, f"DELETE FROM {table}")
    assert len(broken(database, ledger)["I5"]) == expected


def test_I6_I7_a_reply_that_nobody_writes(database: postgres.Server, ledger: Ledger) -> None:
    plant(database, a_question(""), a_reply("pending", age="5 min"))
    assert sorted(broken(database, ledger)) == ["I6", "I7"]


def test_I7_a_question_without_a_reply(database: postgres.Server, ledger: Ledger) -> None:
    plant(database, a_question(""))
    assert list(broken(database, ledger)) == ["I7"]


def test_I8_a_budget_that_stays_reserved(database: postgres.Server, ledger: Ledger) -> None:
    plant(database, "INSERT INTO platform_budgets VALUES (now(), 3, 0)")
    assert broken(database, ledger) == {"I8": ["3 tokens are still reserved"]}


def test_I8_tokens_that_nobody_used(database: postgres.Server, ledger: Ledger) -> None:
    plant(database, "INSERT INTO platform_budgets VALUES (now(), 0, 5)")
    assert broken(database, ledger) == {"I8": ["5 tokens more spent than used"]}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE course_modules SET module_number = 7 WHERE module_number = 3",
        "UPDATE learning_tracks SET status = 'completed'",
        "UPDATE course_modules SET status = 'completed'",
    ],
)
def test_I9_modules_that_do_not_add_up(statement: str, database: postgres.Server, ledger: Ledger) -> None:
    plant(database, statement)
    assert list(broken(database, ledger)) == ["I9"]


def test_I10_rows_of_sockets_that_are_closed(database: postgres.Server, ledger: Ledger) -> None:
    found = check(database, ledger, under_fault=False, connection_rows=2, live_sockets=1)
    assert found.broken == {"I10": ["2 rows for 1 sockets"]}


@pytest.mark.parametrize(
    ("status", "is_problem", "under_fault", "is_reported"),
    [
        (500, True, True, True),
        (503, True, False, True),
        (503, True, True, False),
        (503, False, True, True),
        (404, False, False, True),
        (0, False, False, True),
        (0, False, True, False),
    ],
)
def test_I11_answers_that_the_contract_does_not_know(
    status: int,
    is_problem: bool,
    under_fault: bool,
    is_reported: bool,
    database: postgres.Server,
    ledger: Ledger,
) -> None:
    ledger.sent(OP, "read")
    ledger.tried(OP, 0.0, status, is_problem=is_problem)
    assert ("I11" in broken(database, ledger, under_fault=under_fault)) is is_reported


def test_what_is_told_is_counted(database: postgres.Server, ledger: Ledger) -> None:
    ledger.sent(OP, "track")
    ledger.ended(OP, "acked")
    found = check(database, ledger, under_fault=False, connection_rows=1)
    expected = {"lost": 1, "duplicated": 0, "shown_to_strangers": 0, "orphans": 0}
    assert found.figures() == {**expected, "other_invariants_broken": 1}
    assert invariants.told(found) == found.broken
