"""Three people do whatever the API lets them, in any order and under faults: it always is where a model says.

The model is small enough to be believed: dictionaries of tracks, sessions, chats and what was said. After
every step the API has to show each person exactly that, and nothing of anybody else's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete

from academy.models import Throttle, User
from academy.throttle import Limit
from dev import postgres
from tests.client import Client, Reply
from tests.clocks import Clocks, set_up
from tests.deliveries import deliver, waiting
from tests.factories import PASSWORD
from tests.fakes import ScriptedModel
from tests.outages import no_database
from tests.roles import looking
from tests.sockets import Socket, Switchboard
from tests.tiers import report, sized

EXAMPLES, STEPS = sized(full=(500, 50), short=(20, 20))
SEED = 20261126
KEYS = ("morning", "evening")
MOST_TRACKS, MOST_CHATS, MOST_MODULES = 3, 6, 7
GUEST, ANNA, BERT = range(3)

ACTORS = st.sampled_from((GUEST, ANNA, BERT))
PICKS = st.integers(0, 11)
SESSION_KEYS = st.sampled_from(KEYS)
FAULTS = st.sampled_from(("none", "none", "none", "refused", "cut"))
STATUSES = st.sampled_from(("active", "paused", "completed", "archived"))


@dataclass
class Module:
    id: str
    title: str
    status: str = "not_started"
    has_summary: bool = False


@dataclass
class Track:
    title: str
    status: str = "planning"
    modules: list[Module] = field(default_factory=list)
    has_plan: bool = False
    planned_through: int = 0

    @property
    def progress(self) -> int:
        done = sum(module.status == "completed" for module in self.modules)
        return done * 100 // len(self.modules) if self.modules else 0


@dataclass
class Said:
    """A message: `text` is None where only the tutor knows it, `is_shown` false until it is whole."""

    position: int
    sender: str
    text: str | None
    is_shown: bool = True


@dataclass
class Chat:
    id: str
    kind: str
    module: str | None = None
    status: str = "active"
    said: list[Said] = field(default_factory=list)

    @property
    def shown(self) -> list[Said]:
        return [message for message in self.said if message.is_shown]


@dataclass
class Session:
    track: str | None = None
    status: str = "active"
    chats: list[Chat] = field(default_factory=list)

    def active(self, kind: str, module: str | None = None) -> Chat | None:
        """The newest active one; a planning talk is never about a module."""
        fitting = [
            chat
            for chat in self.chats
            if (chat.kind, chat.status) == (kind, "active") and (module is None or chat.module == module)
        ]
        return fitting[-1] if fitting else None


@dataclass
class Person:
    client: Client
    user_id: str
    is_guest: bool
    refresh_token: str
    email: str | None = None
    password: str = PASSWORD
    tracks: dict[str, Track] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)

    @property
    def chats(self) -> list[tuple[str, Chat]]:
        return [(key, chat) for key, session in self.sessions.items() for chat in session.chats]


class Platform(RuleBasedStateMachine):
    """One example: three new people on a platform that others have used before."""

    model: ScriptedModel
    switchboard: Switchboard
    database: postgres.Server
    clocks: Clocks
    steps = 0
    answers: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.model.reset()
        self.switchboard.reset()
        waiting()
        self.positions = count(1)
        self.words = count(1)
        self.touched: set[str] = set()
        self.people = [self._guest(), self._registered(), self._registered()]

    def teardown(self) -> None:
        for person in self.people:
            for _, chat in person.chats:
                self._check_chat(person, chat)
        with looking() as session:
            session.execute(delete(User))
            session.execute(delete(Throttle))

    @initialize(key=SESSION_KEYS)
    def begin_with_a_course_each(self, key: str) -> None:
        """Or few would ever come as far as a module."""
        for who in (GUEST, ANNA, BERT):
            self.create_track(who, twice=False)
            self.plan(who, key, pick=1, fault="none")
            self.finalize(who, key, pick=1, fault="none")

    # Accounts

    @rule(who=ACTORS)
    def refresh(self, who: int) -> None:
        self._renew(self.people[who])

    @rule(who=ACTORS, everywhere=st.booleans())
    def log_out(self, who: int, everywhere: bool) -> None:
        person = self.people[who]
        route = "logout-all" if everywhere else "logout"
        assert person.client.post(f"/api/auth/{route}").status == 204
        assert person.client.get("/api/auth/me").status == 401
        assert self._refresh(person).status == 401
        if person.is_guest:
            self.people[who] = self._guest()
        else:
            self._log_in(person)

    @rule()
    def upgrade(self) -> None:
        person = self.people[GUEST]
        if not person.is_guest:
            return
        reply = self._register(person.client.token)
        assert (reply.status, reply.body["user"]["id"]) == (201, person.user_id)
        assert person.client.get("/api/auth/me").status == 401
        person.is_guest, person.email = False, reply.body["user"]["email"]
        self._take(person, reply)

    @rule(who=st.sampled_from((ANNA, BERT)))
    def change_password(self, who: int) -> None:
        person = self.people[who]
        new = f"another {next(self.words)} horse battery"
        body = {"current_password": person.password, "new_password": new}
        wrong = person.client.put("/api/auth/password", {**body, "current_password": "not the one"})
        assert (wrong.status, wrong.code) == (401, "bad_credentials")
        assert person.client.put("/api/auth/password", body).status == 204
        person.password = new

    @rule(who=ACTORS)
    def leave(self, who: int) -> None:
        person = self.people[who]
        body = None if person.is_guest else {"password": person.password}
        assert person.client.delete("/api/auth/me", body).status == 204
        assert person.client.get("/api/auth/me").status == 401
        self.people[who] = self._guest() if who == GUEST else self._registered()

    # Tracks

    @rule(who=ACTORS, twice=st.booleans())
    def create_track(self, who: int, twice: bool) -> None:
        person = self.people[who]
        if len(person.tracks) >= MOST_TRACKS:
            return
        title, key = f"Танго {next(self.words)}", uuid4().hex
        for _ in range(1 + twice):
            reply = person.client.post("/api/tracks", {"title": title}, idempotency_key=key)
            assert reply.status == 201
            person.tracks[reply.body["id"]] = Track(title)

    @rule(who=ACTORS, pick=PICKS, status=st.sampled_from(("planning", "active", "paused", "completed")))
    def change_track(self, who: int, pick: int, status: str) -> None:
        person, (track_id, track) = self._track(who, pick)
        if track:
            track.title, track.status = f"Вальс {next(self.words)}", status
        reply = person.client.put(f"/api/tracks/{track_id}", self._fields(track, status))
        assert reply.status == (200 if track else 404)

    @rule(who=ACTORS, pick=PICKS)
    def delete_track(self, who: int, pick: int) -> None:
        person, (track_id, track) = self._track(who, pick)
        reply = person.client.delete(f"/api/tracks/{track_id}")
        assert reply.status == (200 if track else 404)
        if track:
            del person.tracks[track_id]
            bound = [key for key, session in person.sessions.items() if session.track == track_id]
            for key in bound:
                del person.sessions[key]

    # Sessions and chats

    @rule(who=ACTORS, pick=PICKS)
    def create_session(self, who: int, pick: int) -> None:
        person, (track_id, track) = self._track(who, pick)
        if len(person.sessions) > len(KEYS):
            return
        reply = person.client.post("/api/chat/sessions", {"track_id": track_id})
        assert reply.status == (201 if track else 404)
        if track:
            person.sessions[reply.body["id"]] = Session(track_id)

    @rule(who=ACTORS, key=SESSION_KEYS, status=STATUSES)
    def set_session_status(self, who: int, key: str, status: str) -> None:
        person = self.people[who]
        reply = person.client.put(f"/api/chat/sessions/{key}/status", {"status": status})
        if person.is_guest:
            assert (reply.status, reply.code) == (403, "guest_forbidden")
            return
        assert reply.status == (200 if key in person.sessions else 404)
        if reply.status == 200:
            person.sessions[key].status = status

    @rule(who=ACTORS, key=SESSION_KEYS, kind=st.sampled_from(("track_manager", "lecture_agent")))
    def create_chat(self, who: int, key: str, kind: str) -> None:
        person = self.people[who]
        if len(person.chats) >= MOST_CHATS:
            return
        reply = person.client.post("/api/chat/chats", {"session_id": key, "chat_type": kind})
        assert reply.status == (201 if key in person.sessions else 404)
        if reply.status == 201:
            person.sessions[key].chats.append(Chat(reply.body["id"], kind))

    @rule(who=ACTORS, pick=PICKS, status=STATUSES)
    def set_chat_status(self, who: int, pick: int, status: str) -> None:
        person = self.people[who]
        chat = self._chat(who, pick)
        chat_id = chat.id if chat else self._foreign_chat(who)
        reply = person.client.put(f"/api/chat/chats/{chat_id}/status?status={status}")
        assert reply.status == (200 if chat else 404)
        if chat:
            chat.status = status

    # The tutor

    @rule(who=ACTORS, key=SESSION_KEYS, fault=FAULTS, again=st.booleans())
    def say(self, who: int, key: str, fault: str, again: bool) -> None:
        """Over HTTP; after a failure perhaps the same words once more, which are the same message then."""
        person = self.people[who]
        words = f"слова {next(self.words)}"
        reply = self._asked(person, "chat-response", fault, session_id=key, message=words)
        chat = self._planning(person, key, reply.body.get("chat_id"))
        question, answer = self._exchange(chat, words)
        self._answered(answer, reply, "response")
        if reply.status != 200 and again:
            reply = self._asked(person, "chat-response", "none", session_id=key, message=words)
            self._answered(answer, reply, "response")
            assert question.text == words

    @rule(who=ACTORS, key=SESSION_KEYS, fault=FAULTS, deliveries=st.integers(1, 3), sent=st.integers(1, 2))
    def say_on_a_socket(self, who: int, key: str, fault: str, deliveries: int, sent: int) -> None:
        """The same frame once or twice, and its event delivered up to three times."""
        person = self.people[who]
        socket = Socket(self.switchboard, person.client.token, session_id=key).opened()
        words = f"слова {next(self.words)}"
        for _ in range(sent):
            [accepted] = socket.say(words, client_message_id=words)
        chat = self._planning(person, key, accepted["chat_id"])
        _, answer = self._exchange(chat, words)
        [message] = waiting()
        self._script(fault)
        for _ in range(deliveries):
            deliver(message)
        self.model.reset()
        answer.is_shown = fault not in {"refused", "cut"}
        ends = socket.of_type("ai_response" if answer.is_shown else "error")
        assert len(ends) == 1
        answer.text = ends[0]["message"] if answer.is_shown else None
        socket.disconnect()

    @rule(who=ACTORS, key=SESSION_KEYS, pick=PICKS, fault=FAULTS)
    def plan(self, who: int, key: str, pick: int, fault: str) -> None:
        person, (track_id, track) = self._track(who, pick)
        reply = self._asked(
            person, "generate-plan", fault, session_id=key, track_id=track_id, user_expectations="Хочу"
        )
        if not self._is_bound(person, key, track_id, track, reply):
            return
        chat = self._planning(person, key, reply.body.get("chat_id"))
        if reply.status == 200 and track:
            track.has_plan = True
            chat.said.append(Said(next(self.positions), "ai", None))

    @rule(who=ACTORS, key=SESSION_KEYS, fault=FAULTS)
    def welcome(self, who: int, key: str, fault: str) -> None:
        person = self.people[who]
        wishes = {"skill_area": "танцы", "user_expectations": "Хочу", "difficulty_level": "beginner"}
        reply = self._asked(person, "welcome-message", fault, session_id=key, duration_hours=9, **wishes)
        chat = self._planning(person, key, reply.body.get("chat_id"))
        if reply.status == 200:
            chat.said.append(Said(next(self.positions), "ai", reply.body["message"]))

    @rule(who=ACTORS, key=SESSION_KEYS, pick=PICKS, fault=FAULTS)
    def finalize(self, who: int, key: str, pick: int, fault: str) -> None:
        person, (track_id, track) = self._track(who, pick)
        reply = self._asked(
            person, "finalize-course-plan", fault, session_id=key, track_id=track_id, skill_area="танцы"
        )
        session = person.sessions.get(key, Session())
        if track is None or session.track not in (None, track_id):
            assert (reply.status, reply.code) == (404, "not_found")
            return
        chat = session.active("track_manager")
        if chat is None or not any(message.sender == "ai" for message in chat.shown):
            assert (reply.status, reply.code) == (409, "no_plan")
            return
        session.track = track_id
        through = chat.shown[-1].position
        begun = [module for module in track.modules if module.status != "not_started"]
        if len(begun) >= MOST_MODULES or (track.modules and track.planned_through >= through):
            assert reply.status == 200
        elif reply.status == 200:
            self._replan(person, track, begun, reply.body["modules"])
            track.status, track.planned_through = "active", through
        else:
            self._is_fault(reply, fault)
            return
        assert [module["id"] for module in reply.body["modules"]] == [one.id for one in track.modules]

    @rule(who=ACTORS, key=SESSION_KEYS, pick=PICKS, number=st.integers(1, 3), fault=FAULTS)
    def start_module(self, who: int, key: str, pick: int, number: int, fault: str) -> None:
        person, track_id, track, module = self._module(who, pick, number)
        here = {"session_id": key, "track_id": track_id, "module_id": str(number)}
        reply = self._asked(person, "module-learning-start", fault, **here)
        if module is None or not self._is_bound(person, key, track_id, track, reply):
            assert reply.status == 404
            return
        chat = self._lecture(person, key, module, reply.body.get("chat_id"))
        if module.has_summary or reply.status == 200:
            assert reply.status == 200
            module.has_summary = True
            begin(module)
            if not chat.shown:
                chat.said.append(Said(next(self.positions), "ai", reply.body["module_summary"]))
        else:
            self._is_fault(reply, fault)

    @rule(who=ACTORS, key=SESSION_KEYS, pick=PICKS, number=st.integers(1, 3), fault=FAULTS)
    def ask_about_module(self, who: int, key: str, pick: int, number: int, fault: str) -> None:
        person, track_id, track, module = self._module(who, pick, number)
        words = f"слова {next(self.words)}"
        here = {"session_id": key, "track_id": track_id, "module_id": str(number)}
        reply = self._asked(person, "module-chat", fault, **here, message=words)
        if module is None or not self._is_bound(person, key, track_id, track, reply):
            assert reply.status == 404
            return
        begin(module)
        chat = self._lecture(person, key, module, reply.body.get("chat_id"))
        _, answer = self._exchange(chat, words)
        self._answered(answer, reply, "response")

    @rule(who=ACTORS, key=SESSION_KEYS, pick=PICKS, number=st.integers(1, 3))
    def complete_module(self, who: int, key: str, pick: int, number: int) -> None:
        person, track_id, track, module = self._module(who, pick, number)
        here = {"session_id": key, "track_id": track_id, "module_id": str(number)}
        reply = self._asked(person, "module-complete", "none", **here)
        if module is None or track is None:
            assert reply.status == 404
        elif module.status == "not_started":
            assert (reply.status, reply.code) == (409, "module_not_started")
        else:
            module.status = "completed"
            assert (reply.status, reply.body["progress"]) == (200, track.progress)
            if track.progress == 100:
                track.status = "completed"

    @rule(who=ACTORS, key=SESSION_KEYS, pick=PICKS, number=st.integers(1, 3))
    def read_module_history(self, who: int, key: str, pick: int, number: int) -> None:
        person, track_id, _, module = self._module(who, pick, number)
        here = {"session_id": key, "track_id": track_id, "module_id": str(number)}
        reply = self._asked(person, "module-chat-history", "none", **here)
        if module is None:
            assert reply.status == 404
            return
        chats = person.sessions.get(key, Session()).chats
        about = [chat for chat in chats if chat.module == module.id]
        assert reply.body["chat_id"] == (about[-1].id if about else None)
        assert self._reads(reply.body["history"], "sender", "content", about[-1].shown if about else [])

    @rule(who=ACTORS, pick=PICKS, number=st.integers(1, 3), fault=FAULTS)
    def write_lesson(self, who: int, pick: int, number: int, fault: str) -> None:
        person, _, _, module = self._module(who, pick, number)
        body = {"lesson_title": "У", "module_context": "Ш", "content_type": "quiz"}
        reply = self._asked(
            person, "generate-lesson", fault, **body, module_id=module.id if module else str(uuid4())
        )
        assert reply.status == 404 if module is None else reply.status in (200, 424, 502)

    @rule(who=ACTORS, tokens=st.integers(1, 32_000))
    def configure(self, who: int, tokens: int) -> None:
        person = self.people[who]
        reply = person.client.put("/api/ai/user-config", {"max_tokens": tokens})
        assert (reply.status, reply.body["max_tokens"]) == (200, tokens)
        assert person.client.get("/api/ai/user-config").body == reply.body
        assert self._asked(person, "test-connection", "none").body["success"] is True
        person.client.put("/api/ai/user-config", {"max_tokens": None})
        assert person.client.get("/api/ai/user-config").body == Client().get("/api/ai/default-config").body

    # What nobody wants

    @rule(who=ACTORS)
    def reach_for_what_is_anothers(self, who: int) -> None:
        person = self.people[who]
        for other in self.people:
            if other is not person:
                self._reach(person, other)

    @rule(who=ACTORS)
    def lose_the_database(self, who: int) -> None:
        with no_database():
            assert self.people[who].client.get("/api/tracks").status == 503
            assert self.people[who].client.post("/api/tracks", {"title": "x"}).status == 503

    @rule()
    def kill_every_connection(self) -> None:
        with self.database.connect() as connection:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
            connection.execute(query, [postgres.APP])

    @rule(hours=st.sampled_from((2, 24)))
    def let_time_pass(self, hours: int) -> None:
        """Two hours end every access token, a day none of the refresh tokens."""
        self.clocks.pass_by(timedelta(hours=hours))
        for person in self.people:
            assert person.client.get("/api/auth/me").status == 401
            self._renew(person)

    # What the API shows

    @invariant()
    def everybody_sees_what_is_theirs(self) -> None:
        type(self).steps += 1
        for person in self.people:
            self._check(person)

    def _check(self, person: Person) -> None:
        tracks = person.client.get("/api/tracks").body
        shown = {track["id"]: track for track in tracks}
        assert set(shown) == set(person.tracks)
        for track_id, track in person.tracks.items():
            it = shown[track_id]
            assert (it["title"], it["status"], it["progress"]) == (track.title, track.status, track.progress)
            assert (it["ai_generated_plan"] is not None) == track.has_plan
            modules = [(one["id"], one["title"], one["status"]) for one in it["modules"]]
            assert modules == [(one.id, one.title, one.status) for one in track.modules]
        sessions = {one["id"]: one for one in person.client.get("/api/chat/sessions").body}
        assert set(sessions) == set(person.sessions)
        for key, session in person.sessions.items():
            assert (sessions[key]["track_id"], sessions[key]["status"]) == (session.track, session.status)
            chats = person.client.get(f"/api/chat/sessions/{key}/chats").body
            expected = [(chat.id, chat.kind, chat.status) for chat in session.chats]
            assert [(one["id"], one["chat_type"], one["status"]) for one in chats][::-1] == expected
            for chat in session.chats:
                if chat.id in self.touched:
                    self._check_chat(person, chat)
        self.touched -= {chat.id for _, chat in person.chats}

    def _check_chat(self, person: Person, chat: Chat) -> None:
        said = person.client.get(f"/api/chat/chats/{chat.id}/messages").body
        assert self._reads(said, "sender_type", "message_content", chat.shown)

    @staticmethod
    def _reads(messages: list[Any], sender: str, content: str, expected: list[Said]) -> bool:
        assert [one[sender] for one in messages] == [said.sender for said in expected]
        for one, said in zip(messages, expected, strict=True):
            assert said.text is None or one[content] == said.text
        return True

    # How the model goes on

    def _guest(self) -> Person:
        return self._person(self._anybody().post("/api/auth/guest-login"), is_guest=True)

    def _registered(self) -> Person:
        return self._person(self._register(None), is_guest=False)

    def _register(self, token: str | None) -> Reply:
        account = {"password": PASSWORD, "first_name": "Анна", "last_name": "Петрова"}
        email = f"{uuid4().hex}@example.com"
        return self._anybody(token).post("/api/auth/register", {**account, "email": email})

    def _anybody(self, token: str | None = None) -> Client:
        """From an address of its own: how often one may come from the same is another test's matter."""
        return Client(token, address=f"2001:db8:{next(self.addresses):x}::1")

    addresses = count(1)

    def _person(self, reply: Reply, *, is_guest: bool) -> Person:
        body = reply.body
        client = self._anybody(body["access_token"])
        return Person(client, body["user"]["id"], is_guest, body["refresh_token"], body["user"]["email"])

    @staticmethod
    def _take(person: Person, reply: Reply) -> None:
        assert reply.body["user"]["id"] == person.user_id
        person.client.token, person.refresh_token = reply.body["access_token"], reply.body["refresh_token"]

    def _refresh(self, person: Person) -> Reply:
        return self._anybody().post("/api/auth/refresh", {"refresh_token": person.refresh_token})

    def _renew(self, person: Person) -> None:
        reply = self._refresh(person)
        assert reply.status == 200
        self._take(person, reply)

    def _log_in(self, person: Person) -> None:
        body = {"email": person.email, "password": person.password}
        self._take(person, self._anybody().post("/api/auth/login", body))

    def _track(self, who: int, pick: int) -> tuple[Person, tuple[str, Track | None]]:
        """One of the person's tracks; somebody else's, or none that there is, if it has to be so."""
        person = self.people[who]
        if person.tracks and pick % 4:
            ids = list(person.tracks)
            track_id = ids[pick % len(ids)]
            return person, (track_id, person.tracks[track_id])
        foreign = [track_id for other in self.people if other is not person for track_id in other.tracks]
        return person, (foreign[pick % len(foreign)] if foreign else str(uuid4()), None)

    def _module(self, who: int, pick: int, number: int) -> tuple[Person, str, Track | None, Module | None]:
        person, (track_id, track) = self._track(who, pick)
        if track and (ready := [(key, one) for key, one in person.tracks.items() if one.modules]):
            track_id, track = ready[pick % len(ready)]
        modules = track.modules if track else []
        return person, track_id, track, modules[number - 1] if number <= len(modules) else None

    def _chat(self, who: int, pick: int) -> Chat | None:
        chats = self.people[who].chats
        return chats[pick % len(chats)][1] if chats and pick % 4 else None

    def _foreign_chat(self, who: int) -> str:
        others = [person for number, person in enumerate(self.people) if number != who]
        return next((chat.id for person in others for _, chat in person.chats), str(uuid4()))

    @staticmethod
    def _fields(track: Track | None, status: str) -> dict[str, str]:
        return {"title": track.title if track else "nobody's", "status": status}

    def _asked(self, person: Person, route: str, fault: str, **body: Any) -> Reply:
        self._script(fault)
        reply = person.client.post(f"/api/ai/{route}", body)
        self.answers[f"{route} {reply.status}"] += 1
        self.model.reset()
        return reply

    def _script(self, fault: str) -> None:
        self.model.reset()
        if fault == "refused":
            self.model.fails(401, times=3)
        if fault == "cut":
            self.model.cuts("на по", how="close")

    @staticmethod
    def _is_fault(reply: Reply, fault: str) -> None:
        expected = {"refused": (424, "ai_key_rejected"), "cut": (502, "ai_unavailable")}
        assert (reply.status, reply.code) == expected[fault]

    def _is_bound(self, person: Person, key: str, track_id: str, track: Track | None, reply: Reply) -> bool:
        """Whether the session is the track's by now; if it is another's, nothing has happened."""
        session = person.sessions.get(key, Session())
        if track is None or session.track not in (None, track_id):
            assert (reply.status, reply.code) == (404, "not_found")
            return False
        person.sessions.setdefault(key, session).track = track_id
        return True

    def _planning(self, person: Person, key: str, chat_id: str | None) -> Chat:
        session = person.sessions.setdefault(key, Session())
        return self._opened(person, key, session.active("track_manager"), "track_manager", None, chat_id)

    def _lecture(self, person: Person, key: str, module: Module, chat_id: str | None) -> Chat:
        found = person.sessions[key].active("lecture_agent", module.id)
        return self._opened(person, key, found, "lecture_agent", module.id, chat_id)

    def _opened(
        self, person: Person, key: str, found: Chat | None, kind: str, module: str | None, said: str | None
    ) -> Chat:
        """The chat that words went to: the one that was active, or one that was made for them."""
        if found is None:
            shown = person.client.get(f"/api/chat/sessions/{key}/chats").body
            found = Chat(shown[0]["id"], kind, module)
            assert found.id not in {chat.id for _, chat in person.chats}
            person.sessions[key].chats.append(found)
        assert said in (None, found.id)
        self.touched.add(found.id)
        return found

    def _exchange(self, chat: Chat, words: str) -> tuple[Said, Said]:
        question = Said(next(self.positions), "user", words)
        answer = Said(next(self.positions), "ai", None, is_shown=False)
        chat.said += [question, answer]
        return question, answer

    @staticmethod
    def _answered(answer: Said, reply: Reply, name: str) -> None:
        answer.is_shown = reply.status == 200
        answer.text = reply.body.get(name)

    def _replan(self, person: Person, track: Track, begun: list[Module], shown: list[Any]) -> None:
        """Modules that nobody has begun make room for others, and take what hung on them along."""
        gone = {module.id for module in track.modules} - {module.id for module in begun}
        track.modules = [*begun, *(Module(one["id"], one["title"]) for one in shown[len(begun) :])]
        assert 3 <= len(track.modules) <= MOST_MODULES
        assert not gone & {module.id for module in track.modules}
        for session in person.sessions.values():
            session.chats = [chat for chat in session.chats if chat.module not in gone]

    def _reach(self, person: Person, other: Person) -> None:
        here = {"session_id": KEYS[0]}
        replies = []
        for track_id in other.tracks:
            replies += [
                person.client.get(f"/api/tracks/{track_id}"),
                person.client.put(f"/api/tracks/{track_id}", {"title": "mine"}),
                person.client.delete(f"/api/tracks/{track_id}"),
                person.client.post("/api/chat/sessions", {"track_id": track_id}),
            ]
        for _, chat in other.chats:
            words = {**here, "message": "mine", "chat_id": chat.id}
            replies += [
                person.client.get(f"/api/chat/chats/{chat.id}/messages"),
                person.client.post("/api/ai/chat-response", words),
            ]
        assert {(reply.status, reply.code) for reply in replies} <= {(404, "not_found")}


def begin(module: Module) -> None:
    if module.status == "not_started":
        module.status = "in_progress"


@pytest.fixture
def platform(
    committed: None,
    quiet: None,
    database: postgres.Server,
    model: ScriptedModel,
    switchboard: Switchboard,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[type[Platform]]:
    monkeypatch.setattr("ws.service.MESSAGES", Limit("many messages", 10_000, timedelta(seconds=10)))
    with set_up(database) as clocks:
        parts: dict[str, Any] = {
            "model": model,
            "switchboard": switchboard,
            "database": database,
            "clocks": clocks,
        }
        parts["answers"] = Counter()
        yield type("Machine", (Platform,), parts)


@pytest.mark.prove
def test_F19_whatever_is_done_the_platform_is_where_the_model_is(platform: type[Platform]) -> None:
    began = time.monotonic()
    run_state_machine_as_test(
        seed(SEED)(platform),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    report(
        "F19",
        seed=SEED,
        examples=EXAMPLES,
        steps=STEPS,
        states_compared=platform.steps,
        answers=dict(sorted(platform.answers.items())),
        seconds=round(time.monotonic() - began),
    )
