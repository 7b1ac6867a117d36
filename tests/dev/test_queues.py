"""Queues feed functions as they do in AWS, from a real queue over HTTP."""

import json
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dev import aws
from dev.event_sources import EventSources
from dev.events import Event
from dev.runtime import Runtime
from dev.sam import Template
from tests.dev.sample import GATE, WORKED
from tests.gateway import serving

TEMPLATE = """
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: tests.dev.sample.work
      Events:
        Queue:
          Type: SQS
          Properties:
            Queue: !GetAtt Queue.Arn
            BatchSize: {batch}
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: {{MaximumConcurrency: 2}}
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: {name}{suffix}
      VisibilityTimeout: {visibility}
      {fifo}
      RedrivePolicy: {{deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2}}
  Dead: {{Type: AWS::SQS::Queue, Properties: {{QueueName: dead-{name}{suffix}, {fifo}}}}}
"""


class Queue:
    """A queue with its worker, as a template declares them."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.sqs = aws.client("sqs", template.endpoint)
        (self.source,) = template.queue_sources

    def send(self, group: str = "g", **orders: Any) -> None:
        fifo = {"MessageGroupId": group, "MessageDeduplicationId": uuid4().hex} if self.source.is_fifo else {}
        self.sqs.send_message(QueueUrl=self.source.url, MessageBody=json.dumps(orders), **fifo)

    def receive(self, name: str = "") -> list[Any]:
        url = self.source.url if not name else self.source.url.replace("/queue-", f"/{name}-queue-")
        asked = {"AttributeNames": ["All"], "WaitTimeSeconds": 2}
        messages: list[Any] = self.sqs.receive_message(QueueUrl=url, **asked).get("Messages", [])
        return messages

    def show_again(self, record: Event) -> None:
        """Have a message's visibility run out now."""
        now = {"ReceiptHandle": record["receiptHandle"], "VisibilityTimeout": 0}
        self.sqs.change_message_visibility(QueueUrl=self.source.url, **now)

    def comes_to_hold(self, count: int) -> bool:
        """Whether it soon holds so many messages, on their way or not."""
        deadline = time.monotonic() + 5
        while self._held() != count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._held() == count

    def _held(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=self.source.url, AttributeNames=names)
        return sum(int(counts["Attributes"][name]) for name in names)

    @contextmanager
    def working(self) -> Iterator[EventSources]:
        runtime = Runtime(self.template.functions)
        runtime.load()
        sources = EventSources(self.template, runtime)
        sources.start()
        try:
            yield sources
        finally:
            GATE.set()
            sources.stop()
            sources.close()
            runtime.close(seconds=1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws.running() as url:
        yield url


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, endpoint: str) -> Iterator[Queue]:
    queue = declared(tmp_path_factory.mktemp("shared"), endpoint)
    aws.create_missing(queue.template)
    with queue.working():
        yield queue


@pytest.fixture
def queue(shared: Queue) -> Iterator[Queue]:
    """An empty queue that is being worked off."""
    yield shared
    GATE.set()
    assert shared.comes_to_hold(0)


@pytest.fixture
def idle(tmp_path: Path, endpoint: str) -> Queue:
    """A queue that nobody works off yet."""
    queue = declared(tmp_path, endpoint)
    aws.create_missing(queue.template)
    return queue


@pytest.fixture(autouse=True)
def nothing_worked() -> None:
    WORKED.clear()


def declared(
    folder: Path, endpoint: str, *, fifo: bool = True, batch: int = 1, visibility: int = 600
) -> Queue:
    file = folder / "template.yaml"
    words = (
        {"suffix": ".fifo", "fifo": "FifoQueue: true"} if fifo else {"suffix": "", "fifo": "DelaySeconds: 0"}
    )
    name = f"queue-{uuid4().hex}"
    file.write_text(TEMPLATE.format(name=name, batch=batch, visibility=visibility, **words))
    return Queue(Template(file, endpoint=endpoint))


def numbers() -> list[int]:
    return [json.loads(record["body"])["n"] for record in WORKED.all()]


class TestQueue:
    def test_a_message_becomes_a_record_and_is_deleted_when_it_is_done(self, queue: Queue) -> None:
        queue.send("chat", n=1)
        (record,) = WORKED.first(1)
        assert queue.comes_to_hold(0)
        attributes = record["attributes"]
        assert (record["body"], record["eventSourceARN"]) == ('{"n": 1}', queue.source.arn)
        assert (attributes["ApproximateReceiveCount"], attributes["MessageGroupId"]) == ("1", "chat")
        assert attributes["MessageDeduplicationId"]

    def test_a_queue_at_rest_is_answered_at_once(self, queue: Queue) -> None:
        seconds = []
        for number in range(1, 8):
            sent = time.perf_counter()
            queue.send(n=number)
            WORKED.first(number)
            seconds.append(time.perf_counter() - sent)
            assert queue.comes_to_hold(0)
        assert statistics.median(seconds) < 0.4

    def test_a_groups_next_message_begins_right_after_the_one_before(self, queue: Queue) -> None:
        seconds = []
        for number in (1, 3, 5):
            GATE.clear()
            queue.send(n=number, wait=1)
            WORKED.first(number)
            queue.send(n=number + 1)
            time.sleep(0.2)
            assert numbers()[-1] == number
            GATE.set()
            done = time.perf_counter()
            WORKED.first(number + 1)
            seconds.append(time.perf_counter() - done)
        assert statistics.median(seconds) < 0.4
        assert numbers() == [1, 2, 3, 4, 5, 6]

    def test_another_group_does_not_wait(self, queue: Queue) -> None:
        queue.send("first", n=1, wait=1)
        WORKED.first(1)
        queue.send("second", n=2)
        WORKED.first(2)
        assert not GATE.is_set()

    def test_no_more_batches_run_at_once_than_the_template_says(self, queue: Queue) -> None:
        for number in range(3):
            queue.send(str(number), n=number, wait=1)
        WORKED.first(2)
        time.sleep(0.3)
        assert len(WORKED.all()) == 2
        GATE.set()
        WORKED.first(3)

    def test_a_message_that_is_held_back_costs_no_more_than_looking_now_and_then(self, queue: Queue) -> None:
        queue.send(n=1, wait=1)
        WORKED.first(1)
        queue.send(n=2)
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.25

    def test_a_message_whose_visibility_ran_out_comes_again_with_a_higher_count(
        self, tmp_path: Path, endpoint: str
    ) -> None:
        queue = declared(tmp_path, endpoint, visibility=1)
        aws.create_missing(queue.template)
        with queue.working():
            queue.send(n=1, error=1)
            counts = [record["attributes"]["ApproximateReceiveCount"] for record in WORKED.first(2)]
        assert counts == ["1", "2"]

    def test_a_message_that_failed_too_often_is_a_dead_letter(self, queue: Queue) -> None:
        queue.send(n=1, fail=1)
        for attempt in (1, 2):
            queue.show_again(WORKED.first(attempt)[-1])
        (dead,) = queue.receive("dead")
        assert json.loads(dead["Body"])["n"] == 1
        assert len(WORKED.all()) == 2

    def test_a_batch_holds_several_messages_and_only_those_not_done_stay(
        self, tmp_path: Path, endpoint: str
    ) -> None:
        queue = declared(tmp_path, endpoint, fifo=False, batch=10)
        aws.create_missing(queue.template)
        queue.send(n=1)
        queue.send(n=2, fail=1)
        queue.send(n=3)
        with queue.working():
            WORKED.first(3)
            assert queue.comes_to_hold(1)
            queue.show_again(WORKED.all()[1])
            WORKED.first(4)
        assert numbers() == [1, 2, 3, 2]

    def test_a_gateway_works_its_queues_off(self, idle: Queue) -> None:
        with serving(idle.template):
            idle.send(n=1)
            WORKED.first(1)
            assert idle.comes_to_hold(0)


class TestEnd:
    def test_it_is_prompt_and_the_next_message_is_left_for_the_next_gateway(self, idle: Queue) -> None:
        with idle.working() as sources:
            idle.send(n=1)
            assert WORKED.first(1)
            assert idle.comes_to_hold(0)
            began = time.perf_counter()
            sources.close()
            assert time.perf_counter() - began < 3
            idle.send(n=2)
            (message,) = idle.receive()
        assert message["Attributes"]["ApproximateReceiveCount"] == "1"

    def test_what_is_not_done_is_delivered_again_at_once(self, idle: Queue) -> None:
        with idle.working() as sources:
            idle.send(n=1, wait=1)
            WORKED.first(1)
            sources.close()
            (message,) = idle.receive()
        assert message["Attributes"]["ApproximateReceiveCount"] == "2"


class TestTrouble:
    def test_a_queue_that_is_missing_is_one_line_and_found_when_it_is_there(
        self, tmp_path: Path, endpoint: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        queue = declared(tmp_path, endpoint)
        with queue.working():
            while "queue does not exist" not in capsys.readouterr().out:
                time.sleep(0.01)
            time.sleep(0.3)
            assert capsys.readouterr().out == ""
            aws.create_missing(queue.template)
            queue.send(n=1)
            WORKED.first(1)

    def test_an_endpoint_that_is_away_is_one_line_and_keeps_nobody_from_ending(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        queue = declared(tmp_path, f"http://127.0.0.1:{port}")
        with queue.working() as sources:
            while "Trying on." not in capsys.readouterr().out:
                time.sleep(0.01)
            began = time.perf_counter()
            sources.close()
            assert time.perf_counter() - began < 2
        assert capsys.readouterr().out == ""
