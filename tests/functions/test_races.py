"""Fifty at one moment, twenty times over: one wins, the rest hear so, and nobody hears of a deadlock."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from academy import config
from academy.models import (
    AIConfiguration,
    Base,
    Chat,
    ChatSession,
    Message,
    Module,
    RefreshToken,
    Track,
    User,
)
from academy.repositories.replies import UNFINISHED
from academy.throttle import Limit
from tests.client import Client, Reply
from tests.conftest import client_of
from tests.deliveries import deliver, waiting
from tests.factories import PASSWORD, Course, a_course, a_guest, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.functions.test_ai_flows import KEY, Learner
from tests.limits import forget_counts
from tests.races import at_once
from tests.roles import looking
from tests.sockets import Socket, Switchboard
from tests.tiers import report, sized

PARALLEL, ROUNDS = 50, sized(full=20, short=2)
STREAMS = 100
SEED = 20261126

pytestmark = [pytest.mark.prove, pytest.mark.usefixtures("committed", "quiet", "patience")]


@dataclass
class Call:
    """A request that one of many makes, after a moment's pause."""

    caller: Client
    method: str
    path: str
    body: Any = None
    pause: float = 0.0

    def __call__(self) -> Reply:
        time.sleep(self.pause)
        return self.caller.request(self.method, self.path, self.body)


def together(calls: Sequence[Call]) -> list[Reply]:
    return at_once(Call.__call__, calls)


def race(name: str, one_round: Callable[[random.Random], list[Reply]]) -> None:
    """Runs the rounds, which check who won, and holds all answers to being no error of ours."""
    began, answers = time.monotonic(), Counter[str]()
    chance = random.Random(SEED)
    for _ in range(ROUNDS):
        forget_counts()  # or an address would have registered too often by the eleventh round
        for reply in one_round(chance):
            answers[f"{reply.status} {reply.code}" if reply.status >= 400 else str(reply.status)] += 1
    report(
        f"F17 {name}",
        seed=SEED,
        rounds=f"{ROUNDS} of {PARALLEL}",
        seconds=round(time.monotonic() - began),
        answers=dict(answers.most_common()),
    )
    assert [answer for answer in answers if answer.startswith("5")] == []


def count(table: type[Base], *which: Any) -> int:
    with looking() as session:
        return session.scalar(select(func.count()).select_from(table).where(*which)) or 0


def orphans() -> dict[str, int]:
    """Rows whose parent is gone, by table: looked for, not taken from the foreign keys' word."""
    found: Counter[str] = Counter()
    with looking() as session:
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                for key in column.foreign_keys:
                    parent = key.column.table.alias()
                    is_there = select(parent).where(parent.c[key.column.name] == column).exists()
                    query = select(func.count()).select_from(table).where(column.is_not(None), ~is_there)
                    found[table.name] += session.scalar(query) or 0
    return +found


def unfinished() -> int:
    return count(Message, Message.status.in_(UNFINISHED))


def test_F17_G2_finalize_against_finalize(switchboard: Switchboard) -> None:
    def one_round(_: random.Random) -> list[Reply]:
        user = a_user()
        tab = Socket(switchboard, a_login_of(user), session_id=KEY).opened()
        learner = Learner(client_of(user))
        learner.say()
        replies = at_once(lambda _: learner.finalize(), range(PARALLEL))
        assert {(reply.status, reply.raw) for reply in replies} == {(200, replies[0].raw)}
        modules = learner.track()["modules"]
        assert [module["module_number"] for module in modules] == list(range(1, len(modules) + 1))
        assert modules == replies[0].body["modules"]
        assert len(tab.of_type("finalization_complete")) == 1
        return replies

    race("finalize/finalize", one_round)


def test_F17_G3_complete_against_complete() -> None:
    def one_round(chance: random.Random) -> list[Reply]:
        owner = a_user()
        course = a_course(owner, modules=7)
        with looking() as session:
            session.execute(update(Module).values(status="in_progress"))
        number = chance.randint(1, 7)
        chosen = [*range(1, number + 1), *(chance.randint(1, number) for _ in range(PARALLEL - number))]
        chance.shuffle(chosen)
        caller = client_of(owner)
        here = {"track_id": course.ids["track_id"], "session_id": course.chat_session.key}
        replies = together(
            [
                Call(caller, "POST", "/api/ai/module-complete", {**here, "module_id": str(one)})
                for one in chosen
            ]
        )
        track = caller.get(f"/api/tracks/{here['track_id']}").body
        assert {reply.status for reply in replies} == {200}
        assert track["progress"] == number * 100 // 7 == max(reply.body["progress"] for reply in replies)
        assert track["status"] == ("completed" if number == 7 else "active")
        return replies

    race("complete/complete", one_round)


def writes_of(course: Course, chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything that writes below a track, in sessions that exist and in new ones, without an end."""
    ids = course.ids
    keys = (course.chat_session.key, *(uuid4().hex for _ in range(5)))
    while True:
        here = {"session_id": chance.choice(keys), "track_id": ids["track_id"]}
        module = {**here, "module_id": ids["module_id"]}
        asked = {"user_expectations": "Хочу", "skill_area": "танцы"}
        yield from (
            ("chat-response", {"session_id": here["session_id"], "message": uuid4().hex}),
            ("module-chat", {**module, "message": uuid4().hex}),
            ("module-learning-start", module),
            ("module-complete", module),
            ("finalize-course-plan", {**here, "skill_area": "танцы"}),
            ("generate-plan", {**here, "user_expectations": "Хочу"}),
            ("welcome-message", {**here, **asked, "difficulty_level": "beginner", "duration_hours": 9}),
            (
                "generate-lesson",
                {
                    "lesson_title": "У",
                    "module_context": "Ш",
                    "content_type": "quiz",
                    "module_id": ids["module_id"],
                },
            ),
        )


def writers(owner: User, course: Course, number: int, chance: random.Random) -> list[Call]:
    caller, writes = client_of(owner), writes_of(course, chance)
    return [
        Call(caller, "POST", f"/api/ai/{route}", body, pause=chance.uniform(0, 0.1))
        for (route, body), _ in zip(writes, range(number), strict=False)
    ]


def test_F17_G4_deleting_a_track_against_all_that_writes_in_it(model: ScriptedModel) -> None:
    def one_round(chance: random.Random) -> list[Reply]:
        owner = a_user()
        course = a_course(owner)
        calls = writers(owner, course, PARALLEL - 1, chance)
        path = f"/api/tracks/{course.track.id}"
        deletion = Call(client_of(owner), "DELETE", path, pause=chance.uniform(0, 0.5))
        replies = together([*calls, deletion])
        assert replies[-1].status == 200
        assert (orphans(), unfinished(), count(Track)) == ({}, 0, 0)
        return replies

    race("delete/stream", one_round)


def test_F17_leaving_against_all_that_is_written_meanwhile(model: ScriptedModel) -> None:
    def one_round(chance: random.Random) -> list[Reply]:
        guest = a_guest()
        course = a_course(guest)
        calls = writers(guest, course, PARALLEL - 1, chance)
        farewell = Call(client_of(guest), "DELETE", "/api/auth/me", pause=chance.uniform(0, 0.5))
        replies = together([*calls, farewell])
        assert replies[-1].status == 204
        assert (orphans(), count(User), count(Message)) == ({}, 0, 0)
        return replies

    race("leave/stream", one_round)


def test_F17_all_that_writes_in_one_new_session() -> None:
    def one_round(chance: random.Random) -> list[Reply]:
        owner = a_user()
        course = a_course(owner, key="another")
        calls = writers(owner, course, PARALLEL, chance)
        for call in calls:
            call.pause = 0
            if "session_id" in call.body:
                call.body["session_id"] = KEY
        replies = together(calls)
        assert count(ChatSession, ChatSession.user_id == owner.id, ChatSession.key == KEY) == 1
        return replies

    race("same session_id, first use, all routes", one_round)


def test_F17_the_first_use_of_one_session_id() -> None:
    def one_round(_: random.Random) -> list[Reply]:
        owner = a_user()
        caller = client_of(owner)
        body = {"session_id": KEY, "message": ""}
        path = "/api/ai/chat-response"
        replies = together([Call(caller, "POST", path, {**body, "message": str(n)}) for n in range(PARALLEL)])
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body["chat_id"] for reply in replies}) == 1
        [session] = caller.get("/api/chat/sessions").body
        [chat] = caller.get(f"/api/chat/sessions/{session['id']}/chats").body
        said = caller.get(f"/api/chat/chats/{chat['id']}/messages?limit=200").body
        words = [message["message_content"] for message in said if message["sender_type"] == "user"]
        assert sorted(words) == sorted(str(number) for number in range(PARALLEL))
        return replies

    race("same session_id, first use", one_round)


ACCOUNT = {"password": PASSWORD, "first_name": "Анна", "last_name": "Петрова"}


def registration(token: str | None, number: int, email: str | None = None, pause: float = 0.0) -> Call:
    """Each from an address of its own, or the eleventh would have to wait an hour."""
    caller = Client(token, address=f"2001:db8:{number:x}::1")
    body = {**ACCOUNT, "email": email or f"{uuid4().hex}@example.com"}
    return Call(caller, "POST", "/api/auth/register", body, pause)


def guest_log_in() -> Any:
    address = f"2001:db8:{random.randrange(2**16):x}:{random.randrange(2**16):x}::1"
    return Client(address=address).post("/api/auth/guest-login").body


def test_F17_A12_upgrade_against_upgrade() -> None:
    def one_round(_: random.Random) -> list[Reply]:
        tokens = guest_log_in()
        guest = Client(tokens["access_token"])
        for title in ("Танго", "Вальс"):
            guest.post("/api/tracks", {"title": title})
        replies = together([registration(tokens["access_token"], number) for number in range(PARALLEL)])
        won = [reply for reply in replies if reply.status == 201]
        assert len(won) == 1
        assert {reply.status for reply in replies} <= {201, 401, 409}
        assert won[0].body["user"]["id"] == tokens["user"]["id"]
        assert len(Client(won[0].body["access_token"]).get("/api/tracks").body) == 2
        assert guest.get("/api/auth/me").status == 401
        assert refreshed(tokens["refresh_token"])().status == 401
        return replies

    race("upgrade/upgrade", one_round)


def test_F17_many_guests_want_one_email() -> None:
    def one_round(_: random.Random) -> list[Reply]:
        email = f"{uuid4().hex}@example.com"
        tokens = [a_login_of(a_guest()) for _ in range(PARALLEL)]
        replies = together([registration(one, number, email) for number, one in enumerate(tokens)])
        assert Counter(reply.status for reply in replies) == {201: 1, 409: PARALLEL - 1}
        assert count(User, User.email_key == email) == 1
        return replies

    race("upgrade/upgrade to one e-mail", one_round)


def refreshed(token: str, pause: float = 0.0) -> Call:
    return Call(Client(), "POST", "/api/auth/refresh", {"refresh_token": token}, pause)


def test_F17_A9_refresh_against_refresh() -> None:
    def one_round(_: random.Random) -> list[Reply]:
        before = count(RefreshToken)
        first = guest_log_in()["refresh_token"]
        replies = together([refreshed(first) for _ in range(PARALLEL)])
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body["refresh_token"] for reply in replies}) == 1
        assert count(RefreshToken) == before + 2
        return replies

    race("refresh/refresh", one_round)


def is_dead(reply: Reply) -> bool:
    """Whether nothing that a refresh handed out opens anything."""
    if reply.status != 200:
        return True
    opened = Client(reply.body["access_token"]).get("/api/auth/me").status
    return opened == 401 == refreshed(reply.body["refresh_token"])().status


@pytest.mark.parametrize("route", ["logout", "logout-all"])
def test_F17_A10_logout_against_refresh(route: str) -> None:
    def one_round(chance: random.Random) -> list[Reply]:
        tokens = guest_log_in()
        leaver = Client(tokens["access_token"])
        calls = [refreshed(tokens["refresh_token"]) for _ in range(PARALLEL - 5)]
        calls += [Call(leaver, "POST", f"/api/auth/{route}") for _ in range(5)]
        chance.shuffle(calls)
        replies = together(calls)
        assert {reply.status for reply in replies} <= {200, 204, 401}
        assert 204 in {reply.status for reply in replies}
        assert all(is_dead(reply) for reply in replies)
        assert leaver.get("/api/auth/me").status == 401
        return replies

    race(f"{route}/refresh", one_round)


def test_F17_A12_upgrade_against_refresh_and_leaving() -> None:
    def one_round(chance: random.Random) -> list[Reply]:
        tokens = guest_log_in()
        guest = Client(tokens["access_token"])
        calls = [refreshed(tokens["refresh_token"], chance.uniform(0, 0.3)) for _ in range(PARALLEL - 12)]
        calls += [registration(tokens["access_token"], n, pause=chance.uniform(0, 0.2)) for n in range(10)]
        calls += [Call(guest, "DELETE", "/api/auth/me", pause=chance.uniform(0.1, 0.4)) for _ in range(2)]
        replies = together(calls)
        won = [reply for reply in replies if reply.status == 201]
        assert len(won) <= 1
        assert all(is_dead(reply) for reply in replies)
        return replies

    race("upgrade/refresh/leave", one_round)


def test_F17_one_client_message_id(
    switchboard: Switchboard, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ws.service.MESSAGES", Limit("many messages", PARALLEL, timedelta(seconds=10)))
    began = time.monotonic()
    for _ in range(ROUNDS):
        token = a_login_of(a_user())
        tabs = [Socket(switchboard, token).opened() for _ in range(10)]
        model.requests.clear()
        at_once(lambda tab: tab.say("Привет", client_message_id="m-1"), tabs * (PARALLEL // 10))
        accepted = {frame["message_id"] for tab in tabs for frame in tab.of_type("message_accepted")}
        assert len(accepted) == 1
        assert [frame for tab in tabs for frame in tab.of_type("error")] == []
        [message] = waiting()
        assert deliver(message)
        assert (len(model.requests), {len(tab.of_type("ai_response")) for tab in tabs}) == (1, {1})
    assert (count(Message), unfinished()) == (2 * ROUNDS, 0)
    report(
        "F17 same client_message_id",
        rounds=f"{ROUNDS} of {PARALLEL}",
        sockets=10,
        seconds=round(time.monotonic() - began),
        messages=count(Message),
    )


def test_F17_D6_a_change_of_configuration_against_calls(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedModel() as other:
        monkeypatch.setenv("LLM_ALLOWED_PRIVATE", f"{model.address},{other.address}")
        config.settings.cache_clear()
        keys = {model.base_url: "sk-canary-here", other.base_url: "sk-canary-there"}

        def one_round(chance: random.Random) -> list[Reply]:
            caller = client_of(a_user())
            calls = []
            for number in range(PARALLEL):
                url = chance.choice([*keys])
                change = Call(caller, "PUT", "/api/ai/user-config", {"base_url": url, "api_key": keys[url]})
                body = {"session_id": KEY, "message": str(number)}
                calls += [change if number % 2 else Call(caller, "POST", "/api/ai/chat-response", body)]
            replies = together(calls)
            assert {reply.status for reply in replies} == {200}
            with looking() as session:
                [row] = session.scalars(select(AIConfiguration)).all()
                assert (row.key_origin or "-") in (row.base_url or "")
                session.delete(row)
            return replies

        race("config change/call", one_round)
        config.settings.cache_clear()
        here = {request.key for request in model.requests}
        there = {request.key for request in other.requests}
    assert here <= {"platform-key", "sk-canary-here"}
    assert there <= {"sk-canary-there"}


def test_G4_a_track_is_deleted_during_a_hundred_streams(
    switchboard: Switchboard, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ws.service.MESSAGES", Limit("many messages", STREAMS, timedelta(seconds=10)))
    monkeypatch.setattr("ws.admission.MOST_PER_USER", STREAMS)
    owner = a_user()
    token = a_login_of(owner)
    track = a_course(owner).track
    keys = [uuid4().hex for _ in range(STREAMS)]
    with looking() as session:
        session.add_all([ChatSession(user_id=owner.id, key=key, track_id=track.id) for key in keys])
    sockets = []
    for key in keys[::2]:
        socket = Socket(switchboard, token, session_id=key).opened()
        socket.say()
        sockets.append(socket)
    deliveries = waiting()
    model.paces(0.1, words=1_000)

    def stream(one: Any) -> Any:
        if isinstance(one, dict):
            return deliver(one)
        if isinstance(one, str):
            return Client(token).post("/api/ai/chat-response", {"session_id": one, "message": "Привет"})
        patience = time.monotonic() + 20
        while len(model.requests) < STREAMS and time.monotonic() < patience:
            time.sleep(0.01)
        return Client(token).delete(f"/api/tracks/{track.id}")

    began = time.monotonic()
    outcomes = at_once(stream, [*deliveries, *keys[1::2], None])
    replies = [outcome for outcome in outcomes[:-1] if isinstance(outcome, Reply)]
    codes = Counter(frame["code"] for socket in sockets for frame in socket.of_type("error"))
    report(
        "G4",
        streams=len(model.requests),
        seconds=round(time.monotonic() - began),
        answers=dict(Counter(reply.status for reply in replies)),
        error_frames=dict(codes),
        orphans=orphans(),
    )
    assert outcomes[-1].status == 200
    assert {(reply.status, reply.code) for reply in replies} == {(404, "chat_gone")}
    assert all(outcome is True for outcome in outcomes if not isinstance(outcome, Reply))
    assert (orphans(), count(Chat), count(Message)) == ({}, 0, 0)
