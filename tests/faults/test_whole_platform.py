"""Two hundred people walk from registration to a completed course, in peace and under every fault at once.

Run by `make prove`.
"""

import asyncio
import random
import signal
from dataclasses import dataclass
from time import monotonic
from typing import Any

import pytest

from tests.factories import PASSWORD
from tests.faults.conftest import SEED, Scene, Setting
from tests.faults.crowds import guests, happening, talker
from tests.faults.learners import Learner, new_op
from tests.tiers import only_in_full, report

pytestmark = [pytest.mark.prove, only_in_full]

PEOPLE, SECONDS, LAST_START = 200, 600.0, 420.0
POOL = 60
KILLS, FAULTY_CALLS, DROPS = 8, 0.1, 0.02
LISTENERS = 40


@dataclass
class Walk:
    """One person's way. `refused` is what was answered with an error that no repetition helps."""

    learner: Learner
    starts_at: float
    finished: bool = False
    refused: str = ""

    async def go(self) -> None:
        await asyncio.sleep(max(0.0, self.starts_at - monotonic()))
        op = new_op()
        account = {"email": f"{op}@example.com", "password": PASSWORD, "first_name": "A", "last_name": "B"}
        if (issued := await self._post("/api/auth/register", account, "account", op)) is None:
            return
        self.learner.token = issued["access_token"]
        track, session = new_op(), new_op()
        titled = {"title": self.learner.words(track), "skill_area": "танцы"}
        if (made := await self._post("/api/tracks", titled, "track", track)) is None:
            return
        here = {"track_id": made["id"], "session_id": session}
        if not await self._plan(here):
            return
        self.finished = await self._study(here)

    async def _plan(self, here: dict[str, Any]) -> bool:
        wishes = {"skill_area": "танцы", "user_expectations": "Хочу", "difficulty_level": "beginner"}
        op = new_op()
        said = {"session_id": here["session_id"], "message": self.learner.words(op)}
        return all(
            [
                await self._post("/api/ai/welcome-message", {**here, **wishes, "duration_hours": 20}),
                await self._post("/api/ai/chat-response", said, "message", op),
                await self._post("/api/ai/generate-plan", {**here, "user_expectations": "Практика"}),
            ]
        )

    async def _study(self, here: dict[str, Any]) -> bool:
        finalized = await self._post("/api/ai/finalize-course-plan", {**here, "skill_area": "танцы"})
        if finalized is None:
            return False
        modules = finalized["modules"]
        for number, module in enumerate(modules, 1):
            body, op = {**here, "module_id": module["id"]}, new_op()
            await self._post("/api/ai/module-learning-start", body)
            said = {**body, "message": self.learner.words(op)}
            await self._post("/api/ai/module-chat", said, "message", op)
            completed = await self._post("/api/ai/module-complete", body)
            if completed is None or completed["progress"] != number * 100 // len(modules):
                self.refused = self.refused or f"progress {completed and completed['progress']}"
                return False
        track = (await self.learner.read(f"/api/tracks/{here['track_id']}")).body
        return bool((track["status"], track["progress"]) == ("completed", 100))

    async def _post(self, path: str, body: Any, kind: str = "other", op: str | None = None) -> Any:
        answer = await self.learner.do(kind, path, body, op=op)
        await asyncio.sleep(self.learner.chance.random())
        if answer.status >= 400:
            self.refused = f"{path} {answer.status} {answer.code}"
            return None
        return answer.body


async def walk_all(it: Scene, listeners: int) -> list[Walk]:
    """Open loop: everybody starts when it is time, however slow the others are."""
    began = monotonic()
    people = await guests(it, PEOPLE + listeners)
    talkers = [talker(it, person, DROPS) for person in people[PEOPLE:]]
    starts = (began + it.chance.uniform(0, LAST_START) for _ in people)
    walks = [Walk(person, start) for person, start in zip(people[:PEOPLE], starts, strict=False)]
    for walk in walks:
        walk.learner.token = None
    until = began + SECONDS - 60
    over = asyncio.Event()
    tabs = [asyncio.create_task(one.listen(over)) for one in talkers]
    await asyncio.gather(*(walk.go() for walk in walks), *(one.chat(until, 4.0) for one in talkers))
    await asyncio.sleep(max(0.0, began + SECONDS - monotonic()))
    over.set()
    await asyncio.gather(*tabs)
    for one in talkers:
        it.ledger.seen.update(one.seen)
    return walks


def figures_of(it: Scene, walks: list[Walk], began: float) -> dict[str, Any]:
    done = it.ledger.of("acked")
    return {
        "seed": SEED,
        "people": PEOPLE,
        "duration": f"{monotonic() - began:.0f} s",
        "courses_completed": sum(walk.finished for walk in walks),
        "refused": sorted({walk.refused for walk in walks if walk.refused}),
        "done_after_all_tries": f"{len(done) / len(it.ledger.operations):.3%}",
    }


def test_F15_two_hundred_people_walk_the_whole_way(scene: Setting) -> None:
    began = monotonic()
    with scene(DATABASE_POOL_SIZE=str(POOL)) as it:
        walks = asyncio.run(walk_all(it, listeners=0))
        own = figures_of(it, walks, began)
        report("F15", **own, statuses=dict(it.ledger.statuses()), slowest=f"{it.ledger.slowest():.1f} s")
        figures = it.checked(under_fault=False, pool=POOL)
    report("F15", **own, **figures)
    assert own["courses_completed"] == PEOPLE


def test_F16_everything_breaks_at_once(scene: Setting) -> None:
    began, chance = monotonic(), random.Random(SEED)
    with scene(DATABASE_POOL_SIZE=str(POOL)) as it:
        it.model.falters(FAULTY_CALLS, chance)
        kill = happening(lambda: it.postgres.restart(signal.SIGKILL), lambda: chance.uniform(45, 65), KILLS)
        with kill as kills:
            walks = asyncio.run(walk_all(it, listeners=LISTENERS))
        own = figures_of(it, walks, began)
        seen = {name: it.ledger.seen[name] for name in ("reconnects", "gaps", "texts that differ")}
        report("F16", **own, kills=len(kills), statuses=dict(it.ledger.statuses()), seen=dict(it.ledger.seen))
        figures = it.checked(pool=POOL)
    report(
        "F16",
        **own,
        kills=len(kills),
        model_calls_refused=f"{FAULTY_CALLS:.0%}",
        sockets=2 * LISTENERS,
        **{name.replace(" ", "_"): times for name, times in seen.items()},
        **figures,
    )
    assert own["courses_completed"] == PEOPLE
    assert seen["gaps"] + seen["texts that differ"] == 0
    assert len(it.ledger.of("acked")) >= 0.999 * len(it.ledger.operations)
