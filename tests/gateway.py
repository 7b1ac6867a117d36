"""The local gateway in this process: a template's APIs over real sockets, its queues and schedules."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import quote

import boto3
from botocore.config import Config
from websockets.sync.client import ClientConnection, connect

from dev import gateway, http_api, sockets
from dev.event_sources import EventSources
from dev.runtime import Runtime
from dev.sam import REGION, Template

SECONDS = 10


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Gateway:
    """A running gateway: `gateway("GET", "/things")`, `gateway.connect("/ws?session_id=1")`."""

    def __init__(self, port: int, template: Template, runtime: Runtime) -> None:
        self.port = port
        self.template = template
        self.runtime = runtime

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def connect(self, path: str, **options: Any) -> ClientConnection:
        """A client's open socket; `options` are those of `websockets.sync.client.connect`."""
        url = f"ws://127.0.0.1:{self.port}{path}"
        client: ClientConnection = connect(url, proxy=None, open_timeout=SECONDS, **options)
        return client

    @cached_property
    def management(self) -> Any:
        """boto3's client for `@connections`, without its retries."""
        return boto3.session.Session().client(
            "apigatewaymanagementapi",
            endpoint_url=f"http://127.0.0.1:{self.port}/{self.template.websocket_api.stage}",
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=SECONDS, proxies={}),
        )

    def at_connection(self, connection_id: str) -> str:
        """The path of a connection for whoever calls without boto3."""
        return f"/{self.template.websocket_api.stage}/@connections/{quote(connection_id, safe='')}"


@contextmanager
def serving(
    template: Template,
    *,
    listening: socket.socket | None = None,
    limits: http_api.Limits = http_api.QUOTAS,
    websocket_limits: sockets.Limits = sockets.QUOTAS,
    disconnect_after: float | None = 0,
    threads: int = 8,
    runtime: Runtime | None = None,
) -> Iterator[Gateway]:
    """Serve a template until the block ends, with its queues and schedules if it has an `endpoint`.

    Functions that are told where they live (WEBSOCKET_MANAGEMENT_URL) need the port before they are
    imported: make the `listening` socket first, then.
    """
    runtime = runtime or Runtime(template.functions, threads=threads)
    runtime.load()
    app = gateway.application(template, runtime, limits, websocket_limits, disconnect_after=disconnect_after)
    server = gateway.server(app, EventSources(template, runtime))
    with listening or socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([bound],))
        thread.start()
        try:
            yield Gateway(port, template, runtime)
        finally:
            server.should_exit = True
            thread.join()
            runtime.close(seconds=1)
