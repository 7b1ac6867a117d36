"""CloudFront's function leads the contract's paths to APIs that know none of them; node runs it here."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from dev.sam import TEMPLATE, Template

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

HARNESS = """
const handler = new Function(`${process.argv[1]}; return handler;`)();
console.log(JSON.stringify(handler(JSON.parse(process.argv[2]))));
"""


@pytest.fixture(scope="module")
def code() -> str:
    template = Template(TEMPLATE, parameters={"FrontDoor": "cloudfront"})
    return str(template.properties("FrontDoorFunction")["FunctionCode"])


def passed(code: str, uri: str, headers: dict[str, Any] | None = None, **query: str) -> dict[str, Any]:
    """A viewer's request as the function hands it on."""
    asked = {name: {"value": value} for name, value in query.items()}
    request = {"method": "GET", "uri": uri, "querystring": asked, "headers": headers or {}, "cookies": {}}
    event = {"version": "1.0", "viewer": {"ip": "198.51.100.7"}, "request": request}
    done = subprocess.run(
        ["node", "-e", HARNESS, code, json.dumps(event)], capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def query(request: dict[str, Any]) -> dict[str, str]:
    return {name: part["value"] for name, part in request["querystring"].items()}


@pytest.mark.parametrize(
    ("path", "session", "channel"),
    [
        ("/ws/chat/1718abc", "1718abc", "chat"),
        ("/ws/chat/1718abc/", "1718abc", "chat"),
        ("/ws/chat/1718abc/switch", "1718abc", "switch"),
        ("/ws/chat/%D0%BC%20%26", "%D0%BC%20%26", "chat"),
    ],
)
def test_a_sockets_path_becomes_the_stage_and_a_query(
    code: str, path: str, session: str, channel: str
) -> None:
    request = passed(code, path, token="a.b.c", session_id="another", channel="switch")
    assert request["uri"] == "/ws"
    assert query(request) == {"token": "a.b.c", "session_id": session, "channel": channel}


@pytest.mark.parametrize(
    "path", ["/api", "/api/tracks/1/", "/ws", "/ws/chat", "/wsx/chat/1", "/assets/app.js", "/index.html"]
)
def test_other_paths_stay_as_they_are(code: str, path: str) -> None:
    request = passed(code, path, a="1")
    assert (request["uri"], query(request)) == (path, {"a": "1"})


@pytest.mark.parametrize("path", ["/", "/tracks/1", "/lessons"])
def test_every_other_path_is_the_sites_one_page(code: str, path: str) -> None:
    assert passed(code, path)["uri"] == "/index.html"


def test_only_cloudfront_says_where_a_request_is_from(code: str) -> None:
    forged = {"x-viewer-address": {"value": "192.0.2.1"}, "origin": {"value": "https://app.example.com"}}
    headers = passed(code, "/api/auth/login", forged)["headers"]
    assert headers["x-viewer-address"] == {"value": "198.51.100.7"}
    assert headers["origin"] == {"value": "https://app.example.com"}
