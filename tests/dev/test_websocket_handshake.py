"""A handshake with the local gateway goes as one with API Gateway, item by item, over real sockets."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from dev.sockets import Limits
from dev.websocket_paths import query_for
from tests.dev.sample import GATE, SEEN
from tests.dev.talking import TEXT, Raw, frame, serving, talking
from tests.gateway import Gateway


@pytest.fixture(scope="module")
def live() -> Iterator[Gateway]:
    with serving() as gateway_:
        yield gateway_


def refusal(live: Gateway, path: str) -> tuple[int, bytes]:
    with pytest.raises(InvalidStatus) as refused:
        live.connect(path)
    response = refused.value.response
    return response.status_code, bytes(response.body or b"")


class TestHandshake:
    def test_its_event_holds_headers_as_they_were_spelled_and_the_query(self, live: Gateway) -> None:
        with talking(live, "/ws?a=1&a=2", additional_headers={"X-MiXed": "Yes"}) as talk:
            event = talk.handshake
        assert (event["headers"]["X-MiXed"], event["multiValueHeaders"]["X-MiXed"]) == ("Yes", ["Yes"])
        assert event["headers"]["Sec-WebSocket-Version"] == "13"
        assert event["headers"]["X-Forwarded-Proto"] == "http"
        assert not {"Upgrade", "Connection"} & event["headers"].keys()
        assert event["multiValueQueryStringParameters"]["a"] == ["1", "2"]
        context = event["requestContext"]
        assert (context["stage"], context["domainName"]) == ("ws", "127.0.0.1")
        assert context["identity"]["userAgent"].startswith("Python/")
        assert re.fullmatch(r"[A-Za-z0-9_-]{15}=", talk.id)

    def test_it_is_pending_until_the_function_has_answered(self, live: Gateway) -> None:
        client = Raw(live)
        assert client.id
        assert client.silent()
        assert client.answered().startswith(b"HTTP/1.1 101 ")
        client.break_off()

    @pytest.mark.parametrize("status", [401, 403, 302, 500])
    def test_the_functions_refusal_is_the_status_without_its_body(self, live: Gateway, status: int) -> None:
        assert refusal(live, f"/ws?status={status}") == (status, b"")

    @pytest.mark.parametrize("what", ["error", "nothing", "status=42"])
    def test_a_function_that_fails_is_an_internal_server_error(self, live: Gateway, what: str) -> None:
        assert refusal(live, f"/ws?{what}")[0] == 500

    def test_a_function_that_is_late_is_a_gateway_timeout(self) -> None:
        with serving(Limits(seconds=0.05)) as live:
            assert refusal(live, "/ws?wait=1")[0] == 504
            GATE.set()

    def test_frames_from_before_the_verdict_are_held_until_then(self, live: Gateway) -> None:
        client = Raw(live, early=frame(TEXT, b'{"n":1}'))
        assert client.id
        client.socket.sendall(frame(TEXT, b'{"n":2}'))
        assert client.silent()
        assert SEEN.all("MESSAGE", client.id) == []
        assert client.answered().startswith(b"HTTP/1.1 101 ")
        frames = SEEN.some("MESSAGE", client.id, 2)
        assert {event["body"] for event in frames} == {'{"n":1}', '{"n":2}'}
        client.break_off()

    def test_frames_from_before_a_refusal_reach_no_function(self, live: Gateway) -> None:
        client = Raw(live, "status=401", early=frame(TEXT, b"{}"))
        assert client.answered().startswith(b"HTTP/1.1 401 ")
        assert SEEN.all("MESSAGE", client.id) == SEEN.all("DISCONNECT", client.id) == []
        client.break_off()

    def test_a_subprotocol_is_answered_if_the_function_says_so(self, live: Gateway) -> None:
        with talking(live, "/ws?protocol=bearer", subprotocols=["bearer", "token"]) as talk:
            assert talk.client.subprotocol == "bearer"
        assert talk.handshake["headers"]["Sec-WebSocket-Protocol"] == "bearer, token"

    def test_a_subprotocol_is_not_answered_by_itself(self, live: Gateway) -> None:
        with talking(live, subprotocols=["bearer"]) as talk:
            assert talk.client.subprotocol is None

    def test_frames_are_not_compressed(self, live: Gateway) -> None:
        with talking(live) as talk:
            assert talk.client.response is not None
            assert "Sec-WebSocket-Extensions" not in talk.client.response.headers

    @pytest.mark.parametrize(
        "path", ["/", "/ws/x", "/ws/chat", "/ws/chat/", "/ws/chat/a/b", "/wsx", "/things/1"]
    )
    def test_any_other_path_is_forbidden(self, live: Gateway, path: str) -> None:
        assert refusal(live, path) == (403, b'{"message":"Forbidden"}')

    def test_a_refusal_is_nothing_to_complain_of(self, capfd: pytest.CaptureFixture[str]) -> None:
        with serving() as live:
            assert refusal(live, "/elsewhere")[0] == 403
        assert capfd.readouterr().err == ""

    def test_a_template_without_a_websocket_api_forbids_every_path(self, tmp_path: Path) -> None:
        template = tmp_path / "template.yaml"
        template.write_text("Resources: {}")
        with serving(template=template) as live:
            assert refusal(live, "/ws")[0] == 403

    def test_what_is_logged_names_no_token(self, live: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
        with talking(live, "/ws/chat/s_1?token=hidden-word") as talk:
            pass
        talk.ending()
        logged = capsys.readouterr().out
        assert re.search(r"\d\d:\d\d:\d\d CONNECT /ws/chat/s_1 101 \d+ ms\n", logged)
        assert re.search(r"\d\d:\d\d:\d\d DISCONNECT /ws/chat/s_1 1000 0 s\n", logged)
        assert "hidden-word" not in logged


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "query", "rewritten"),
        [
            ("/ws", "session_id=s&channel=chat", "session_id=s&channel=chat"),
            ("/ws/", "a=1", "a=1"),
            ("/ws/chat/s_1", "", "session_id=s_1&channel=chat"),
            ("/ws/chat/s_1/", "", "session_id=s_1&channel=chat"),
            ("/ws/chat/s_1/switch", "token=a%2Bb", "session_id=s_1&channel=switch&token=a%2Bb"),
            ("/ws/chat/s_1/switch/", "", "session_id=s_1&channel=switch"),
            ("/ws/chat/a+b%2Fc%20d%26", "", "session_id=a%2Bb%2Fc%20d%26&channel=chat"),
            (
                "/ws/chat/mine",
                "session_id=yours&x=1&session%5Fid=yours&channel=z",
                "session_id=mine&channel=chat&x=1",
            ),
        ],
    )
    def test_a_path_becomes_a_query(self, path: str, query: str, rewritten: str) -> None:
        assert query_for(path, query, "ws") == rewritten

    def test_a_session_in_the_path_reaches_the_function_decoded(self, live: Gateway) -> None:
        with talking(live, "/ws/chat/%D1%81%2B1+2/switch?session_id=other") as talk:
            query = talk.handshake["queryStringParameters"]
        assert (query["session_id"], query["channel"]) == ("с+1+2", "switch")
