"""A schedule calls its function again and again; what a function says of a batch counts as in Lambda."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from dev.batches import failures
from dev.event_sources import Clock
from dev.runtime import Runtime
from dev.sam import Function, Schedule
from tests.dev.sample import GATE, WORKED


@pytest.fixture(autouse=True)
def nothing_worked() -> None:
    WORKED.clear()


class TestSchedule:
    @pytest.fixture
    def clock(self) -> Iterator[Clock]:
        runtime = Runtime({"Worker": Function("Worker", "tests.dev.sample.work", 60, 128, {})})
        runtime.load()
        clock = Clock(Schedule("sweep", "Worker", 0.02, scheduler=False), runtime)
        clock.start()
        yield clock
        GATE.set()
        clock.close()
        runtime.close(seconds=1)

    def test_it_ticks_again_and_again(self, clock: Clock) -> None:
        GATE.set()
        first, second = WORKED.first(2)
        assert first["source"] == "aws.events"
        assert first["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/sweep"]
        assert datetime.fromisoformat(first["time"]) <= datetime.fromisoformat(second["time"])

    def test_it_never_overlaps_itself(self, clock: Clock) -> None:
        WORKED.first(1)
        time.sleep(0.2)
        assert len(WORKED.all()) == 1
        GATE.set()
        WORKED.first(2)

    def test_it_ends_when_it_is_told_to(self, clock: Clock) -> None:
        GATE.set()
        WORKED.first(1)
        clock.close()
        time.sleep(0.05)
        ticks = len(WORKED.all())
        time.sleep(0.1)
        assert len(WORKED.all()) == ticks


class TestFailures:
    @pytest.mark.parametrize(
        "answer",
        [None, {}, "done", {"batchItemFailures": []}, {"batchItemFailures": None}],
    )
    def test_a_function_that_reports_none_has_done_all(self, answer: object) -> None:
        assert failures(answer, ["a", "b"]) == set()

    def test_what_is_reported_is_not_done(self) -> None:
        assert failures({"batchItemFailures": [{"itemIdentifier": "b"}]}, ["a", "b"]) == {"b"}

    @pytest.mark.parametrize(
        "reported",
        [[{"itemIdentifier": "c"}], [{"itemIdentifier": None}], [{"id": "a"}], ["a"], "a", 5],
    )
    def test_what_makes_no_sense_means_that_nothing_is_done(self, reported: object) -> None:
        assert failures({"batchItemFailures": reported}, ["a", "b"]) == {"a", "b"}
