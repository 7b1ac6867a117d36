"""`/api/tracks`, by the front door."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from academy.models import Chat, ChatSession, Lesson, Message, Module, Track, User
from tests.conftest import Api
from tests.factories import a_course, a_guest, a_user

EVERYTHING: dict[str, Any] = {
    "title": "Аргентинское танго",
    "description": "Вести и следовать",
    "skill_area": "танцы",
    "difficulty_level": "beginner",
    "estimated_duration_hours": 40,
    "user_expectations": "Хочу танцевать на милонге",
}
TRACK_FIELDS = {
    *EVERYTHING,
    "id",
    "status",
    "progress",
    "ai_generated_plan",
    "modules",
    "created_at",
    "updated_at",
}
MODULE_FIELDS = {
    "id",
    "module_number",
    "title",
    "description",
    "learning_objectives",
    "estimated_duration_hours",
    "status",
    "ai_generated_content",
    "created_at",
    "updated_at",
}


class TestCreate:
    def test_keeps_every_field(self, api: Api, user: User) -> None:
        reply = api(user).post("/api/tracks", EVERYTHING)
        assert reply.status == 201
        assert reply.body.keys() == TRACK_FIELDS
        assert EVERYTHING.items() <= reply.body.items()

    def test_starts_in_planning_with_nothing_done(self, api: Api, user: User) -> None:
        track = api(user).post("/api/tracks", EVERYTHING).body
        assert (track["status"], track["progress"], track["modules"]) == ("planning", 0, [])
        assert track["ai_generated_plan"] is None

    def test_needs_a_title_only(self, api: Api, user: User) -> None:
        track = api(user).post("/api/tracks", {"title": "Rust"}).body
        assert [track[name] for name in EVERYTHING] == ["Rust", None, None, None, None, None]

    @pytest.mark.parametrize("body", [{}, {"title": ""}, {"title": None}, {"title": 5}, {"title": "x" * 256}])
    def test_refuses_another_title(self, body: dict[str, Any], api: Api, user: User) -> None:
        reply = api(user).post("/api/tracks", body)
        assert (reply.status, reply.body["errors"][0]["loc"]) == (422, ["body", "title"])

    @pytest.mark.parametrize("level", ["Beginner", "INTERMEDIATE", "advanced"])
    def test_takes_a_level_in_any_case(self, level: str, api: Api, user: User) -> None:
        track = api(user).post("/api/tracks", {"title": "Rust", "difficulty_level": level}).body
        assert track["difficulty_level"] == level.lower()

    @pytest.mark.parametrize("level", ["expert", "", 1, ["beginner"]])
    def test_refuses_another_level(self, level: Any, api: Api, user: User) -> None:
        assert api(user).post("/api/tracks", {"title": "Rust", "difficulty_level": level}).status == 422

    def test_refuses_a_field_it_does_not_know(self, api: Api, user: User) -> None:
        reply = api(user).post("/api/tracks", {"title": "Rust", "colour": "red"})
        assert (reply.status, reply.body["errors"][0]["loc"]) == (422, ["body", "colour"])

    def test_is_for_guests_too(self, api: Api, user: User) -> None:
        guest = a_guest()
        assert api(guest).post("/api/tracks", {"title": "Rust"}).status == 201
        assert [track["title"] for track in api(guest).get("/api/tracks").body] == ["Rust"]

    def test_times_have_a_zone(self, api: Api, user: User) -> None:
        track = api(user).post("/api/tracks", {"title": "Rust"}).body
        assert datetime.fromisoformat(track["created_at"]).utcoffset() == timedelta(0)


class TestRead:
    def test_lists_the_newest_first(self, api: Api, user: User) -> None:
        for title in ("first", "second", "third"):
            api(user).post("/api/tracks", {"title": title})
        tracks = api(user).get("/api/tracks").body
        assert [track["title"] for track in tracks] == ["third", "second", "first"]

    def test_lists_only_the_callers_own(self, api: Api, user: User) -> None:
        a_course(a_user())
        assert api(user).get("/api/tracks").body == []

    def test_a_slash_at_the_end_changes_nothing(self, api: Api, user: User) -> None:
        course = a_course(user)
        for path in ("/api/tracks", f"/api/tracks/{course.track.id}"):
            with_slash = api(user).get(f"{path}/")
            assert (with_slash.status, with_slash.body) == (200, api(user).get(path).body)
        assert api(user).post("/api/tracks/", {"title": "Rust"}).status == 201

    def test_one_is_shown_as_in_the_list(self, api: Api, user: User) -> None:
        course = a_course(user)
        one = api(user).get(f"/api/tracks/{course.track.id}")
        assert [one.body] == api(user).get("/api/tracks").body

    def test_shows_modules_in_their_order(self, api: Api, user: User) -> None:
        course = a_course(user, modules=5)
        modules = api(user).get(f"/api/tracks/{course.track.id}").body["modules"]
        assert [module["module_number"] for module in modules] == [1, 2, 3, 4, 5]
        assert all(module.keys() == MODULE_FIELDS for module in modules)

    @pytest.mark.parametrize(("done", "of", "percent"), [(0, 3, 0), (1, 3, 33), (2, 3, 66), (3, 3, 100)])
    def test_progress_counts_completed_modules(
        self, done: int, of: int, percent: int, api: Api, user: User, session: Session
    ) -> None:
        course = a_course(user, modules=of)
        for module in session.scalars(select(Module).where(Module.track_id == course.track.id).limit(done)):
            module.status = "completed"
        session.commit()
        assert api(user).get(f"/api/tracks/{course.track.id}").body["progress"] == percent


class TestChange:
    @pytest.mark.parametrize(
        "change",
        [
            {"title": "Вальс"},
            {"description": None},
            {"difficulty_level": "ADVANCED"},
            {"status": "paused"},
            {"status": "completed", "skill_area": ""},
            {},
        ],
        ids=str,
    )
    def test_touches_only_the_fields_sent(self, change: dict[str, Any], api: Api, user: User) -> None:
        before = api(user).post("/api/tracks", EVERYTHING).body
        after = api(user).put(f"/api/tracks/{before['id']}", change)
        expected = {**before, **change, "updated_at": after.body["updated_at"]}
        if "difficulty_level" in change:
            expected["difficulty_level"] = "advanced"
        assert (after.status, after.body) == (200, expected)
        assert api(user).get(f"/api/tracks/{before['id']}").body == after.body

    def test_moves_the_time_of_the_change(self, api: Api, user: User) -> None:
        before = api(user).post("/api/tracks", EVERYTHING).body
        after = api(user).put(f"/api/tracks/{before['id']}", {"title": "Вальс"}).body
        assert datetime.fromisoformat(after["updated_at"]) > datetime.fromisoformat(before["updated_at"])

    @pytest.mark.parametrize(
        "change",
        [
            {"title": None},
            {"title": ""},
            {"status": None},
            {"status": "done"},
            {"progress": 100},
            {"id": str(UUID(int=1))},
            {"created_at": "2020-01-01T00:00:00Z"},
            {"ai_generated_plan": {}},
            {"modules": []},
        ],
        ids=str,
    )
    def test_refuses_what_is_not_to_be_changed(self, change: dict[str, Any], api: Api, user: User) -> None:
        before = api(user).post("/api/tracks", EVERYTHING).body
        assert api(user).put(f"/api/tracks/{before['id']}", change).status == 422
        assert api(user).get(f"/api/tracks/{before['id']}").body == before

    def test_keeps_the_modules(self, api: Api, user: User) -> None:
        course = a_course(user)
        reply = api(user).put(f"/api/tracks/{course.track.id}", {"title": "Вальс"})
        assert [module["module_number"] for module in reply.body["modules"]] == [1, 2, 3]


class TestDelete:
    def test_says_so(self, api: Api, user: User) -> None:
        course = a_course(user)
        reply = api(user).delete(f"/api/tracks/{course.track.id}")
        assert (reply.status, reply.body["success"]) == (200, True)
        assert isinstance(reply.body["message"], str)

    def test_takes_everything_in_it_along(self, api: Api, user: User, session: Session) -> None:
        course = a_course(user)
        session.add(Lesson(module_id=course.module.id, title="Шаг", content_type="theory", content="Раз"))
        session.commit()
        api(user).delete(f"/api/tracks/{course.track.id}")
        for table in (Track, Module, Lesson, ChatSession, Chat, Message):
            assert session.scalars(select(func.count()).select_from(table)).one() == 0

    def test_leaves_everything_else(self, api: Api, user: User) -> None:
        gone, kept = a_course(user), a_course(user)
        api(user).delete(f"/api/tracks/{gone.track.id}")
        assert api(user).get(f"/api/tracks/{kept.track.id}").status == 200
        assert len(api(user).get(f"/api/chat/chats/{kept.chat.id}/messages").body) == 2

    def test_twice_is_not_found(self, api: Api, user: User) -> None:
        course = a_course(user)
        caller = api(user)
        replies = [caller.delete(f"/api/tracks/{course.track.id}").status for _ in range(2)]
        assert replies == [200, 404]
