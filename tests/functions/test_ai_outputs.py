"""A dozen answers that are not what was asked for: repaired, or refused with nothing changed."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from academy.models import User
from tests.conftest import Api
from tests.fakes import ScriptedModel
from tests.functions.test_ai_flows import Learner
from tests.functions.test_ownership import rows

MODULE = {
    "title": "Шаг",
    "description": "Первый",
    "duration_hours": 2,
    "topics": ["осанка"],
    "learning_objectives": ["стоять"],
}
PLAN = {
    "title": "Танго",
    "description": "С нуля",
    "goals": ["танцевать"],
    "modules": [MODULE] * 3,
    "practice": ["каждый день"],
    "final_project": "Танец",
}
WHOLE = json.dumps(PLAN)


def plan(**changes: Any) -> str:
    return json.dumps({**PLAN, **changes})


Script = Callable[[ScriptedModel], None]


def says(text: str, finish: str = "stop") -> Script:
    return lambda model: model.says(text, "", finish=finish)


REPAIRED: dict[str, Script] = {
    "fenced": says(f"```json\n{WHOLE}\n```"),
    "prose and JSON": says(f"Вот {{план}}: {WHOLE} Удачи!"),
    "NUL": says(WHOLE.replace("Танец", "Та\x00нец")),
    "half an emoji": says(plan(final_project="Танец \ud83d")),
}
USED = {"chat_sessions", "user_budgets", "platform_budgets"}
"""What changes because a session was used and a model asked."""

REFUSED: dict[str, Script] = {
    "truncated": says(WHOLE[:-40], finish="length"),
    "truncated in silence": says(WHOLE[:-40]),
    "two modules": says(plan(modules=[MODULE] * 2)),
    "500 modules": says(plan(modules=[MODULE] * 500)),
    "null fields": says(plan(title=None, modules=[{**MODULE, "title": None}] * 3)),
    "wrong types": says(plan(goals="танцевать", modules={"first": MODULE})),
    "empty": says(""),
    "a refusal": lambda model: model.declines(),
    "HTML": says("<html><body>canary</body></html>"),
    "5 MB": says("x" * 5_000_000),
}
ROUTES = ("generate-plan", "finalize-course-plan")


@pytest.fixture(autouse=True)
def fresh(model: ScriptedModel) -> Iterator[None]:
    model.reset()
    yield
    model.reset()


@pytest.fixture
def learner(api: Api, user: User) -> Learner:
    learner = Learner(api(user))
    assert learner.say().status == 200
    return learner


def ask(learner: Learner, route: str) -> Any:
    more = {"user_expectations": "Быстро"} if route == "generate-plan" else {"skill_area": "танцы"}
    return learner.ask(route, **learner.here, **more)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", REPAIRED)
def test_E2_F9_what_can_be_understood_is_taken_at_once(
    kind: str, route: str, learner: Learner, model: ScriptedModel
) -> None:
    model.requests.clear()
    REPAIRED[kind](model)
    reply = ask(learner, route)
    assert (reply.status, len(model.requests)) == (200, 1)
    assert b"\\u0000" not in reply.raw
    reply.raw.decode("utf-8")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", REFUSED)
def test_E2_F9_what_cannot_is_refused_and_changes_nothing(
    kind: str, route: str, learner: Learner, model: ScriptedModel, transaction: Connection
) -> None:
    ask(learner, route)  # so that the chat is there already
    learner.say("А теперь иначе")
    model.reset()
    before = rows(transaction)
    for _ in range(2):
        REFUSED[kind](model)
    reply = ask(learner, route)
    assert (reply.status, reply.code[:3]) == (502, "ai_")
    assert b"canary" not in reply.raw
    assert changed(before, rows(transaction)) <= USED


@pytest.mark.parametrize("kind", REFUSED)
def test_E2_one_correction_is_enough_for_every_answer_that_came_whole(
    kind: str, learner: Learner, model: ScriptedModel
) -> None:
    model.requests.clear()
    REFUSED[kind](model)
    reply = ask(learner, "generate-plan")
    if kind in ("empty", "a refusal", "5 MB"):  # there is nothing to correct
        assert reply.status == 502
    else:
        assert (reply.status, len(model.requests)) == (200, 2)


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before if before[name] != after[name]}
