"""What has to hold after every scenario, whatever broke meanwhile: I1 to I12.

It is looked up as Postgres's superuser, from whom no policy hides a row.
"""

import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from academy.repositories.replies import GRACE, LEASE
from dev import postgres
from tests.faults.ledger import Ledger
from tests.faults.mortal import Watch
from tests.tiers import sized

OP = re.compile(r"op-[0-9a-f]{16}")
CANARY = re.compile(r"canary-[0-9a-f]+")

EFFECTS = {
    "track": "SELECT title FROM learning_tracks",
    "session": "SELECT session_name FROM chat_sessions",
    "chat": "SELECT chat_name FROM chats",
    "message": "SELECT message_content FROM chat_messages WHERE sender_type = 'user'",
    "lesson": "SELECT title FROM lessons",
    "account": "SELECT email FROM users WHERE email IS NOT NULL",
}
"""Where an operation of a kind leaves its id. A kind that is not here leaves nothing."""

ORPHANS = {
    "chats": "chats c LEFT JOIN chat_sessions p ON p.id = c.session_id",
    "messages": "chat_messages c LEFT JOIN chats p ON p.id = c.chat_id",
    "replies": "(SELECT * FROM chat_messages WHERE reply_to IS NOT NULL) c "
    "LEFT JOIN chat_messages p ON p.id = c.reply_to",
    "modules": "course_modules c LEFT JOIN learning_tracks p ON p.id = c.track_id",
    "lessons": "lessons c LEFT JOIN course_modules p ON p.id = c.module_id",
    "tracks": "learning_tracks c LEFT JOIN users p ON p.id = c.user_id",
    "sessions": "chat_sessions c LEFT JOIN users p ON p.id = c.user_id",
}

UNFINISHED = "status IN ('pending', 'streaming')"

OVERDUE = f"""
    SELECT count(*) FROM chat_messages WHERE {UNFINISHED}
    AND coalesce(leased_until, timestamp) < clock_timestamp() - interval '{LEASE.seconds + GRACE.seconds} s'
"""

UNANSWERED = f"""
    SELECT question.id::text FROM chat_messages question
    LEFT JOIN chat_messages reply ON reply.reply_to = question.id
    WHERE question.sender_type = 'user' AND (reply.id IS NULL OR reply.{UNFINISHED})
"""

RESERVED = """
    SELECT coalesce(sum(reserved), 0)::bigint FROM
    (SELECT reserved FROM platform_budgets UNION ALL SELECT reserved FROM user_budgets) AS budgets
"""

UNBOOKED = """
    SELECT (SELECT coalesce(sum(spent), 0) FROM platform_budgets)::bigint
    - (SELECT coalesce(sum(prompt_tokens + completion_tokens), 0) FROM ai_usage WHERE NOT own_key)::bigint
"""

NUMBERING = """
    SELECT t.id::text FROM learning_tracks t JOIN course_modules m ON m.track_id = t.id GROUP BY t.id
    HAVING min(m.module_number) <> 1 OR max(m.module_number) <> count(*)
    OR (t.status = 'completed') <> bool_and(m.status = 'completed')
"""

IDLE_SECONDS = sized(full=1.0, short=5.0)
"""The short tier runs two scenarios at once, where a thread waits longer for its turn."""

CONTRACT = frozenset({200, 201, 204, 400, 401, 403, 404, 405, 409, 413, 422, 424, 429})
UNDER_FAULT = frozenset({502, 503, 504})


@dataclass
class Findings:
    """What each invariant found broken; nothing, if all is well."""

    broken: dict[str, list[str]] = field(default_factory=dict)

    def add(self, invariant: str, *what: object) -> None:
        if what:
            self.broken.setdefault(invariant, []).extend(str(one) for one in what)

    def figures(self) -> dict[str, int]:
        names = {"I1": "lost", "I2": "duplicated", "I4": "shown_to_strangers", "I5": "orphans"}
        counted = {name: len(self.broken.get(invariant, [])) for invariant, name in names.items()}
        others = sum(len(found) for invariant, found in self.broken.items() if invariant not in names)
        return {**counted, "other_invariants_broken": others}


def settle(server: postgres.Server, seconds: float = 130) -> float:
    """Wait until every reply has ended and nothing is reserved; the seconds that took."""
    began = time.monotonic()
    with server.connect() as connection:
        while _count(connection, f"SELECT count(*) FROM chat_messages WHERE {UNFINISHED}") or _count(
            connection, "SELECT count(*) FROM token_reservations"
        ):
            if time.monotonic() - began > seconds:
                break
            time.sleep(0.5)
    return time.monotonic() - began


def check(
    server: postgres.Server,
    ledger: Ledger,
    *,
    under_fault: bool,
    watch: Watch | None = None,
    limit: int | None = None,
    connection_rows: int = 0,
    live_sockets: int = 0,
) -> Findings:
    """I1 to I12, after the clients have ended and `settle` has waited."""
    found = Findings()
    with server.connect() as connection:
        _effects(connection, ledger, found)
        _rows(connection, found)
    found.add("I4", *(["a frame or body"] * ledger.seen["foreign frames"]))
    if connection_rows != live_sockets:
        found.add("I10", f"{connection_rows} rows for {live_sockets} sockets")
    _answers(ledger, found, under_fault=under_fault)
    if watch:
        if watch.idlest > IDLE_SECONDS:
            found.add("I12", f"idle in a transaction for {watch.idlest:.1f} s: {watch.idle_statement}")
        if limit is not None and watch.most > limit:
            found.add("I12", f"{watch.most} connections, of {limit}")
    return found


def _effects(connection: Any, ledger: Ledger, found: Findings) -> None:
    effects = {kind: _stored(connection, query) for kind, query in EFFECTS.items()}
    for op in ledger.operations.values():
        if op.kind not in effects:
            continue
        times = effects[op.kind][op.id]
        if times > 1:
            # I3: of what nobody was told about, too.
            found.add("I2" if op.outcome == "acked" else "I3", f"{op.kind} {op.id}: {times} times")
        elif times == 0 and op.outcome == "acked":
            found.add("I1", f"{op.kind} {op.id}")
        elif times and op.outcome == "error":
            found.add("I2", f"{op.kind} {op.id}: refused, and done")


def _stored(connection: Any, query: str) -> Counter[str]:
    return Counter(op for row in connection.execute(query) for op in OP.findall(row[0]))


def _rows(connection: "psycopg.Connection[Any]", found: Findings) -> None:
    texts = "SELECT chat_id::text, string_agg(message_content, ' ') FROM chat_messages GROUP BY chat_id"
    found.add(
        "I4", *(f"chat {row[0]}" for row in connection.execute(texts) if len(set(CANARY.findall(row[1]))) > 1)
    )
    for noun, joined in ORPHANS.items():
        if orphans := _count(connection, f"SELECT count(*) FROM {joined} WHERE p.id IS NULL"):
            found.add("I5", *[noun] * orphans)
    if overdue := _count(connection, OVERDUE):
        found.add("I6", f"{overdue} replies past their lease")
    found.add("I7", *(row[0] for row in connection.execute(UNANSWERED.encode())))
    if left := _count(connection, RESERVED):
        found.add("I8", f"{left} tokens are still reserved")
    if left := _count(connection, UNBOOKED):
        found.add("I8", f"{left} tokens more spent than used")
    found.add("I9", *(f"track {row[0]}" for row in connection.execute(NUMBERING)))


def _answers(ledger: Ledger, found: Findings, *, under_fault: bool) -> None:
    allowed = CONTRACT | UNDER_FAULT | {0} if under_fault else CONTRACT
    for one in ledger.tries:
        if one.status not in allowed:
            found.add("I11", f"{ledger.operations[one.op].kind}: {one.status}")
        elif one.status >= 400 and not one.is_problem:
            found.add("I11", f"{ledger.operations[one.op].kind}: {one.status} is no problem document")


def _count(connection: Any, query: str) -> int:
    return int(connection.execute(query.encode()).fetchone()[0])


def told(findings: Findings) -> Mapping[str, list[str]]:
    """The first few of each kind, for an assertion's message."""
    return {invariant: what[:5] for invariant, what in findings.broken.items()}
