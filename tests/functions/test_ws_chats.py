"""Chats over the socket: restored, switched to, listed, within a frame's size, and each user's own alone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.orm import Session

from academy.models import Chat, ChatSession, Message, Track, User
from tests.client import Client
from tests.conftest import Api
from tests.deliveries import deliver_all
from tests.factories import Course, a_course, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.functions.test_statements import counted
from tests.sockets import LIMIT_BYTES, Frame, Socket, Switchboard, spoken

KEY = "1718000000000abc123xyz"
NOTHING: Frame = {
    "type": "chat_restored",
    "session_id": KEY,
    "success": True,
    "has_existing_chat": False,
    "chat_id": None,
    "chat_info": None,
    "history": [],
    "message_count": 0,
    "has_more": False,
    "reply_in_progress": None,
}


@pytest.fixture(autouse=True)
def fresh(model: ScriptedModel, switchboard: Switchboard, reply_queue: None) -> Iterator[None]:
    model.reset()
    switchboard.reset()
    yield
    model.reset()


@pytest.fixture
def client(api: Api, user: User) -> Client:
    return api(user)


@pytest.fixture
def course(user: User) -> Course:
    """Something of everything, in the session that the socket is on."""
    return a_course(user, key=KEY)


def restored(socket: Socket) -> Frame:
    [frame] = socket.send({"type": "restore_chat"})
    assert frame["type"] == "chat_restored", frame
    return frame


def command(socket: Socket, name: str, **more: Any) -> Frame:
    [frame] = socket.send({"command": name, **more})
    return frame


def texts(frame: Frame) -> list[str]:
    return [message["content"] for message in frame["history"]]


def add(session: Session, chat: Chat, *contents: str, **fields: Any) -> None:
    """Messages in a chat, one after the other."""
    values = [
        {"id": uuid4(), "chat_id": chat.id, "sender_type": "user", "message_content": content, **fields}
        for content in contents
    ]
    session.execute(insert(Message), values)
    session.commit()


def add_reply(session: Session, chat: Chat, text: str, **fields: Any) -> UUID:
    question = Message(id=uuid4(), chat_id=chat.id, sender_type="user", message_content="Вопрос")
    reply = Message(id=uuid4(), chat_id=chat.id, sender_type="ai", message_content=text, **fields)
    reply.reply_to = question.id
    session.add(question)
    session.flush()
    session.add(reply)
    session.commit()
    return reply.id


def a_chat(session: Session, course: Course, kind: str = "track_manager", **fields: Any) -> Chat:
    chat = Chat(session_id=course.chat_session.id, chat_type=kind, **fields)
    session.add(chat)
    session.commit()
    return chat


class TestRestoringAChat:
    def test_that_is_not_there_yet_says_so(self, socket: Socket) -> None:
        frame = restored(socket)
        datetime.fromisoformat(frame.pop("timestamp"))
        assert frame == NOTHING

    def test_makes_the_session_but_no_chat(self, socket: Socket, client: Client) -> None:
        restored(socket)
        [found] = client.get("/api/chat/sessions").body
        assert (found["id"], client.get(f"/api/chat/sessions/{KEY}/chats").body) == (KEY, [])

    def test_shows_it_as_rest_does(self, socket: Socket, client: Client, course: Course) -> None:
        frame = restored(socket)
        [chat] = client.get(f"/api/chat/sessions/{KEY}/chats").body
        assert (frame["success"], frame["has_existing_chat"]) == (True, True)
        assert (frame["chat_id"], frame["chat_info"]) == (chat["id"], chat)
        said = client.get(f"/api/chat/chats/{chat['id']}/messages").body
        assert [one["id"] for one in frame["history"]] == [one["id"] for one in said]
        assert texts(frame) == ["Слово 0", "Слово 1"]
        assert [one["sender"] for one in frame["history"]] == ["user", "ai"]
        assert (frame["message_count"], frame["has_more"], frame["reply_in_progress"]) == (2, False, None)

    def test_history_has_the_shape_of_a_modules(
        self, socket: Socket, client: Client, course: Course, session: Session
    ) -> None:
        lecture = a_chat(session, course, "lecture_agent", module_id=course.module.id)
        add(session, lecture, "Раз", "Два")
        add_reply(session, lecture, "Три", ai_model_used="scripted", tokens_used=42)
        frame = command(socket, "switch_chat", chat_id=str(lecture.id))
        here = {"track_id": str(course.track.id), "module_id": str(course.module.id), "session_id": KEY}
        history = client.post("/api/ai/module-chat-history", here).body["history"]
        assert len(history) == 4
        assert frame["history"] == restored(socket)["history"] == history

    def test_leaves_out_what_failed_and_what_nobody_has_begun(
        self, socket: Socket, course: Course, session: Session
    ) -> None:
        add_reply(session, course.chat, "полсло", status="failed")
        add_reply(session, course.chat, "Хватит", status="cancelled")
        waiting = add_reply(session, course.chat, "", status="pending")
        frame = restored(socket)
        assert texts(frame) == ["Слово 0", "Слово 1", "Вопрос", "Вопрос", "Хватит", "Вопрос"]
        assert frame["message_count"] == 6
        assert frame["reply_in_progress"] == {
            "message_id": str(waiting),
            "content": "",
            "has_more": False,
            "next_seq": 0,
        }

    def test_F7_shows_a_reply_under_way_as_far_as_it_has_come(
        self, socket: Socket, course: Course, session: Session
    ) -> None:
        fields = {"status": "streaming", "next_seq": 7}
        reply_id = add_reply(session, course.chat, "Начнём с", **fields)
        add_reply(session, course.chat, "", status="pending")
        frame = restored(socket)
        shown = {"message_id": str(reply_id), "content": "Начнём с", "has_more": False, "next_seq": 7}
        assert frame["reply_in_progress"] == shown
        assert texts(frame)[-2:] == ["Вопрос", "Вопрос"]

    def test_F7_shows_a_reply_that_came_while_nobody_was_there(
        self, socket: Socket, switchboard: Switchboard, model: ScriptedModel
    ) -> None:
        model.says("Начнём ", "с ", "баланса.")
        [accepted] = socket.say()
        socket.vanish()
        deliver_all()
        back = Socket(switchboard, socket.token).opened()
        frame = restored(back)
        assert texts(frame) == ["Привет", "Начнём с баланса."]
        assert (frame["chat_id"], frame["reply_in_progress"]) == (accepted["chat_id"], None)

    def test_is_for_who_asked_alone(self, socket: Socket, switchboard: Switchboard, course: Course) -> None:
        other_tab = Socket(switchboard, socket.token).opened()
        restored(socket)
        assert other_tab.frames == []


class TestF5AFrameHolds128KB:
    def test_of_a_long_history_the_newest(
        self, socket: Socket, course: Course, session: Session, switchboard: Switchboard
    ) -> None:
        said = [f"{number:04} " + "я" * 5_000 for number in range(50)]
        add(session, course.chat, *said)
        frame = restored(socket)
        shown = texts(frame)
        assert shown == said[-len(shown) :]
        assert (frame["has_more"], frame["message_count"]) == (True, len(shown))
        assert 100_000 < switchboard.largest <= LIMIT_BYTES

    @pytest.mark.parametrize(("number", "has_more"), [(200, False), (201, True), (350, True)])
    def test_of_many_short_messages_two_hundred(
        self, number: int, has_more: bool, user: User, socket: Socket, session: Session
    ) -> None:
        course = a_course(user, key=KEY, messages=0)
        said = [f"Слово {n}" for n in range(number)]
        add(session, course.chat, *said)
        frame = restored(socket)
        assert texts(frame) == said[-200:]
        assert (frame["has_more"], frame["message_count"]) == (has_more, 200)

    @pytest.mark.parametrize("letter", ["a", "я", "💃", "\x01", '"', "\\"])
    def test_of_a_giant_message_its_beginning(
        self, letter: str, socket: Socket, course: Course, session: Session, switchboard: Switchboard
    ) -> None:
        giant = "Начало " + letter * 200_000
        add(session, course.chat, giant)
        frame = restored(socket)
        [shown] = texts(frame)
        assert giant.startswith(shown)
        assert (frame["has_more"], frame["message_count"]) == (True, 1)
        assert 100_000 < switchboard.largest <= LIMIT_BYTES

    def test_of_a_giant_message_and_words_after_it_only_those(
        self, socket: Socket, course: Course, session: Session
    ) -> None:
        add(session, course.chat, "я" * 200_000, "Раз", "Два")
        frame = restored(socket)
        assert (texts(frame), frame["has_more"]) == (["Раз", "Два"], True)

    def test_beside_a_long_reply_under_way_some_history(
        self, socket: Socket, course: Course, session: Session, switchboard: Switchboard
    ) -> None:
        add(session, course.chat, *(f"{number} " + "я" * 5_000 for number in range(30)))
        text = "б" * 100_000
        add_reply(session, course.chat, text, status="streaming", next_seq=30)
        frame = restored(socket)
        partial = frame["reply_in_progress"]
        assert text.startswith(partial["content"])
        assert (len(partial["content"]) > 25_000, partial["has_more"]) == (True, True)
        assert (len(frame["history"]) > 3, frame["has_more"]) == (True, True)
        assert switchboard.largest <= LIMIT_BYTES

    def test_of_sessions_with_long_names_the_newest(
        self, socket: Socket, user: User, session: Session, switchboard: Switchboard
    ) -> None:
        keys = many_sessions(session, user, 120, chats=3, name="💃" * 255)
        frame = command(socket, "get_user_chats")
        shown = [one["session_id"] for one in frame["chats"]]
        assert shown == keys[: len(shown)]
        assert (len(shown) > 10, frame["has_more"]) == (True, True)
        assert 90_000 < switchboard.largest <= LIMIT_BYTES

    @pytest.mark.parametrize(("number", "has_more"), [(200, False), (201, True)])
    def test_of_many_sessions_two_hundred(
        self, number: int, has_more: bool, socket: Socket, user: User, session: Session
    ) -> None:
        keys = many_sessions(session, user, number)
        frame = command(socket, "get_user_chats")
        assert [one["session_id"] for one in frame["chats"]] == keys[:200]
        assert frame["has_more"] is has_more


def many_sessions(session: Session, user: User, number: int, *, chats: int = 0, name: str = "") -> list[str]:
    """Sessions of a user, a minute after each other; their keys, the newest first."""
    now = datetime.now(UTC)
    ids = [(uuid4(), f"k{n}", now - timedelta(minutes=n)) for n in range(number)]
    rows = [
        {"id": id_, "user_id": user.id, "key": key, "session_name": name, "created_at": created_at}
        for id_, key, created_at in ids
    ]
    if rows:
        session.execute(insert(ChatSession), rows)
    about = {"chat_type": "track_manager", "chat_name": name}
    if rows and chats:
        session.execute(
            insert(Chat),
            [{"id": uuid4(), "session_id": id_, **about} for id_, _, _ in ids for _ in range(chats)],
        )
    session.commit()
    return [key for _, key, _ in ids]


class TestSwitching:
    @pytest.fixture
    def other(self, user: User) -> Course:
        return a_course(user, messages=4)

    def test_to_another_chat_of_this_session_shows_it(
        self, socket: Socket, course: Course, session: Session, client: Client
    ) -> None:
        older = a_chat(session, course, created_at=datetime.now(UTC) - timedelta(days=1))
        add(session, older, "Давно")
        assert restored(socket)["chat_id"] == str(course.chat.id)
        frame = command(socket, "switch_chat", chat_id=str(older.id))
        [chat] = [
            one for one in client.get(f"/api/chat/sessions/{KEY}/chats").body if one["id"] == str(older.id)
        ]
        assert (frame["type"], frame["success"], frame["chat_id"]) == ("chat_switched", True, str(older.id))
        assert (texts(frame), frame["message_count"]) == (["Давно"], 1)
        assert frame["chat_info"].keys() == chat.keys()
        assert restored(socket)["chat_id"] == str(older.id)

    def test_to_a_chat_of_my_other_session_shows_it_with_its_own_session(
        self, socket: Socket, course: Course, other: Course
    ) -> None:
        frame = command(socket, "switch_chat", chat_id=str(other.chat.id))
        assert (frame["chat_id"], frame["session_id"]) == (str(other.chat.id), KEY)
        assert frame["chat_info"]["session_id"] == other.chat_session.key
        assert (len(texts(frame)), frame["message_count"]) == (4, 4)

    def test_sends_words_that_name_no_chat_there(
        self, switchboard: Switchboard, socket: Socket, course: Course, other: Course, client: Client
    ) -> None:
        switch = Socket(switchboard, socket.token, channel="switch").opened()
        assert command(switch, "switch_chat", chat_id=str(other.chat.id))["type"] == "chat_switched"
        [accepted] = socket.say("Через сокет")
        assert accepted["chat_id"] == str(other.chat.id)
        deliver_all()
        said = {"session_id": KEY, "message": "Через HTTP"}
        reply = client.post("/api/ai/chat-response", said)
        assert (reply.status, reply.body["chat_id"]) == (200, str(other.chat.id))
        here = texts(command(switch, "restore_history", chat_id=str(other.chat.id)))
        assert [here[4], here[6]] == ["Через сокет", "Через HTTP"]
        assert len(here) == 8
        assert len(texts(command(switch, "restore_history", chat_id=str(course.chat.id)))) == 2

    def test_leaves_words_that_name_a_chat_alone(self, socket: Socket, course: Course, other: Course) -> None:
        command(socket, "switch_chat", chat_id=str(other.chat.id))
        [named] = socket.say("Сюда", chat_id=str(course.chat.id))
        assert named["chat_id"] == str(course.chat.id)
        [there] = socket.say("Туда", chat_id=str(other.chat.id))
        assert there["chat_id"] == str(other.chat.id)

    def test_concerns_this_session_alone(
        self, socket: Socket, switchboard: Switchboard, course: Course, other: Course
    ) -> None:
        command(socket, "switch_chat", chat_id=str(other.chat.id))
        elsewhere = Socket(switchboard, socket.token, session_id="elsewhere").opened()
        [accepted] = elsewhere.say()
        assert accepted["chat_id"] not in {str(course.chat.id), str(other.chat.id)}

    def test_to_a_strangers_chat_is_refused_and_words_go_where_they_went(
        self, socket: Socket, course: Course
    ) -> None:
        stranger = a_course(a_user(), key=KEY)
        frame = command(socket, "switch_chat", chat_id=str(stranger.chat.id))
        assert (frame["type"], frame["code"]) == ("error", "not_found")
        [accepted] = socket.say()
        assert accepted["chat_id"] == str(course.chat.id)

    def test_ends_when_the_other_session_is_deleted(
        self, socket: Socket, course: Course, other: Course, client: Client
    ) -> None:
        command(socket, "switch_chat", chat_id=str(other.chat.id))
        assert client.delete(f"/api/tracks/{other.track.id}").status == 200
        assert restored(socket)["chat_id"] == str(course.chat.id)
        [accepted] = socket.say()
        assert accepted["chat_id"] == str(course.chat.id)

    def test_ends_in_a_new_chat_where_there_is_no_other(
        self, socket: Socket, other: Course, client: Client
    ) -> None:
        command(socket, "switch_chat", chat_id=str(other.chat.id))
        assert client.delete(f"/api/tracks/{other.track.id}").status == 200
        frame = restored(socket)
        del frame["timestamp"]
        assert frame == NOTHING
        [accepted] = socket.say()
        assert restored(socket)["chat_id"] == accepted["chat_id"] != str(other.chat.id)

    def test_to_a_modules_chat_has_the_tutor_speak_about_the_module(
        self, socket: Socket, course: Course, session: Session, model: ScriptedModel
    ) -> None:
        lecture = a_chat(session, course, "lecture_agent", module_id=course.module.id)
        command(socket, "switch_chat", chat_id=str(lecture.id))
        socket.say("Что здесь?")
        deliver_all()
        assert course.module.title in json.dumps(model.requests[-1].messages, ensure_ascii=False)


class TestListing:
    def test_without_anything_is_empty(self, socket: Socket) -> None:
        frame = command(socket, "get_user_chats")
        datetime.fromisoformat(frame.pop("timestamp"))
        assert frame == {"type": "user_chats", "session_id": KEY, "chats": [], "has_more": False}

    def test_has_every_session_with_its_track_and_its_chats(
        self, socket: Socket, course: Course, client: Client, session: Session
    ) -> None:
        session.get_one(Track, course.track.id).title = "Танго и вальс"
        a_chat(session, course, "lecture_agent", module_id=course.module.id, chat_name="Шаг 0")
        [listed] = command(socket, "get_user_chats")["chats"]
        [known] = client.get("/api/chat/sessions").body
        assert listed == {
            "session_id": KEY,
            "session_name": known["session_name"],
            "track_id": str(course.track.id),
            "track_title": "Танго и вальс",
            "session_created_at": known["created_at"],
            "chats": client.get(f"/api/chat/sessions/{KEY}/chats").body,
        }
        assert [chat["chat_name"] for chat in listed["chats"]] == ["Шаг 0", ""]

    def test_of_a_session_without_track_or_chats_says_so(self, socket: Socket) -> None:
        restored(socket)
        [listed] = command(socket, "get_user_chats")["chats"]
        assert (listed["track_id"], listed["track_title"], listed["chats"]) == (None, None, [])

    def test_begins_with_the_newest(self, socket: Socket, user: User) -> None:
        keys = [a_course(user, modules=1, messages=0).chat_session.key for _ in range(4)]
        listed = command(socket, "get_user_chats")["chats"]
        assert [one["session_id"] for one in listed] == keys[::-1]

    def test_of_one_session_has_its_fifty_newest_chats(
        self, socket: Socket, course: Course, session: Session
    ) -> None:
        now = datetime.now(UTC)
        for number in range(60):
            created_at = now + timedelta(minutes=number)
            a_chat(session, course, chat_name=str(number), created_at=created_at)
        # An index has them in the right order already, which nobody promised.
        for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
            session.execute(text(f"SET LOCAL enable_{kind} = off"))
        [listed] = command(socket, "get_user_chats")["chats"]
        assert [chat["chat_name"] for chat in listed["chats"]] == [str(n) for n in range(59, 9, -1)]

    def test_of_several_sessions_has_as_many_each(self, socket: Socket, user: User, session: Session) -> None:
        many_sessions(session, user, 2, chats=40)
        listed = command(socket, "get_user_chats")["chats"]
        assert [len(one["chats"]) for one in listed] == [40, 40]

    def test_shows_nothing_of_anybody_else(self, socket: Socket, course: Course) -> None:
        stranger = a_course(a_user(first_name="Чужой"), key=KEY)
        frame = command(socket, "get_user_chats")
        [listed] = frame["chats"]
        assert [chat["id"] for chat in listed["chats"]] == [str(course.chat.id)]
        assert not [one for one in stranger.ids.values() if one in json.dumps(frame)]


class TestRestoringAHistory:
    def test_shows_any_chat_of_mine_and_switches_nothing(
        self, socket: Socket, course: Course, user: User
    ) -> None:
        other = a_course(user, messages=3)
        frame = command(socket, "restore_history", chat_id=str(other.chat.id))
        assert (frame["type"], frame["chat_id"]) == ("history_restored", str(other.chat.id))
        assert (texts(frame), frame["message_count"]) == (["Слово 0", "Слово 1", "Слово 2"], 3)
        assert restored(socket)["chat_id"] == str(course.chat.id)

    def test_of_a_chat_without_words_is_empty(self, socket: Socket, user: User) -> None:
        course = a_course(user, messages=0)
        frame = command(socket, "restore_history", chat_id=str(course.chat.id))
        assert (frame["history"], frame["message_count"], frame["has_more"]) == ([], 0, False)


# One of each finds out whether the log-in still stands.
STATEMENTS = {
    "ping": ({"type": "ping"}, 2),
    "restore_chat": ({"type": "restore_chat"}, 7),
    "switch_chat": ({"command": "switch_chat", "chat_id": "?"}, 7),
    "restore_history": ({"command": "restore_history", "chat_id": "?"}, 5),
    "get_user_chats": ({"command": "get_user_chats"}, 4),
    "message": ({"message": "Привет"}, 8),
}


@pytest.mark.parametrize("size", [1, 30])
@pytest.mark.parametrize(("frame", "number"), STATEMENTS.values(), ids=STATEMENTS)
def test_a_frame_takes_its_number_of_statements_however_much_somebody_owns(
    frame: Frame, number: int, size: int, socket: Socket, user: User, session: Session
) -> None:
    course = a_course(user, modules=1, messages=0, key=KEY)
    add(session, course.chat, *(f"Слово {n}" for n in range(2 * size)))
    many_sessions(session, user, size - 1, chats=size)
    if "chat_id" in frame:
        frame = {**frame, "chat_id": str(course.chat.id)}
    with counted() as statements:
        [answer] = socket.send(frame)
    assert answer["type"] != "error"
    assert len(statements) == number, statements


class TestF4OneKeyOfManyUsers:
    USERS, MESSAGES = 10, 2

    def test_everybody_gets_all_of_their_own_and_nothing_else(
        self, transaction: Connection, switchboard: Switchboard
    ) -> None:
        sockets = [Socket(switchboard, a_login_of(a_user())).opened() for _ in range(self.USERS)]
        canaries = [[uuid4().hex for _ in range(self.MESSAGES)] for _ in sockets]
        for number in range(self.MESSAGES):
            for socket, words in zip(sockets, canaries, strict=True):
                [accepted] = socket.say(words[number])
                assert accepted["type"] == "message_accepted"
        assert deliver_all() == self.USERS * self.MESSAGES
        for socket, words in zip(sockets, canaries, strict=True):
            frame = restored(socket)
            assert texts(frame) == [text for word in words for text in (word, f"You said: {word}")]
            replies = [response["message"] for response in socket.of_type("ai_response")]
            assert replies == [f"You said: {word}" for word in words]
            for response in socket.of_type("ai_response"):
                deltas = [
                    one for one in socket.of_type("ai_delta") if one["message_id"] == response["message_id"]
                ]
                assert spoken(deltas) == response["message"]
            received = json.dumps(socket.frames)
            foreign = [word for others in canaries if others is not words for word in others]
            assert not [word for word in foreign if word in received]

    def test_each_sees_only_what_is_theirs_however_they_ask(
        self, transaction: Connection, switchboard: Switchboard, session: Session
    ) -> None:
        courses = [a_course(a_user(), key=KEY) for _ in range(2)]
        sockets = [Socket(switchboard, a_login_of(course.owner)).opened() for course in courses]
        for course in courses:
            add(session, course.chat, f"Тайна {course.owner.id}")
        for socket in sockets:
            restored(socket)
            command(socket, "get_user_chats")
            for course in courses:
                command(socket, "switch_chat", chat_id=str(course.chat.id))
                command(socket, "restore_history", chat_id=str(course.chat.id))
        for socket, mine, theirs in zip(sockets, courses, courses[::-1], strict=True):
            received = json.dumps(socket.frames, ensure_ascii=False)
            assert f"Тайна {mine.owner.id}" in received
            assert not [one for one in (theirs.owner.id, *theirs.ids.values()) if one in received]
            assert len(socket.of_type("error")) == 2

    def test_words_of_one_reach_no_socket_of_another_and_all_tabs_of_their_own(
        self, transaction: Connection, user: User, switchboard: Switchboard, session: Session
    ) -> None:
        token = a_login_of(user)
        tab, phone = Socket(switchboard, token).opened(), Socket(switchboard, a_login_of(user)).opened()
        stranger = Socket(switchboard, a_login_of(a_user())).opened()
        tab.say("Моё")
        deliver_all()
        assert [one["type"] for one in phone.frames] == [one["type"] for one in tab.frames]
        assert phone.last("ai_response") == tab.last("ai_response")
        assert stranger.frames == []
        owners = session.scalars(
            select(ChatSession.user_id).join(Chat, Chat.session_id == ChatSession.id).join(Message)
        )
        assert set(owners) == {user.id}
