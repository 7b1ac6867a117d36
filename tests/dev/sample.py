"""Handlers as the gateway's tests need them: each does one thing that API Gateway has an opinion on."""

import asyncio
import json
import threading
import time
from typing import Any

Event = dict[str, Any]


class Seen:
    """Every event that `talk` was called with, for tests to wait for."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._news = threading.Condition()

    def add(self, event: Event) -> None:
        with self._news:
            self._events.append(event)
            self._news.notify_all()

    def all(self, kind: str, connection_id: str) -> list[Event]:
        wanted = (kind, connection_id)
        return [event for event in self._events if _about(event) == wanted]

    def first(self, kind: str, connection_id: str) -> Event:
        return self.some(kind, connection_id, 1)[0]

    def some(self, kind: str, connection_id: str, count: int) -> list[Event]:
        with self._news:
            came = self._news.wait_for(lambda: len(self.all(kind, connection_id)) >= count, 5)
            assert came, f"{count} times {kind} did not come"
            return self.all(kind, connection_id)

    def handshake(self, name: str) -> Event:
        """The $connect event of the client that called itself `?name=`."""
        with self._news:
            assert self._news.wait_for(lambda: self._named(name), 5), f"{name} did not connect"
            return self._named(name)[0]

    def _named(self, name: str) -> list[Event]:
        return [event for event in self._events if event.get("queryStringParameters", {}).get("name") == name]


SEEN = Seen()
GATE, WENT_ON = threading.Event(), threading.Event()


def _about(event: Event) -> tuple[str, str]:
    context = event["requestContext"]
    return context["eventType"], context["connectionId"]


class Worked:
    """Every message and tick that `work` got, in that order, for tests to wait for."""

    def __init__(self) -> None:
        self._got: list[Event] = []
        self._news = threading.Condition()

    def add(self, *got: Event) -> None:
        with self._news:
            self._got += got
            self._news.notify_all()

    def clear(self) -> None:
        self._got.clear()

    def all(self) -> list[Event]:
        return list(self._got)

    def first(self, count: int) -> list[Event]:
        with self._news:
            assert self._news.wait_for(lambda: len(self._got) >= count, 5), f"only {len(self._got)} came"
            return self._got[:count]


WORKED = Worked()


def work(event: Event, context: Any) -> Any:
    """A worker. What it shall do stands in its messages."""
    records = event.get("Records", [])
    WORKED.add(*(records or [event]))
    orders = [_orders(record["body"]) for record in records]
    if any("wait" in order for order in orders) or not records:
        GATE.wait(5)
    if any("error" in order for order in orders):
        raise RuntimeError("on purpose")
    failed = [record["messageId"] for record, order in zip(records, orders, strict=True) if "fail" in order]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def talk(event: Event, context: Any) -> Any:
    """A WebSocket's function. What it shall do stands in the handshake's query or in the frame."""
    SEEN.add(event)
    orders = event.get("queryStringParameters") or _orders(event.get("body", ""))
    if "wait" in orders:
        GATE.wait(5)
        WENT_ON.set()
    if "error" in orders:
        raise RuntimeError("on purpose")
    if "nothing" in orders:
        return None
    headers = {"Sec-WebSocket-Protocol": orders["protocol"]} if "protocol" in orders else {}
    return {"statusCode": int(orders.get("status", 200)), "headers": headers, "body": "nobody reads this"}


def _orders(body: str) -> dict[str, Any]:
    try:
        return dict(json.loads(body))
    except (TypeError, ValueError, RecursionError):
        return {}


def echo(event: Event, context: Any) -> Event:
    """The event itself, and what the context says."""
    seen = {"event": event, "function": context.function_name, "request_id": context.aws_request_id}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(seen)}


def bare(event: Event, context: Any) -> Any:
    """No status code: API Gateway takes it for the body."""
    return {"hello": "world"}


def cookies(event: Event, context: Any) -> Event:
    headers = {"access-control-allow-origin": "https://evil.example"}
    return {"statusCode": 204, "headers": headers, "cookies": ["a=1; Path=/", "b=2; Path=/"]}


def binary(event: Event, context: Any) -> Event:
    return {"statusCode": 200, "body": "/wD+", "isBase64Encoded": True}


def raises(event: Event, context: Any) -> Event:
    raise RuntimeError("on purpose")


def slow(event: Event, context: Any) -> Event:
    time.sleep(1.2)
    return {"statusCode": 200}


def huge(event: Event, context: Any) -> Event:
    return {"statusCode": 200, "body": "x" * 6 * 1024 * 1024}


def malformed(event: Event, context: Any) -> Event:
    return {"statusCode": "many"}


def unserialisable(event: Event, context: Any) -> Event:
    return {"statusCode": 200, "body": object()}


def exits(event: Event, context: Any) -> Event:
    raise SystemExit("on purpose")


def forgets(event: Event, context: Any) -> Event:
    """Leaves a task behind on the thread's event loop, as a framework would."""
    asyncio.get_event_loop().create_task(goes_on())
    return {"statusCode": 200}


async def goes_on() -> None:
    await asyncio.sleep(60)
