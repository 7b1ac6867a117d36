"""The database commits, and nobody hears of it: what is repeated has one effect and one answer."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from tests.factories import PASSWORD
from tests.faults.conftest import SEED, Scene, Setting
from tests.faults.crowds import guests
from tests.faults.learners import Learner, new_op
from tests.faults.rest import Answer
from tests.tiers import report, sized

pytestmark = pytest.mark.prove

JOURNEYS = sized(full=50, short=6)
AT_ONCE = 25
LIKELY = 0.15
"""That the answer to a COMMIT is swallowed."""

ENDS_THE_LOG_IN = ("/api/auth/logout", "/api/auth/logout-all")
"""Whoever repeats these is nobody any more."""


class Journey:
    """Every POST route there is, each repeated until it is answered, and once more after that."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.posts: Counter[str] = Counter()
        self.differing: list[str] = []

    async def post(self, path: str, body: Any = None, kind: str = "other", op: str | None = None) -> Any:
        op = op or new_op()
        answer = await self.learner.do(kind, path, body or {}, op=op)
        is_over = path in ENDS_THE_LOG_IN and answer.status == 401
        assert answer.status < 400 or is_over, (path, answer.status, answer.body)
        self.posts[path] += 1
        again = await self._again(path, body or {}, op)
        if path in ENDS_THE_LOG_IN:
            assert again.status in {204, 401}
        elif (again.status, again.content) != (answer.status, answer.content):
            self.differing.append(f"{path}: {again.status}")
        return answer.body

    async def _again(self, path: str, body: Any, op: str) -> Answer:
        while True:
            answer = await self.learner.once("POST", path, body, op=op, key=op)
            if answer.status not in {0, 503} and answer.code != "idempotency_in_progress":
                return answer
            await asyncio.sleep(0.2)

    async def walk(self) -> None:
        account = new_op()
        email = {"email": f"{account}@example.com", "password": PASSWORD}
        await self.log_in("/api/auth/register", {**email, "first_name": "A", "last_name": "B"}, account)
        await self.log_in("/api/auth/login", email)
        track, session = new_op(), new_op()
        track_id = (await self.post("/api/tracks", {"title": self.said(track)}, "track", track))["id"]
        made = {"track_id": track_id, "session_name": self.said(session)}
        here = {"session_id": (await self.post("/api/chat/sessions", made, "session", session))["id"]}
        chat = new_op()
        await self.post("/api/chat/chats", {**here, "chat_name": self.said(chat)}, "chat", chat)
        await self.learn({**here, "track_id": track_id})
        await self.post("/api/ai/test-connection", {})
        await self.log_out(email)

    async def learn(self, here: dict[str, Any]) -> None:
        wishes = {"skill_area": "танцы", "user_expectations": "Хочу", "difficulty_level": "beginner"}
        await self.post("/api/ai/welcome-message", {**here, **wishes, "duration_hours": 20})
        await self.say("/api/ai/chat-response", {"session_id": here["session_id"]})
        await self.post("/api/ai/generate-plan", {**here, "user_expectations": "Больше практики"})
        finalized = await self.post("/api/ai/finalize-course-plan", {**here, "skill_area": "танцы"})
        module = {**here, "module_id": finalized["modules"][0]["id"]}
        await self.post("/api/ai/module-learning-start", module)
        await self.say("/api/ai/module-chat", module)
        lesson = new_op()
        about = {"lesson_title": self.said(lesson), "module_context": "шаг", "content_type": "theory"}
        await self.post(
            "/api/ai/generate-lesson", {**about, "module_id": module["module_id"]}, "lesson", lesson
        )
        completed = await self.post("/api/ai/module-complete", module)
        assert completed["progress"] == 100 // finalized["modules_count"]
        await self.post("/api/ai/module-chat-history", module)

    async def log_out(self, email: dict[str, str]) -> None:
        await self.post("/api/auth/logout")
        issued = await self.log_in("/api/auth/login", email)
        fresh = await self.post("/api/auth/refresh", {"refresh_token": issued["refresh_token"]})
        self.learner.token = fresh["access_token"]
        await self.post("/api/auth/logout-all")
        self.learner.token = None
        await self.post("/api/auth/guest-login")

    async def log_in(self, path: str, body: Any, op: str | None = None) -> Any:
        issued = await self.post(path, body, "account" if op else "other", op)
        self.learner.token = issued["access_token"]
        return issued

    async def say(self, path: str, body: dict[str, Any]) -> None:
        op = new_op()
        await self.post(path, {**body, "message": self.said(op)}, "message", op)

    def said(self, op: str) -> str:
        return self.learner.words(op)


def effects(it: Scene) -> dict[str, int]:
    """How often there is what bears no id of its operation."""
    queries = {
        "log-ins": "SELECT count(*) FROM logins",
        "users": "SELECT count(*) FROM users",
        "said unasked": "SELECT count(*) FROM chat_messages WHERE sender_type = 'ai' AND reply_to IS NULL",
        "replies": "SELECT count(*) FROM chat_messages WHERE reply_to IS NOT NULL",
        "plans": "SELECT count(*) FROM learning_tracks WHERE ai_generated_plan IS NOT NULL",
        "refresh tokens": "SELECT count(*) FROM refresh_tokens",
    }
    with it.postgres.server.connect() as connection:
        found = {name: connection.execute(query.encode()).fetchone() for name, query in queries.items()}
    return {name: int(str(row[0])) for name, row in found.items() if row}


def test_F3_the_answer_to_a_commit_is_swallowed(scene: Setting) -> None:
    chance = random.Random(SEED)

    async def walk_all(it: Scene) -> list[Journey]:
        people = await guests(it, JOURNEYS)
        journeys = [Journey(person) for person in people]
        for journey in journeys:
            journey.learner.token, journey.learner.longest_pause = None, 0.5
        it.proxy.swallow = lambda: chance.random() < LIKELY
        slots = asyncio.Semaphore(AT_ONCE)

        async def walk(journey: Journey) -> None:
            async with slots:
                await journey.walk()

        await asyncio.gather(*(walk(journey) for journey in journeys))
        it.proxy.swallow = lambda: False
        return journeys

    with scene() as it:
        journeys = asyncio.run(walk_all(it))
        posts: Counter[str] = sum((journey.posts for journey in journeys), Counter())
        differing = [path for journey in journeys for path in journey.differing]
        found = effects(it)
        figures = it.checked()
    # Guests came before, without a key's protection being tried: each with a log-in and a refresh token.
    expected = {
        "log-ins": posts["/api/auth/register"]
        + posts["/api/auth/login"]
        + posts["/api/auth/guest-login"]
        + JOURNEYS,
        "users": posts["/api/auth/register"] + posts["/api/auth/guest-login"] + JOURNEYS,
        "said unasked": 3 * JOURNEYS,
        "replies": 2 * JOURNEYS,
        "plans": JOURNEYS,
    }
    expected["refresh tokens"] = expected["log-ins"] + posts["/api/auth/refresh"]
    report(
        "F3",
        seed=SEED,
        posts=posts.total(),
        routes=len(posts),
        commits_swallowed=it.proxy.swallowed,
        of_commits=it.proxy.commits,
        repeated_answers_that_differ=len(differing),
        **figures,
    )
    assert differing == []
    assert found == expected
