"""`/api/chat`, by the front door."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from academy.models import Message, User
from tests.conftest import Api
from tests.factories import a_course, a_guest, a_user

KEY = "1718000000000abc123xyz"
STATUSES = ("active", "paused", "completed", "archived")
SESSION_FIELDS = {"id", "track_id", "session_name", "status", "created_at", "updated_at"}
CHAT_FIELDS = {"id", "session_id", "chat_name", "chat_type", "status", "created_at", "updated_at"}
MESSAGE_FIELDS = {
    "id",
    "chat_id",
    "sender_type",
    "message_content",
    "message_type",
    "ai_model_used",
    "tokens_used",
    "timestamp",
}


class TestSessions:
    def test_one_belongs_to_a_track(self, api: Api, user: User) -> None:
        course = a_course(user)
        body = {"track_id": course.ids["track_id"], "session_name": "Утро"}
        reply = api(user).post("/api/chat/sessions", body)
        assert (reply.status, reply.body.keys()) == (201, SESSION_FIELDS)
        assert {**body, "status": "active"}.items() <= reply.body.items()

    def test_one_may_have_no_track(self, api: Api, user: User) -> None:
        reply = api(user).post("/api/chat/sessions", {})
        assert (reply.status, reply.body["track_id"], reply.body["session_name"]) == (201, None, "")

    def test_the_newest_is_listed_first(self, api: Api, user: User) -> None:
        caller = api(user)
        made = [caller.post("/api/chat/sessions", {"session_name": name}).body for name in "abc"]
        assert caller.get("/api/chat/sessions").body == made[::-1]

    def test_only_the_callers_own_are_listed(self, api: Api, user: User) -> None:
        a_course(a_user())
        assert api(user).get("/api/chat/sessions").body == []

    def test_two_learners_use_one_session_key(self, api: Api, user: User) -> None:
        mine, theirs = a_course(user, key=KEY), a_course(a_user(), key=KEY)
        for course in (mine, theirs):
            chats = api(course.owner).get(f"/api/chat/sessions/{KEY}/chats").body
            assert [chat["id"] for chat in chats] == [course.ids["chat_id"]]
        assert api(user).put(f"/api/chat/sessions/{KEY}/status?status=archived").status == 200
        assert api(theirs.owner).get("/api/chat/sessions").body[0]["status"] == "active"


class TestSessionStatus:
    @pytest.mark.parametrize("status", STATUSES)
    @pytest.mark.parametrize("in_body", [True, False])
    def test_comes_in_the_body_or_the_query(self, status: str, in_body: bool, api: Api, user: User) -> None:
        a_course(user, key=KEY)
        path = f"/api/chat/sessions/{KEY}/status"
        reply = (
            api(user).put(path, {"status": status}) if in_body else api(user).put(f"{path}?status={status}")
        )
        assert (reply.status, reply.body["success"]) == (200, True)
        assert api(user).get("/api/chat/sessions").body[0]["status"] == status

    @pytest.mark.parametrize("body", [None, {}, {"status": None}, {"status": "done"}, {"status": 1}, []])
    def test_is_one_of_four(self, body: Any, api: Api, user: User) -> None:
        a_course(user, key=KEY)
        assert api(user).put(f"/api/chat/sessions/{KEY}/status", body).status == 422
        assert api(user).put(f"/api/chat/sessions/{KEY}/status?status=done").status == 422

    def test_is_not_for_guests(self, api: Api, user: User) -> None:
        guest = a_guest()
        a_course(guest, key=KEY)
        reply = api(guest).put(f"/api/chat/sessions/{KEY}/status?status=paused")
        assert (reply.status, reply.code) == (403, "guest_forbidden")
        assert api(guest).get("/api/chat/sessions").body[0]["status"] == "active"

    @pytest.mark.parametrize("key", ["unknown", "5f0c8a1e-2f4b-4c53-9a39-0b8f6e1d7a11", "x" * 128])
    def test_of_an_unknown_session_is_not_found(self, key: str, api: Api, user: User) -> None:
        a_course(a_user(), key=key)
        assert api(user).put(f"/api/chat/sessions/{key}/status?status=paused").status == 404

    def test_of_a_key_that_is_too_long_is_refused(self, api: Api, user: User) -> None:
        assert api(user).put(f"/api/chat/sessions/{'x' * 129}/status?status=paused").status == 422


class TestChats:
    @pytest.mark.parametrize("chat_type", ["track_manager", "lecture_agent"])
    def test_one_is_made_in_a_session(self, chat_type: str, api: Api, user: User) -> None:
        a_course(user, key=KEY)
        body = {"session_id": KEY, "chat_name": "План", "chat_type": chat_type}
        reply = api(user).post("/api/chat/chats", body)
        assert (reply.status, reply.body.keys()) == (201, CHAT_FIELDS)
        assert {**body, "status": "active"}.items() <= reply.body.items()

    def test_one_is_about_the_plan_unless_said_otherwise(self, api: Api, user: User) -> None:
        a_course(user, key=KEY)
        chat = api(user).post("/api/chat/chats", {"session_id": KEY}).body
        assert (chat["chat_type"], chat["chat_name"]) == ("track_manager", "")

    @pytest.mark.parametrize("change", [{"chat_type": "quiz"}, {"session_id": ""}, {"session_id": 1}])
    def test_a_malformed_one_is_refused(self, change: dict[str, Any], api: Api, user: User) -> None:
        assert api(user).post("/api/chat/chats", {"session_id": KEY, **change}).status == 422

    def test_none_is_made_in_somebody_elses_session(self, api: Api, user: User) -> None:
        a_course(a_user(), key=KEY)
        assert api(user).post("/api/chat/chats", {"session_id": KEY}).status == 404

    def test_the_newest_is_listed_first(self, api: Api, user: User) -> None:
        caller = api(user)
        key = caller.post("/api/chat/sessions", {}).body["id"]
        made = [caller.post("/api/chat/chats", {"session_id": key, "chat_name": name}).body for name in "abc"]
        assert caller.get(f"/api/chat/sessions/{key}/chats").body == made[::-1]

    def test_a_session_without_any_lists_none(self, api: Api, user: User) -> None:
        key = api(user).post("/api/chat/sessions", {}).body["id"]
        reply = api(user).get(f"/api/chat/sessions/{key}/chats")
        assert (reply.status, reply.body) == (200, [])

    def test_a_key_of_the_clients_own_not_used_yet_lists_none(self, api: Api, user: User) -> None:
        reply = api(user).get(f"/api/chat/sessions/{KEY}/chats")
        assert (reply.status, reply.body) == (200, [])

    def test_an_unknown_uuid_is_not_found(self, api: Api, user: User) -> None:
        assert api(user).get(f"/api/chat/sessions/{uuid4()}/chats").status == 404


class TestMessages:
    def test_the_oldest_comes_first(self, api: Api, user: User) -> None:
        course = a_course(user, messages=4)
        reply = api(user).get(f"/api/chat/chats/{course.chat.id}/messages")
        assert reply.status == 200
        assert all(message.keys() == MESSAGE_FIELDS for message in reply.body)
        assert [(one["sender_type"], one["message_content"]) for one in reply.body] == [
            ("user", "Слово 0"),
            ("ai", "Слово 1"),
            ("user", "Слово 2"),
            ("ai", "Слово 3"),
        ]

    @pytest.mark.parametrize(
        ("status", "shown"),
        [("complete", 1), ("cancelled", 1), ("pending", 0), ("streaming", 0), ("failed", 0)],
    )
    def test_a_reply_is_shown_once_it_has_ended(
        self, status: str, shown: int, api: Api, user: User, session: Session
    ) -> None:
        course = a_course(user, messages=0)
        session.add(Message(chat_id=course.chat.id, sender_type="ai", message_content="Да", status=status))
        session.commit()
        assert len(api(user).get(f"/api/chat/chats/{course.chat.id}/messages").body) == shown

    def test_a_chat_in_which_nothing_was_said_has_none(self, api: Api, user: User) -> None:
        course = a_course(user, messages=0)
        reply = api(user).get(f"/api/chat/chats/{course.chat.id}/messages")
        assert (reply.status, reply.body) == (200, [])


class TestChatStatus:
    @pytest.mark.parametrize("status", STATUSES)
    @pytest.mark.parametrize("in_body", [True, False])
    def test_comes_in_the_body_or_the_query(self, status: str, in_body: bool, api: Api, user: User) -> None:
        course = a_course(user, key=KEY)
        path = f"/api/chat/chats/{course.chat.id}/status"
        reply = (
            api(user).put(path, {"status": status}) if in_body else api(user).put(f"{path}?status={status}")
        )
        assert (reply.status, reply.body["success"]) == (200, True)
        assert api(user).get(f"/api/chat/sessions/{KEY}/chats").body[0]["status"] == status

    def test_is_for_guests_too(self, api: Api, user: User) -> None:
        guest = a_guest()
        course = a_course(guest, key=KEY)
        assert api(guest).put(f"/api/chat/chats/{course.chat.id}/status?status=paused").status == 200

    @pytest.mark.parametrize("body", [None, {}, {"status": "done"}])
    def test_is_one_of_four(self, body: Any, api: Api, user: User) -> None:
        course = a_course(user)
        assert api(user).put(f"/api/chat/chats/{course.chat.id}/status", body).status == 422
