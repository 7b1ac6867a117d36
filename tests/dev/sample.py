"""Handlers as the gateway's tests need them: each does one thing that API Gateway has an opinion on."""

import asyncio
import json
import time
from typing import Any

Event = dict[str, Any]


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
