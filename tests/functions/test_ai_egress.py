"""Where the platform lets itself be sent, by every way that an address can come in."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import httpcore2
import pytest
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from academy import config
from academy.egress import Deadline, UnsafeUrl, dialer
from academy.models import AIConfiguration, User
from tests import leaks
from tests.canaries import API_KEY, PLATFORM_KEY
from tests.client import Client, Reply
from tests.conftest import Api, client_of
from tests.dumps import dumped
from tests.factories import a_user
from tests.fakes import ScriptedModel

CANARY = "canary-of-the-provider"
PUBLIC = "93.184.215.14"
# Each leads to this machine, or may be read as if it did.
HOSTS = (
    *(
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0",
        "0.0.0.0",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
    ),
    *("017700000001", "127.0.0.1.", "127。0。0。1", "１２７.0.0.1", "ⓛocalhost", "xn--localhost-9c1b"),
    *("localhost", "LOCALHOST", "localhost.", "models.localhost", "ip6-localhost", "localhost.localdomain"),
    *(
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::7f00:1]",
        "[::1%25lo]",
    ),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[127.0.0.1]", "[fe80::1]"),
    *("user@127.0.0.1", "user:pass@127.0.0.1", "api.example.com@127.0.0.1", "api.example.com\\@127.0.0.1"),
    *("127.0.0.1\\@api.example.com", "api.example.com%00.127.0.0.1", "127.0.0.1#@api.example.com"),
)


@pytest.fixture(autouse=True)
def fresh(model: ScriptedModel) -> Iterator[None]:
    model.reset()
    yield
    model.reset()


@pytest.fixture
def foreign(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedModel]:
    """Another model server, that a person may use."""
    with ScriptedModel() as other, allowing(monkeypatch, model.address, other.address):
        yield other


@contextmanager
def allowing(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("LLM_ALLOWED_PRIVATE", ",".join(addresses))
        config.settings.cache_clear()
        yield
    config.settings.cache_clear()


class Canary:
    """A port of this machine, on every address that it has."""

    def __init__(self) -> None:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self._listening = socket.create_server(("", 0), family=family, dualstack_ipv6=both, backlog=500)
        self._listening.setblocking(False)
        self.port = self._listening.getsockname()[1]

    def connections(self) -> int:
        """How many have reached it since it was last asked."""
        count = 0
        while True:
            try:
                self._listening.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


def own_address() -> str:
    """The address that others know this machine by; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((PUBLIC, 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def urls(port: int) -> list[str]:
    mine = own_address()
    hosts = (*HOSTS, mine, f"[::ffff:{mine}]", str(int.from_bytes(socket.inet_aton(mine))))
    return [f"{scheme}://{host}:{port}/v1" for host, scheme in product(hosts, ("http", "https"))] + [
        f"gopher://127.0.0.1:{port}/_x",
        f"file://127.0.0.1:{port}/etc/passwd",
        f"//127.0.0.1:{port}/v1",
        f"http:127.0.0.1:{port}",
    ]


def ask(client: Client) -> Reply:
    return client.post("/api/ai/generate-lesson", lesson())


def lesson() -> dict[str, Any]:
    return {"lesson_title": "Шаг", "module_context": "танго", "content_type": "theory"}


def by_saving(url: str, session: Session) -> Reply:
    return client_of(a_user()).put("/api/ai/user-config", {"base_url": url, "api_key": API_KEY})


def by_testing(url: str, session: Session) -> Reply:
    return client_of(a_user()).post("/api/ai/test-connection", {"base_url": url, "api_key": API_KEY})


def by_a_row(url: str, session: Session) -> Reply:
    user = a_user()
    session.add(AIConfiguration(user_id=user.id, base_url=url))
    session.commit()
    return ask(client_of(user))


def is_refused(reply: Reply) -> bool:
    if reply.status == 200:
        return reply.body["success"] is False and "base URL" in reply.body["error"]
    return (reply.status, reply.code) == (422, "unsafe_url")


class TestD1:
    @pytest.mark.parametrize("way", [by_saving, by_testing, by_a_row])
    def test_D1_no_address_of_this_machine_is_ever_called(
        self, way: Callable[[str, Session], Reply], session: Session, api: Api, canary: Canary
    ) -> None:
        tried = urls(canary.port)
        assert len(tried) >= 60
        assert [url for url in tried if not is_refused(way(url, session))] == []
        assert canary.connections() == 0

    def test_D4_the_same_port_is_called_once_the_operator_allows_it_and_its_neighbour_is_not(
        self,
        model: ScriptedModel,
        canary: Canary,
        api: Api,
        session: Session,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with allowing(monkeypatch, model.address, f"127.0.0.1:{canary.port + 1}"):
            assert is_refused(by_testing(f"http://127.0.0.1:{canary.port}/v1", session))
        assert canary.connections() == 0
        monkeypatch.setattr(dialer, "FIRST_BYTE_SECONDS", 0.05)
        with allowing(monkeypatch, model.address, f"127.0.0.1:{canary.port}"):
            by_testing(f"http://127.0.0.1:{canary.port}/v1", session)
        assert canary.connections() >= 1


def test_D2_a_name_that_answers_in_turns_never_leads_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[str] = []
    asked: list[str] = []

    def answer(host: str, port: int) -> list[str]:
        asked.append(host)
        return [PUBLIC] if len(asked) % 2 else ["127.0.0.1"]

    def dial(address: tuple[str, int], *_: object) -> socket.socket:
        dialled.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", dial)
    door = dialer.Dialer(dialer.Limits(deadline=Deadline(60)), answer, frozenset())
    refused = 0
    for _ in range(200):
        try:
            door.connect_tcp("api.example.com", 443)
        except UnsafeUrl:
            refused += 1
        except httpcore2.ConnectError:
            continue
    # Once for each connection: what was checked is what is dialled.
    assert len(asked) == 200
    assert (refused, dialled) == (100, [PUBLIC] * 100)


class TestD3:
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_D3_a_redirect_is_not_followed(
        self, status: int, api: Api, user: User, foreign: ScriptedModel
    ) -> None:
        client = api(user)
        client.put("/api/ai/user-config", {"base_url": foreign.base_url, "api_key": API_KEY})
        with ScriptedModel() as elsewhere:
            foreign.redirects(elsewhere.base_url, status)
            reply = ask(client)
            assert (reply.status, reply.code) == (502, "ai_unavailable")
            assert (len(foreign.requests), elsewhere.requests) == (1, [])

    def test_D3_a_proxy_that_the_environment_names_is_ignored(
        self, api: Api, user: User, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ScriptedModel() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://{proxy.address}")
            assert ask(api(user)).status == 200
            assert (len(model.requests), proxy.requests) == (1, [])


def test_D4_in_lambda_private_model_servers_end_the_start(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("AWS_LAMBDA_FUNCTION_NAME", "ai")
        config.settings.cache_clear()
        with pytest.raises(ValueError, match="LLM_ALLOWED_PRIVATE is for development: unset it in AWS"):
            config.settings()
    config.settings.cache_clear()


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 418, 429, 500, 503])
def test_D5_nothing_that_a_provider_says_gets_out(
    status: int, api: Api, user: User, foreign: ScriptedModel, transaction: Connection
) -> None:
    leaks.remember(CANARY)
    body = f'{{"error": {{"message": "{CANARY}", "code": "{CANARY}", "param": "{CANARY}"}}}}'
    named = "".join(f"\r\n{name}: {CANARY}" for name in ("X-Request-Id", "Retry-After", "Location"))
    head = f"HTTP/1.1 {status} {CANARY}{named}"
    everything = (
        f"{head}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    client = api(user)
    client.put("/api/ai/user-config", {"base_url": foreign.base_url, "api_key": API_KEY})
    for route, asked in (("generate-lesson", lesson()), ("test-connection", {})):
        for _ in range(2):
            foreign.answers(everything)  # a second time, where it is asked again
        reply = client.post(f"/api/ai/{route}", asked)
        assert reply.status >= 400 or reply.body["success"] is False
        assert CANARY.encode() not in reply.raw
        assert CANARY not in str(reply.headers)
        foreign.reset()
    assert CANARY.encode() not in dumped(transaction)


def test_D5_more_than_two_mebibytes_are_not_read(api: Api, user: User, foreign: ScriptedModel) -> None:
    client = api(user)
    client.put("/api/ai/user-config", {"base_url": foreign.base_url, "api_key": API_KEY})
    foreign.sends(b": " + b"x" * dialer.RESPONSE_BYTES + b"\n\n")
    assert ask(client).code == "ai_unavailable"
    assert (dialer.RESPONSE_BYTES, dialer.FIRST_BYTE_SECONDS) == (2 * 1024 * 1024, 10.0)


ROUTES: dict[str, dict[str, Any]] = {
    "generate-lesson": lesson(),
    "chat-response": {"session_id": "a-session", "message": "Привет"},
    "test-connection": {},
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("moves", [False, True], ids=["same origin", "new origin"])
@pytest.mark.parametrize("has_key", [False, True], ids=["no key", "key"])
def test_D6_no_key_goes_to_an_origin_that_it_was_not_saved_for(
    route: str, moves: bool, has_key: bool, api: Api, user: User, model: ScriptedModel, foreign: ScriptedModel
) -> None:
    client = api(user)
    if has_key:
        client.put("/api/ai/user-config", {"api_key": API_KEY})
    target = foreign if moves else model
    url = f"http://{target.address}/other/v1"
    if route == "test-connection":
        reply = client.post(f"/api/ai/{route}", {"base_url": url})
    else:
        assert client.put("/api/ai/user-config", {"base_url": url}).body["has_custom_key"] is (
            has_key and not moves
        )
        reply = client.post(f"/api/ai/{route}", ROUTES[route])
    assert (reply.status, reply.body["success"]) == (200, True)
    [request] = target.requests
    assert request.path.startswith("/other/v1/")
    expected = "none" if moves else API_KEY if has_key else PLATFORM_KEY
    assert request.key == expected
    for sent in foreign.requests:
        assert not {API_KEY, PLATFORM_KEY} & {
            word for value in sent.headers.values() for word in value.split()
        }
