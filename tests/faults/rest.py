"""HTTP for asyncio in a few lines: one connection for each request."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

SECONDS = 40


@dataclass
class Answer:
    """`status` is 0 if no answer came."""

    status: int = 0
    content: bytes = b""
    content_type: str = ""
    retry_after: float = 0.0

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content and "json" in self.content_type else None

    @property
    def code(self) -> str:
        body = self.body
        return str(body.get("code", "")) if isinstance(body, dict) else ""


async def request(port: int, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
    content = b"" if body is None else json.dumps(body).encode()
    sent = {
        "Host": "localhost",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        **headers,
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
    try:
        async with asyncio.timeout(SECONDS):
            return _parsed(await _exchange(port, "\r\n".join(lines).encode() + content))
    except (OSError, TimeoutError):
        return Answer()


async def _exchange(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await reader.read()
    finally:
        writer.close()


def _parsed(raw: bytes) -> Answer:
    head, separator, content = raw.partition(b"\r\n\r\n")
    if not separator:
        return Answer()
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Answer(
        int(status.split()[1]),
        content,
        headers.get("content-type", ""),
        float(headers.get("retry-after", 0)),
    )
