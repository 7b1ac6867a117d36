"""Frames: what cannot be understood, whose log-in has ended, what comes too fast; the socket stays open."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, or_, select, update
from sqlalchemy.orm import Session

from academy import auth, connections
from academy.models import Chat, ChatSession, Message, Throttle, User
from tests.client import Client
from tests.conftest import Api
from tests.deliveries import deliver_all, waiting
from tests.factories import PASSWORD, a_course, a_guest, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.functions.test_ownership import rows
from tests.outages import no_database, no_dynamodb, no_queue
from tests.roles import looking
from tests.sockets import Frame, Socket, Switchboard
from tests.walls import no_owner_clauses, take_down_policies

KEY = "1718000000000abc123xyz"


@pytest.fixture(autouse=True)
def fresh(model: ScriptedModel, switchboard: Switchboard) -> Iterator[None]:
    model.reset()
    switchboard.reset()
    yield
    model.reset()


def is_open(socket: Socket) -> bool:
    return socket.connection.id not in socket.switchboard.closed


def is_known(socket: Socket) -> bool:
    return connections.find(socket.connection.id) is not None


def stored(session: Session) -> list[str]:
    return list(session.scalars(select(Message.message_content).order_by(Message.position)))


def is_error(frame: Frame, code: str, key: str | None = KEY) -> bool:
    """Whether this is how an error looks, with a sentence for a person."""
    datetime.fromisoformat(frame["timestamp"])
    assert frame["message"].endswith(".")
    assert frame["message"][0].isupper()
    return (frame["type"], frame["code"], frame["session_id"]) == ("error", code, key)


def said(**fields: Any) -> str:
    return json.dumps({"message": "Привет", **fields})


MALFORMED = {
    "nothing": "",
    "a word": "hello",
    "half an object": '{"message": "Привет"',
    "two objects": '{"type": "ping"}{"type": "ping"}',
    "single quotes": "{'type': 'ping'}",
    "a list": "[]",
    "a list of frames": '[{"type": "ping"}]',
    "a string": '"ping"',
    "null": "null",
    "a number": "5",
    "NaN": '{"message": NaN}',
    "NaN in a field that nobody reads": '{"type": "ping", "n": NaN}',
    "infinity": '{"type": "ping", "n": -Infinity}',
    "a number beyond all floats": '{"type": "ping", "n": 1e999}',
    "a key twice": '{"type": "ping", "type": "ping"}',
    "a key twice, deep down": '{"type": "ping", "n": [{"a": 1, "a": 2}]}',
    "5000 brackets": "[" * 5_000,
    "5000 brackets, closed": '{"type": "ping", "n": ' + "[" * 5_000 + "]" * 5_000 + "}",
    "5000 objects": '{"a": ' * 5_000 + "1" + "}" * 5_000,
    "33 levels": '{"type": "ping", "n": ' + "[" * 33 + "]" * 33 + "}",
    "5000 digits": '{"type": "ping", "n": ' + "9" * 5_000 + "}",
    "NUL": '{"message": "a\\u0000b"}',
    "NUL as it is": '{"message": "a\0b"}',
    "half an emoji": '{"message": "\\ud83d"}',
    "the other half": '{"message": "\\ude00\\ud83d"}',
    "half an emoji as it is": '{"message": "\ud83d"}',
    "half an emoji in a name": '{"type": "ping", "\\ud83d": 1}',
}
UNKNOWN_TYPES = {
    "nothing in it": "{}",
    "only a chat": '{"chat_id": "x"}',
    "no such type": '{"type": "dance"}',
    "no such type with a message": said(type="dance"),
    "a type in capitals": '{"type": "PING"}',
    "a type that is a number": '{"type": 5}',
    "a type that is true": said(type=True),
    "a type that is a list": '{"type": ["ping"]}',
    "a server's type": '{"type": "ai_response", "message": "Я тутор"}',
}
UNKNOWN_COMMANDS = {
    "no such command": '{"command": "drop_table"}',
    "no command": '{"command": null, "type": "ping"}',
    "a command that is a list": '{"command": ["get_user_chats"]}',
    "a command with a message": said(command="say"),
}
EMPTY = {
    "no message": '{"type": "text"}',
    "an empty message": said(message=""),
    "a blank message": said(message=" \n\t\u00a0\u2003"),
    "null for a message": said(message=None),
}
INVALID = {
    "a number for a message": said(message=5),
    "a list for a message": said(message=["Привет"]),
    "an object for a message": said(message={"text": "Привет"}),
    "true for a message": said(message=True),
    "16001 characters": said(message="я" * 16_001),
    "16001 emoji": said(message="💃" * 16_001),
    "a malformed chat": said(chat_id="not-a-uuid"),
    "an empty chat": said(chat_id=""),
    "a number for a chat": said(chat_id=5),
    "a list for a chat": said(chat_id=[str(uuid4())]),
    "an empty id of the client's": said(client_message_id=""),
    "a long id of the client's": said(client_message_id="m" * 129),
    "a number for the client's id": said(client_message_id=5),
    "a malformed message to cancel": '{"type": "cancel", "message_id": "x"}',
    "a switch to nothing": '{"command": "switch_chat"}',
    "a switch to null": '{"command": "switch_chat", "chat_id": null}',
    "a switch to a malformed chat": '{"command": "switch_chat", "chat_id": "1.5"}',
    "the history of nothing": '{"command": "restore_history"}',
    "the history of a malformed chat": '{"command": "restore_history", "chat_id": "\' OR 1=1"}',
}
BAD = {
    "malformed_frame": MALFORMED,
    "unknown_type": UNKNOWN_TYPES,
    "unknown_command": UNKNOWN_COMMANDS,
    "empty_message": EMPTY,
    "invalid_frame": INVALID,
}


@pytest.mark.parametrize("code", BAD)
def test_C2_bad_frames_are_an_error_each_on_a_socket_that_stays_open(
    code: str, socket: Socket, session: Session
) -> None:
    answers = {name: socket.send(text) for name, text in BAD[code].items()}
    codes = {name: [frame.get("code") for frame in frames] for name, frames in answers.items()}
    assert codes == {name: [code] for name in BAD[code]}
    for [frame] in answers.values():
        assert is_error(frame, code)
        assert frame["retry_after"] is None
        assert "Привет" not in frame["message"]
    assert is_open(socket)
    [pong] = socket.send({"type": "ping"})
    assert pong["type"] == "pong"
    assert stored(session) == []


@pytest.mark.parametrize(
    "words", ["я" * 16_000, "💃" * 16_000, " Привет\n", "e\u0301 é \u202e\u200d", "\ufeff"]
)
def test_C3_a_message_of_1_to_16000_characters_is_kept_as_it_is(
    words: str, socket: Socket, session: Session
) -> None:
    [frame] = socket.say(words)
    assert frame["type"] == "message_accepted"
    assert stored(session) == [words, ""]


@pytest.mark.usefixtures("reply_queue", "walls")
class TestB1B3WhoseItIs:
    FRAMES: tuple[Callable[[str], Frame], ...] = (
        lambda chat_id: {"message": "Привет", "chat_id": chat_id},
        lambda chat_id: {"command": "switch_chat", "chat_id": chat_id},
        lambda chat_id: {"command": "restore_history", "chat_id": chat_id},
    )

    @pytest.mark.parametrize("frame", FRAMES, ids=["message", "switch_chat", "restore_history"])
    def test_a_chat_of_somebody_else_is_not_there(
        self,
        frame: Callable[[str], Frame],
        socket: Socket,
        user: User,
        session: Session,
        transaction: Connection,
    ) -> None:
        mine, deleted = a_course(user, key=KEY), a_course(user)
        strangers = [a_course(a_user(), key=KEY), a_course(a_guest())]
        session.execute(delete(ChatSession).where(ChatSession.id == deleted.chat_session.id))
        session.commit()
        before = rows(transaction)
        [nobodys] = socket.send(frame(str(uuid4())))
        assert is_error(nobodys, "not_found")
        for chat in (*(course.chat for course in strangers), deleted.chat):
            [foreign] = socket.send(frame(str(chat.id)))
            assert without_time(foreign) == without_time(nobodys)
        assert rows(transaction) == before
        assert (waiting(), is_open(socket)) == ([], True)
        [own] = socket.send(frame(str(mine.chat.id)))
        assert own["type"] != "error"

    def test_a_reply_of_somebody_else_cannot_be_cancelled(
        self, socket: Socket, switchboard: Switchboard, session: Session
    ) -> None:
        [nobodys] = socket.send({"type": "cancel", "message_id": str(uuid4())})
        assert is_error(nobodys, "not_found")
        for stranger in (a_user(), a_guest()):
            [accepted] = Socket(switchboard, a_login_of(stranger)).opened().say("Моё")
            [foreign] = socket.send({"type": "cancel", "message_id": accepted["message_id"]})
            assert without_time(foreign) == without_time(nobodys)
        assert socket.send({"type": "cancel"}) == []
        touched = or_(Message.cancel_requested, Message.status == "cancelled")
        assert session.scalars(select(Message).where(touched)).all() == []

    def test_B2_a_message_into_a_chat_of_my_other_session_is_refused(
        self, socket: Socket, user: User, session: Session
    ) -> None:
        other = a_course(user, messages=0)
        [frame] = socket.say(chat_id=str(other.chat.id))
        assert is_error(frame, "not_found")
        assert stored(session) == []

    def test_B4_a_user_id_and_fields_that_nobody_knows_are_ignored(
        self, socket: Socket, user: User, session: Session
    ) -> None:
        stranger = a_course(a_user(), key="theirs", messages=0)
        more = {"user_id": stranger.owner.id, "session_id": "theirs", "role": "admin", "sender_type": "ai"}
        [accepted] = socket.say("Привет", **more, type="text", id=str(uuid4()), status="failed")
        assert (accepted["type"], accepted["session_id"]) == ("message_accepted", KEY)
        found = session.execute(
            select(ChatSession.user_id, ChatSession.key, Message.sender_type, Message.status)
            .join(Chat, Chat.session_id == ChatSession.id)
            .join(Message, Message.chat_id == Chat.id)
            .where(Message.message_content == "Привет")
        ).one()
        assert tuple(found) == (user.id, KEY, "user", "complete")
        for frame in ({"type": "ping"}, {"type": "restore_chat"}, {"command": "get_user_chats"}):
            [answer] = socket.send({**frame, **more, "type": frame.get("type")})
            assert answer["type"] != "error"
            assert "theirs" not in json.dumps(answer)


@pytest.mark.usefixtures("reply_queue")
def test_B3_without_either_wall_these_frames_would_show_it(
    socket: Socket, switchboard: Switchboard, transaction: Connection
) -> None:
    theirs = a_course(a_user(), key=KEY)
    victim = Socket(switchboard, a_login_of(theirs.owner)).opened()
    [accepted] = victim.say("Моё")
    cancel = {"type": "cancel", "message_id": accepted["message_id"]}
    frames = [*(frame(str(theirs.chat.id)) for frame in TestB1B3WhoseItIs.FRAMES), cancel]
    with no_owner_clauses():
        assert [socket.send(frame)[0]["type"] for frame in frames] == ["error"] * 4
        take_down_policies(transaction)
        leaked = [socket.send(frame)[0]["type"] for frame in frames]
    assert leaked == ["message_accepted", "chat_switched", "history_restored", "ai_response"]


def without_time(frame: Frame) -> Frame:
    return {name: value for name, value in frame.items() if name != "timestamp"}


def test_a_ping_is_answered_with_a_pong_to_who_asked_alone(socket: Socket, switchboard: Switchboard) -> None:
    other_tab = Socket(switchboard, socket.token).opened()
    [pong] = socket.send({"type": "ping"})
    datetime.fromisoformat(pong["timestamp"])
    assert without_time(pong) == {"type": "pong", "session_id": KEY}
    assert other_tab.frames == []


@pytest.mark.usefixtures("reply_queue")
@pytest.mark.parametrize("key", [KEY, "урок 💃"])
def test_every_frame_of_the_server_has_a_type_and_its_session(
    key: str, user: User, api: Api, switchboard: Switchboard, model: ScriptedModel
) -> None:
    socket = Socket(switchboard, a_login_of(user), session_id=key).opened()
    track = api(user).post("/api/tracks", {"title": "Танго"}).body
    [accepted] = socket.say()
    deliver_all()
    model.fails(401)
    socket.say("Ещё")
    deliver_all()
    socket.say("Хватит")
    socket.send({"type": "cancel"})
    for name in ("ping", "restore_chat", "dance"):
        socket.send({"type": name})
    for name in ("switch_chat", "restore_history", "get_user_chats"):
        socket.send({"command": name, "chat_id": accepted["chat_id"]})
    here = {"session_id": key, "track_id": track["id"], "skill_area": "танцы"}
    assert api(user).post("/api/ai/finalize-course-plan", here).status == 200
    assert {frame["type"] for frame in socket.frames} == {
        "message_accepted",
        "ai_delta",
        "ai_response",
        "error",
        "pong",
        "chat_restored",
        "chat_switched",
        "history_restored",
        "user_chats",
        "finalization_complete",
    }
    assert {frame["session_id"] for frame in socket.frames} == {key}


Ending = Callable[[Client, Session], None]


def expire(client: Client, session: Session) -> None:
    """The token's hour is over; the socket's row says when that is."""
    claims = auth.read_token(client.token or "")
    for connection in connections.of_user(claims.user_id):
        if connection.login_id == claims.login_id:
            past = datetime.now(UTC) - timedelta(seconds=1)
            connections.remember(replace(connection, token_expires_at=past))


def log_out(client: Client, session: Session) -> None:
    assert client.post("/api/auth/logout").status == 204


def log_out_everywhere(client: Client, session: Session) -> None:
    assert another_login(client).post("/api/auth/logout-all").status == 204


def change_the_password_elsewhere(client: Client, session: Session) -> None:
    body = {"current_password": PASSWORD, "new_password": "another horse battery"}
    assert another_login(client).put("/api/auth/password", body).status == 204


def deactivate(client: Client, session: Session) -> None:
    owner = auth.read_token(client.token or "").user_id
    session.execute(update(User).where(User.id == owner).values(is_active=False))
    session.commit()


def delete_the_account(client: Client, session: Session) -> None:
    assert another_login(client).delete("/api/auth/me", {"password": PASSWORD}).status == 204


def another_login(client: Client) -> Client:
    with looking() as session:
        owner = session.get_one(User, auth.read_token(client.token or "").user_id)
    return Client(a_login_of(owner))


ENDINGS: tuple[Ending, ...] = (
    expire,
    log_out,
    log_out_everywhere,
    change_the_password_elsewhere,
    deactivate,
    delete_the_account,
)


@pytest.mark.usefixtures("reply_queue")
class TestF3TheLogIn:
    @pytest.fixture
    def someone(self, transaction: Connection) -> User:
        """Somebody with a password."""
        return a_user(password_hash=auth.hash_password(PASSWORD))

    @pytest.mark.parametrize("end", ENDINGS)
    def test_A10_that_has_ended_ends_the_socket_with_its_next_frame(
        self,
        end: Ending,
        someone: User,
        switchboard: Switchboard,
        session: Session,
        model: ScriptedModel,
    ) -> None:
        token = a_login_of(someone)
        socket = Socket(switchboard, token).opened()
        socket.say("Раньше")
        deliver_all()
        asked, frames = len(model.requests), len(socket.frames)
        end(Client(token), session)
        [frame] = socket.say("Потом")
        assert is_error(frame, "token_expired")
        assert (is_open(socket), is_known(socket)) == (False, False)
        assert "Потом" not in stored(session)
        assert (waiting(), len(model.requests)) == ([], asked)
        assert socket.send({"type": "restore_chat"}) == []
        assert len(socket.frames) == frames + 1

    @pytest.mark.parametrize(
        "frame",
        [
            {"type": "ping"},
            {"type": "restore_chat"},
            {"type": "cancel"},
            {"command": "get_user_chats"},
            {"type": "dance"},
            "not JSON",
        ],
        ids=str,
    )
    def test_that_has_ended_is_noticed_with_every_frame(
        self, frame: Any, socket: Socket, session: Session
    ) -> None:
        log_out(Client(socket.token), session)
        [answer] = socket.send(frame)
        assert is_error(answer, "token_expired")
        assert not is_open(socket)

    def test_of_another_device_goes_on(self, someone: User, switchboard: Switchboard) -> None:
        phone = Socket(switchboard, a_login_of(someone)).opened()
        laptop = Socket(switchboard, a_login_of(someone)).opened()
        assert Client(phone.token).post("/api/auth/logout").status == 204
        [ended], [accepted] = phone.say(), laptop.say()
        assert (ended["code"], accepted["type"]) == ("token_expired", "message_accepted")
        assert (is_open(phone), is_open(laptop), is_known(laptop)) == (False, True, True)

    def test_that_changed_the_password_goes_on(self, someone: User, switchboard: Switchboard) -> None:
        socket = Socket(switchboard, a_login_of(someone)).opened()
        body = {"current_password": PASSWORD, "new_password": "another horse battery"}
        assert Client(socket.token).put("/api/auth/password", body).status == 204
        [accepted] = socket.say()
        assert accepted["type"] == "message_accepted"

    def test_of_a_guest_ends_with_the_guest(self, switchboard: Switchboard, session: Session) -> None:
        guest = a_guest()
        socket = Socket(switchboard, a_login_of(guest)).opened()
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(User).where(User.id == guest.id).values(expires_at=past))
        session.commit()
        [frame] = socket.say()
        assert is_error(frame, "token_expired")


def test_a_frame_on_a_socket_without_a_row_closes_it(
    transaction: Connection, user: User, switchboard: Switchboard, session: Session
) -> None:
    socket = Socket(switchboard, a_login_of(user))
    assert socket.say() == []
    assert (is_open(socket), stored(session)) == (False, [])


@pytest.mark.usefixtures("reply_queue")
class TestF5TooFast:
    def test_the_eleventh_message_is_refused_and_the_socket_stays_open(
        self, socket: Socket, session: Session, switchboard: Switchboard
    ) -> None:
        other_tab = Socket(switchboard, socket.token, session_id="another").opened()
        for number in range(10):
            [accepted] = (socket, other_tab)[number % 2].say(f"Слово {number}")
            assert accepted["type"] == "message_accepted"
        before = stored(session)
        for tab in (socket, other_tab):
            [frame] = tab.say("Лишнее")
            assert is_error(frame, "rate_limited", tab.session_id)
            assert 1 <= frame["retry_after"] <= 10
        assert stored(session) == before
        assert deliver_all() == 10
        assert (is_open(socket), is_open(other_tab)) == (True, True)
        [pong] = socket.send({"type": "ping"})
        assert pong["type"] == "pong"

    def test_is_nobody_elses_business(self, socket: Socket, switchboard: Switchboard) -> None:
        for number in range(11):
            socket.say(f"Слово {number}")
        stranger = Socket(switchboard, a_login_of(a_user())).opened()
        [accepted] = stranger.say()
        assert accepted["type"] == "message_accepted"

    def test_is_over_when_the_window_is(self, socket: Socket, session: Session) -> None:
        for number in range(11):
            socket.say(f"Слово {number}")
        session.execute(update(Throttle).values(window_ends_at=datetime.now(UTC) - timedelta(seconds=60)))
        session.commit()
        [accepted] = socket.say("Снова")
        assert accepted["type"] == "message_accepted"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMES = ("restore_chat", "cancel", "ping", "text", "switch_chat", "get_user_chats", "restore_history")
ALMOST = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(NAMES) | VALUES,
        "command": st.sampled_from(NAMES) | VALUES,
        "message": st.text(st.characters()) | VALUES,
        "chat_id": st.uuids().map(str) | VALUES,
        "message_id": st.uuids().map(str) | VALUES,
        "client_message_id": st.text(max_size=5) | VALUES,
    },
)
TEXTS = st.one_of(
    ALMOST.map(json.dumps),
    VALUES.map(json.dumps),
    st.text(st.characters(codec=None), max_size=200),
    ALMOST.map(json.dumps).flatmap(lambda text: st.integers(0, len(text)).map(lambda end: text[:end])),
)
STABLE = {
    "malformed_frame",
    "unknown_type",
    "unknown_command",
    "empty_message",
    "invalid_frame",
    "not_found",
    "rate_limited",
}


@given(text=TEXTS)
@settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_F20_whatever_is_sent_is_answered_and_the_socket_stays_open(text: str, socket: Socket) -> None:
    frames = socket.send(text)
    assert is_open(socket)
    # Only a cancel may have nothing to say, and then only if there was nothing to stop.
    assert len(frames) == 1 or '"cancel"' in text
    for frame in frames:
        assert frame["session_id"] == KEY
        assert frame["type"] != "error" or frame["code"] in STABLE


class TestG9Outages:
    def test_without_the_database_a_frame_is_unavailable_and_the_next_is_served(
        self, socket: Socket, session: Session
    ) -> None:
        with no_database():
            for frame in ({"message": "Привет"}, {"type": "restore_chat"}, {"command": "get_user_chats"}):
                [answer] = socket.send(frame)
                assert is_error(answer, "db_unavailable")
                assert answer["retry_after"] == 5
        assert is_open(socket)
        [accepted] = socket.say("Снова")
        assert accepted["type"] == "message_accepted"
        assert stored(session) == ["Снова", ""]

    def test_without_dynamodb_a_frame_is_unavailable_whosever_it_is(self, socket: Socket) -> None:
        with no_dynamodb():
            [answer] = socket.say()
        assert is_error(answer, "unavailable", key=None)
        assert is_open(socket)
        [accepted] = socket.say()
        assert accepted["type"] == "message_accepted"

    def test_E4_without_the_queue_words_are_kept_and_accepted(self, socket: Socket, session: Session) -> None:
        with no_queue():
            [accepted] = socket.say("Сохрани меня")
        assert accepted["type"] == "message_accepted"
        found = select(Message.message_content, Message.status).order_by(Message.position)
        assert [tuple(row) for row in session.execute(found)] == [
            ("Сохрани меня", "complete"),
            ("", "pending"),
        ]
