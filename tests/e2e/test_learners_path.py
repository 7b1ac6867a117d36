"""The whole platform from the outside: a learner's path from the first visit to a completed course."""

from typing import Any

import pytest

from academy.models import User
from tests.client import Client
from tests.conftest import Api

SESSION = "1718000000000abc123xyz"


@pytest.fixture
def guest(api: Api) -> Client:
    return Client(token=api().post("/api/auth/guest-login").body["access_token"])


@pytest.fixture
def registered(api: Api) -> Client:
    account = {"email": "anna@example.com", "password": "длинный пароль", "first_name": "Анна"}
    reply = api().post("/api/auth/register", {**account, "last_name": "Петрова"})
    assert reply.status == 201
    return Client(token=reply.body["access_token"])


def walk(learner: Client) -> dict[str, Any]:
    """Plan a course in a chat, study every module of it, and say how the track looks then."""

    def ask(route: str, **body: Any) -> Any:
        reply = learner.post(f"/api/ai/{route}", body)
        assert (reply.status, reply.body["success"]) == (200, True), reply.body
        return reply.body

    track = learner.post("/api/tracks", {"title": "Танго", "skill_area": "танцы"}).body
    here = {"track_id": track["id"], "session_id": SESSION}
    ask(
        "welcome-message",
        **here,
        skill_area="танцы",
        user_expectations="Хочу танцевать на свадьбе",
        difficulty_level="Beginner",
        duration_hours=20,
    )
    ask("chat-response", session_id=SESSION, message="Можно побольше практики?")
    ask("generate-plan", **here, user_expectations="Больше практики")
    modules = ask("finalize-course-plan", **here, skill_area="танцы")["modules"]
    for module in modules:
        ask("module-learning-start", **here, module_id=module["id"])
        ask("module-chat", **here, module_id=module["id"], message="С чего начать?")
        ask("module-complete", **here, module_id=str(module["module_number"]))
    studied = learner.get(f"/api/tracks/{track['id']}").body
    assert [module["status"] for module in studied["modules"]] == ["completed"] * len(modules)
    return dict(studied)


def test_a_registered_learner_completes_a_course(registered: Client) -> None:
    track = walk(registered)
    assert (track["status"], track["progress"]) == ("completed", 100)
    assert 3 <= len(track["ai_generated_plan"]["modules"]) <= 7


def test_a_guest_completes_a_course_and_keeps_it_on_registering(guest: Client, api: Api) -> None:
    track = walk(guest)
    account = {"email": "guest@example.com", "password": "длинный пароль", "first_name": "Г", "last_name": ""}
    reply = guest.post("/api/auth/register", account)
    assert reply.status == 201
    account_now = Client(token=reply.body["access_token"])
    assert account_now.get(f"/api/tracks/{track['id']}").body == track
    assert guest.get("/api/auth/me").status == 401


def test_two_learners_use_one_session_key_for_two_sessions(registered: Client, guest: Client) -> None:
    for learner, words in ((registered, "моя тайна"), (guest, "привет")):
        learner.post("/api/ai/chat-response", {"message": words, "session_id": SESSION})
    mine, theirs = (who.get(f"/api/chat/sessions/{SESSION}/chats").body for who in (registered, guest))
    assert len(mine) == len(theirs) == 1
    assert mine[0]["id"] != theirs[0]["id"]


def test_the_platform_says_that_it_is_up(api: Api) -> None:
    assert [api().get(path).body for path in ("/api", "/api/", "/api/health")] == [{"status": "ok"}] * 3


def test_a_user_without_courses_has_an_empty_list(api: Api, user: User) -> None:
    assert api(user).get("/api/tracks").body == []
