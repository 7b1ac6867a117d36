"""Promises at the size that docs/security.md gives, with their counts printed: run by `make prove`."""

import itertools
import json
import random
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import quantiles
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from academy import auth, config, connections, db, migrate
from academy.http.edge import MAX_BODY_BYTES
from academy.models import Track, User
from ai.prompts import PLANNING
from dev import postgres
from dev.sam import TEMPLATE, Template
from tests import roles
from tests.client import Client
from tests.conftest import Api, client_of
from tests.deliveries import deliver_all
from tests.factories import PASSWORD, a_course, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.functions.test_ai_flows import Learner
from tests.functions.test_ai_trust import HOSTILE
from tests.functions.test_input import TEXTS
from tests.functions.test_ownership import FILLERS, schema_of
from tests.functions.test_pages import link_of
from tests.gateway import serving
from tests.limits import forget_counts
from tests.races import at_once
from tests.sockets import Socket, Switchboard, spoken
from tests.tiers import only_in_full, report

SEED = 20261126
pytestmark = [pytest.mark.prove, only_in_full]
ALL_PLANES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=200)
THOUSAND = settings(
    max_examples=1_000,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.usefixtures("environment")
def test_A1_a_hundred_equal_passwords_have_a_hundred_hashes() -> None:
    hashes = {auth.hash_password(PASSWORD) for _ in range(100)}
    report("A1", equal_passwords=100, hashes=len(hashes))
    assert len(hashes) == 100


def test_A2_the_platform_answers_while_two_hundred_log_in(
    committed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THROTTLE_PER_ADDRESS", "off")
    config.settings.cache_clear()
    hashed = auth.hash_password(PASSWORD)
    people = [f"person{number}@example.com" for number in range(200)]
    for email in people:
        a_user(email=email, password_hash=hashed)
    with serving(Template(TEMPLATE)) as gateway, ThreadPoolExecutor(1) as monitor:
        over = threading.Event()

        def log_in(email: str) -> int:
            body = json.dumps({"email": email, "password": PASSWORD}).encode()
            return gateway("POST", "/api/auth/login", body, content_type="application/json").status

        def watch() -> list[float]:
            waited = []
            while not over.wait(0.05):
                started = time.perf_counter()
                assert gateway("GET", "/api/health").status == 200
                waited.append(time.perf_counter() - started)
            return waited

        watching = monitor.submit(watch)
        started = time.perf_counter()
        statuses = at_once(log_in, people)
        seconds = time.perf_counter() - started
        over.set()
        waited = watching.result()
    config.settings.cache_clear()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    p95 = quantiles(waited, n=20)[-1]
    report(
        "A2",
        log_ins_at_once=200,
        seconds=f"{seconds:.1f}",
        memory_at_most=f"{peak} MiB",
        health_asked=len(waited),
        health_p95=f"{p95 * 1000:.0f} ms",
        health_at_most=f"{max(waited) * 1000:.0f} ms",
    )
    assert set(statuses) == {200}
    assert p95 < 0.5


def test_C1_a_thousand_bodies_that_are_too_large_leave_memory_as_it_was(api: Api, user: User) -> None:
    body = b'{"title": "' + b"x" * MAX_BODY_BYTES + b'"}'
    client = api(user)

    def refused(times: int) -> int:
        assert {client.post("/api/tracks", body).status for _ in range(times)} == {413}
        return resident()

    before, after = refused(50), refused(1_000)
    report("C1", bodies_over_1_MiB=1_000, memory_before=f"{before} MiB", after=f"{after} MiB")
    assert after - before < 20


def resident() -> int:
    """MiB of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a file of no disk
        return int(file.read().split()[1]) * resource.getpagesize() // 2**20


@seed(SEED)
@THOUSAND
@given(text=ALL_PLANES)
def test_C3_a_thousand_texts_of_all_planes_come_back_as_they_were(text: str, api: Api, user: User) -> None:
    caller = api(user)
    track = caller.post("/api/tracks", {"title": "x", "description": text}).body
    assert caller.get(f"/api/tracks/{track['id']}").body["description"] == text


PAYLOADS = [
    before + what + after
    for before, what, after in itertools.product(
        ("", "'", '"', "')", '")', "'))", "%'", "\\'", "1", "1)"),
        (" OR 1=1", " AND SLEEP(5)", "; SELECT pg_sleep(5)", " UNION ALL SELECT NULL,NULL,version()"),
        ("", "--", " -- -", "#", "/*"),
    )
]


@contextmanager
def watched_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A Postgres that keeps the shapes of all statements, as the platform's own while the block lasts."""
    factories = db.session_factory(), roles.looks
    usual = [factory.kw.get("bind") for factory in factories]
    with pytest.MonkeyPatch.context() as changed:
        changed.setitem(postgres.SETTINGS, "shared_preload_libraries", "pg_stat_statements")
        with postgres.running(tmp_path_factory.mktemp("watched"), durable=False) as server:
            with server.connect() as connection:
                connection.execute("CREATE EXTENSION pg_stat_statements")
            migrate.upgrade(server.owner_url, app_role=postgres.APP, sweeper_role=postgres.SWEEPER)
            watched = [db.make_engine(SecretStr(url)) for url in (server.url, server.superuser_url)]
            for factory, engine in zip(factories, watched, strict=True):
                factory.configure(bind=engine)
            try:
                yield server
            finally:
                for factory, bind, engine in zip(factories, usual, watched, strict=True):
                    factory.configure(bind=bind)
                    engine.dispose()


def shapes(server: postgres.Server) -> set[str]:
    """The statements that the application has sent, without their values."""
    query = "SELECT query FROM pg_stat_statements WHERE userid = %s::regrole"
    with server.connect() as connection:
        return {str(row[0]) for row in connection.execute(query, [postgres.APP])}


def test_C5_two_hundred_injections_into_every_text_are_no_new_statement(
    environment: None, model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert len(PAYLOADS) == 200
    model.reset()
    requests = refused = 0
    differ: list[tuple[str, str, str]] = []
    with watched_database(tmp_path_factory) as server, server.connect() as counts:
        owner = a_user(password_hash=auth.hash_password(PASSWORD))
        course = a_course(owner, key=FILLERS["session_id"])
        client = client_of(owner)

        def statuses(method: str, path: str, name: str, text: str) -> int:
            known: dict[str, Any] = {**FILLERS, **course.ids, "session_id": FILLERS["session_id"]}
            known |= {"email": f"{uuid4()}@example.com", "password": PASSWORD, "current_password": PASSWORD}
            known |= {"new_password": PASSWORD}
            needed = {*schema_of(method, path).get("required", ()), name}
            body = {one: known.get(one, "x") for one in needed} | {name: text}
            counts.execute("DELETE FROM throttles")
            return client.request(method, path.format(**known), body).status

        def ask_all(texts: list[str]) -> dict[tuple[str, str, str], list[int]]:
            nonlocal requests
            found = {}
            for number, (method, path, name, longest) in enumerate(TEXTS):
                # Of its own at each place, or what may be logged at one would be taken for a leak at another.
                own = [f"{text} {number}"[:longest] for text in texts]
                found[method, path, name] = [statuses(method, path, name, text) for text in own]
                requests += len(texts)
            return found

        # What is said twice takes other ways than what is said once: both are benign.
        benign = ask_all(["a" * len(text) for text in PAYLOADS[:5]] * 2)
        known = shapes(server)
        hostile = ask_all(PAYLOADS)
        new = shapes(server) - known
        for place, seen in hostile.items():
            # What is refused by its shape reaches no statement at all.
            if not set(seen) <= {*benign[place], 422}:
                differ.append(place)
            refused += not any(status < 300 for status in benign[place])
    report(
        "C5",
        payloads=len(PAYLOADS),
        texts=f"{len(TEXTS)}, {len(TEXTS) - refused} of them accepted where they are benign",
        requests=requests,
        known_statements=len(known),
        new_statements=len(new),
        other_statuses=differ,
    )
    assert (new, differ) == (set(), [])
    assert refused < len(TEXTS) / 2


def test_C6_a_walk_over_a_thousand_rows_while_a_hundred_come_and_a_hundred_go(
    api: Api, user: User, session: Session
) -> None:
    chance = random.Random(SEED)
    session.execute(insert(Track), [{"user_id": user.id, "title": f"{n}"} for n in range(1_000)])
    session.commit()
    client = api(user)
    stays = [track["id"] for page in walked(client) for track in page]
    assert len(stays) == 1_000
    goes = chance.sample(stays, 100)
    seen: list[str] = []
    deleted: set[str] = set()
    for page in walked(client):
        seen += [track["id"] for track in page]
        for _ in range(3):
            if goes:
                client.post("/api/tracks", {"title": "new"})
                deleted.add(gone := goes.pop())
                assert client.delete(f"/api/tracks/{gone}").status == 200
    untouched = [one for one in stays if one not in deleted]
    report(
        "C6",
        seed=SEED,
        rows=1_000,
        came=100,
        went=len(deleted),
        doubles=len(seen) - len(set(seen)),
        missing=f"{len(set(untouched) - set(seen))} of {len(untouched)}",
    )
    assert len(deleted) == 100
    assert len(seen) == len(set(seen))
    assert [one for one in seen if one not in deleted] == untouched


def walked(client: Client) -> Iterator[list[Any]]:
    address: str | None = "/api/tracks?limit=20"
    while address:
        reply = client.get(address)
        yield reply.body
        address = link_of(reply)


@seed(SEED)
@THOUSAND
@given(words=HOSTILE, wish=HOSTILE, note=HOSTILE)
def test_E1_a_thousand_hostile_contexts_leave_the_instructions_as_they_are(
    words: str, wish: str, note: str, transaction: Connection, model: ScriptedModel
) -> None:
    model.reset()
    learner = Learner(client_of(a_user()))
    learner.client.put(f"/api/tracks/{learner.here['track_id']}", {"user_expectations": wish})
    assert learner.say(words, track_context={"note": note}).status == 200
    first, *others = model.requests[-1].messages
    assert (first["role"], first["content"]) == ("system", PLANNING)
    assert {message["role"] for message in others} <= {"user", "assistant"}
    assert others[-1] == {"role": "user", "content": words}


@pytest.mark.usefixtures("quiet")
def test_F4_fifty_users_on_one_session_name_hear_their_own_and_nothing_else(
    committed: None, switchboard: Switchboard
) -> None:
    sockets = [Socket(switchboard, a_login_of(a_user())).opened() for _ in range(50)]
    canaries = {socket.connection.id: f"canary-{number:02}-" for number, socket in enumerate(sockets)}
    for number in range(20):
        for socket in sockets:
            socket.say(f"{canaries[socket.connection.id]}{number}")
        deliver_all()
        forget_counts()
    foreign = own = 0
    for socket in sockets:
        mine = canaries[socket.connection.id]
        ends = socket.of_type("ai_response")
        own += sum(mine in frame["message"] for frame in ends)
        received = json.dumps(socket.frames)
        foreign += sum(other in received for other in canaries.values() if other != mine)
    report("F4", users_on_one_session_name=50, replies=f"{own} of 1,000", foreign=foreign)
    assert (own, foreign) == (1_000, 0)


@pytest.mark.usefixtures("quiet")
def test_F6_a_hundred_of_two_hundred_sockets_vanish_and_the_rest_hear_everything(
    committed: None, switchboard: Switchboard
) -> None:
    chance = random.Random(SEED)
    crowd = [[Socket(switchboard, token).opened() for _ in range(10)] for token in tokens(20)]
    gone = {socket.connection.id for socket in chance.sample(list(itertools.chain(*crowd)), 100)}
    switchboard.closed |= gone
    whole = 0
    for sockets in crowd:
        alive = [socket for socket in sockets if socket.connection.id not in gone]
        (alive or sockets)[0].say()
        deliver_all()
        whole += sum(
            spoken(socket.of_type("ai_delta")) == socket.last("ai_response")["message"] for socket in alive
        )
    stale = [connection_id for connection_id in gone if connections.find(connection_id)]
    report("F6", seed=SEED, sockets=200, gone=100, served_whole=f"{whole} of 100", dead_rows=len(stale))
    assert (whole, stale) == (100, [])


def tokens(number: int) -> list[str]:
    return [a_login_of(a_user()) for _ in range(number)]
