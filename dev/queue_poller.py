"""Plays Lambda's side of a queue: messages become batches for a function, and are deleted when it is done."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dev import aws
from dev.batches import failures
from dev.runtime import Runtime
from dev.sam import QueueSource
from dev.source_events import sqs_event, sqs_record_of

Messages = list[dict[str, Any]]

# Lambda begins with five batches at once, too.
CONCURRENCY = 5
MAX_BATCH = 10
# A poll that nobody waits for any more would swallow the next message: it has to be over soon.
LONG_POLL_SECONDS = 1
QUICK, BUSY, STUCK = 0.01, 0.1, 0.5
PATIENCE = (0.2, 5)
COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]


class QueuePoller:
    """Feeds a function from its queue, in a thread of its own.

    Only a queue at rest is polled the long way, which notices a message at once. While a FIFO queue holds
    back messages of a group, moto's long poll would spin at full speed and not notice that the group is free.
    """

    def __init__(self, source: QueueSource, runtime: Runtime, endpoint: str) -> None:
        self._source = source
        self._runtime = runtime
        self._endpoint = endpoint
        self._running: dict[Future[Any], Messages] = {}
        self._news = threading.Event()
        self._stopping = False
        self._trouble = ""
        self._thread = threading.Thread(target=self._poll, name=f"{source.function} queue", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more on."""
        self._stopping = True
        self._news.set()

    def close(self) -> None:
        """Have what is not done delivered again at once: this process ends, and nobody else will do it."""
        self.stop()
        self._thread.join(2 * LONG_POLL_SECONDS)
        for messages in list(self._running.values()):
            try:
                self._release(messages)
            except (BotoCoreError, ClientError) as error:
                self._complain(error)

    @cached_property
    def _sqs(self) -> Any:
        return aws.client("sqs", self._endpoint)

    def _poll(self) -> None:
        pause, patience = QUICK, PATIENCE[0]
        while not self._stopping:
            self._news.clear()
            try:
                found = self._look()
            except (BotoCoreError, ClientError) as error:
                self._complain(error)
                self._news.wait(patience)
                patience = min(2 * patience, PATIENCE[1])
                continue
            self._trouble, patience = "", PATIENCE[0]
            if found or self._news.wait(pause):
                pause = QUICK
            else:
                pause = min(1.5 * pause, BUSY if self._running else STUCK)

    def _look(self) -> bool:
        """Begin a batch if there is one; whether it is worth to look again at once."""
        if len(self._running) >= (self._source.concurrency or CONCURRENCY):
            return False
        seconds = LONG_POLL_SECONDS if self._is_at_rest() else 0
        messages = self._receive(seconds)
        if messages:
            self._begin(messages)
        return bool(messages or seconds)

    def _is_at_rest(self) -> bool:
        if not self._source.is_fifo:
            return True
        if self._running:
            return False
        answer = self._sqs.get_queue_attributes(QueueUrl=self._source.url, AttributeNames=COUNTS)
        return all(int(answer["Attributes"][name]) == 0 for name in COUNTS)

    def _receive(self, seconds: int) -> Messages:
        answer = self._sqs.receive_message(
            QueueUrl=self._source.url,
            MaxNumberOfMessages=min(self._source.batch_size, MAX_BATCH),
            WaitTimeSeconds=seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: Messages = answer.get("Messages", [])
        return messages

    def _begin(self, messages: Messages) -> None:
        if self._stopping:
            self._release(messages)
            return
        records = [sqs_record_of(message, self._source.arn) for message in messages]
        future = self._runtime.invoke(self._source.function, sqs_event(*records))
        self._running[future] = messages
        future.add_done_callback(self._end)

    def _end(self, future: "Future[Any]") -> None:
        try:
            self._delete(_done(self._running[future], future, partial=self._source.partial))
        except (BotoCoreError, ClientError) as error:
            self._complain(error)
        finally:
            del self._running[future]
            self._news.set()

    def _delete(self, messages: Messages) -> None:
        if messages:
            self._sqs.delete_message_batch(QueueUrl=self._source.url, Entries=_entries(messages))

    def _release(self, messages: Messages) -> None:
        entries = [{**entry, "VisibilityTimeout": 0} for entry in _entries(messages)]
        self._sqs.change_message_visibility_batch(QueueUrl=self._source.url, Entries=entries)

    def _complain(self, error: Exception) -> None:
        if str(error) != self._trouble:
            queue = self._source.arn.rsplit(":", 1)[1]
            print(f"{time.strftime('%H:%M:%S')} Queue {queue}: {error}. Trying on.", flush=True)
        self._trouble = str(error)


def _done(messages: Messages, future: "Future[Any]", *, partial: bool) -> Messages:
    """Those of a batch that the function has done."""
    if future.cancelled() or future.exception():
        return []
    ids = [message["MessageId"] for message in messages]
    failed = failures(future.result(), ids) if partial else set()
    return [message for message in messages if message["MessageId"] not in failed]


def _entries(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(messages)
    ]
