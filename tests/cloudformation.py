"""CloudFormation as a custom resource's function sees it: a request, and an address for the answer."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any


class CloudFormation:
    """Where answers come in. `content_type` is what the last one called itself."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: list[dict[str, Any]] = []
        self.content_type: str | None = None

    def event(self, kind: str) -> dict[str, Any]:
        """A request to create, update or delete the resource."""
        address = f"http://127.0.0.1:{self.port}/answer?signed=yes"
        about = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "Migrations"}
        return {"RequestType": kind, "ResponseURL": address, **about}


@contextmanager
def waiting() -> Iterator[CloudFormation]:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            waits.answers.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            waits.content_type = self.headers["content-type"]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        waits = CloudFormation(server.server_port)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield waits
        finally:
            server.shutdown()
            thread.join()
