"""A WebSocket of the local gateway behaves as one of API Gateway, item by item, over real sockets."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from dev import gateway
from dev.event_sources import EventSources
from dev.runtime import Runtime
from dev.sam import Template
from dev.sockets import QUOTAS, Limits
from tests.dev.sample import GATE, SEEN, WENT_ON
from tests.dev.talking import CLOSE, TEMPLATE, Raw, Talk, frame, serving, talking
from tests.gateway import Gateway


@pytest.fixture(scope="module")
def live() -> Iterator[Gateway]:
    with serving() as gateway_:
        yield gateway_


def say(_: Gateway, talk: Talk) -> None:
    talk.say()


def push(live: Gateway, talk: Talk) -> None:
    live.management.post_to_connection(ConnectionId=talk.id, Data=b"{}")


class TestFrames:
    def test_a_frame_is_an_event_without_headers_and_query(self, live: Gateway) -> None:
        with talking(live) as talk:
            talk.client.send("слово")
            event = SEEN.first("MESSAGE", talk.id)
        assert (event["body"], event["isBase64Encoded"]) == ("слово", False)
        assert event.keys() == {"requestContext", "body", "isBase64Encoded"}
        assert event["requestContext"]["connectedAt"] == talk.handshake["requestContext"]["connectedAt"]

    @pytest.mark.parametrize(
        ("body", "key"),
        [
            ('{"action":"send"}', "send"),
            ('{"action":"other"}', "$default"),
            ('{"action":"$connect"}', "$default"),
            ('{"action":["send"]}', "$default"),
            ('["action"]', "$default"),
            ("{", "$default"),
            ("[" * 100_000, "$default"),
            ("", "$default"),
        ],
    )
    def test_its_json_chooses_the_route(self, live: Gateway, body: str, key: str) -> None:
        with talking(live) as talk:
            talk.client.send(body)
            assert SEEN.first("MESSAGE", talk.id)["requestContext"]["routeKey"] == key

    def test_without_a_default_route_an_unknown_one_is_forbidden(self, tmp_path: Path) -> None:
        template = tmp_path / "template.yaml"
        template.write_text(TEMPLATE.read_text().replace("        $default: {F", "        other: {F"))
        with serving(template=template) as live, talking(live) as talk:
            talk.say(action="unknown")
            answer = talk.hear()
        assert (answer["message"], answer["connectionId"]) == ("Forbidden", talk.id)
        assert answer.keys() == {"message", "connectionId", "requestId"}

    def test_frames_are_handled_at_the_same_time(self, live: Gateway) -> None:
        with talking(live) as talk:
            talk.say(wait=1)
            SEEN.first("MESSAGE", talk.id)
            talk.say(error=1)
            assert talk.hear()["message"] == "Internal server error"
            assert not GATE.is_set()

    def test_what_a_function_returns_is_not_sent(self, live: Gateway) -> None:
        with talking(live) as talk:
            talk.say(status=500)
            talk.say(error=1)
            assert talk.hear()["message"] == "Internal server error"

    @pytest.mark.parametrize("what", ["error", "nothing"])
    def test_a_failure_is_told_with_the_requests_id_and_the_socket_stays_open(
        self, live: Gateway, what: str
    ) -> None:
        with talking(live) as talk:
            talk.say(**{what: 1})
            request_id = SEEN.first("MESSAGE", talk.id)["requestContext"]["requestId"]
            words = "Internal server error"
            told = {"message": words, "connectionId": talk.id, "requestId": request_id}
            assert talk.hear() == told
            talk.say(**{what: 1})
            assert talk.hear()["message"] == words

    @pytest.mark.parametrize(("limits", "action"), [(Limits(seconds=0.05), "send"), (QUOTAS, "hurried")])
    def test_a_late_function_is_told_of_and_goes_on(self, limits: Limits, action: str) -> None:
        with serving(limits) as live, talking(live) as talk:
            WENT_ON.clear()
            talk.say(action=action, wait=1)
            assert talk.hear()["message"] == "Endpoint request timed out"
            GATE.set()
            assert WENT_ON.wait(5)


class TestLimits:
    def test_text_up_to_128_kilobytes_is_taken(self, live: Gateway) -> None:
        with talking(live) as talk:
            talk.client.send("я" * 64 * 1024)
            assert len(SEEN.first("MESSAGE", talk.id)["body"]) == 64 * 1024

    def test_longer_text_closes_the_socket(self, live: Gateway) -> None:
        with talking(live) as talk:
            talk.client.send("я" * 64 * 1024 + "!")
            assert talk.closed()[0] == 1009
            assert talk.ending()[0] == 1009
        assert SEEN.all("MESSAGE", talk.id) == []

    def test_a_binary_frame_closes_the_socket(self, live: Gateway) -> None:
        with talking(live) as talk:
            talk.client.send(b"{}")
            with suppress(ConnectionClosed):
                talk.client.send("{}")
            assert talk.closed()[0] == 1003
        assert SEEN.all("MESSAGE", talk.id) == []

    @pytest.mark.parametrize("limits", [Limits(idle_seconds=0.1), Limits(life_seconds=0.1)])
    def test_a_socket_that_is_silent_or_alive_for_too_long_is_closed(self, limits: Limits) -> None:
        with serving(limits) as live, talking(live) as talk:
            assert talk.closed() == (1001, "Going away")
            assert talk.ending() == (1001, "Going away")

    @pytest.mark.parametrize("speak", [say, push])
    def test_frames_in_either_direction_keep_it_from_being_idle(
        self, speak: Callable[[Gateway, Talk], None]
    ) -> None:
        with serving(Limits(idle_seconds=0.8)) as live:
            assert live.management  # takes its time to come about
            with talking(live) as talk:
                time.sleep(0.3)
                speak(live, talk)
                spoke = time.monotonic()
                assert talk.closed() == (1001, "Going away")
                assert time.monotonic() - spoke > 0.7

    def test_the_gateway_does_not_ping_of_its_own_accord(self) -> None:
        template = Template(TEMPLATE)
        runtime = Runtime(template.functions)
        app = gateway.application(template, runtime)
        server = gateway.server(app, EventSources(template, runtime))
        assert server.config.ws_ping_interval is None


class TestEnds:
    def test_the_clients_code_and_reason_are_told(self, live: Gateway) -> None:
        with talking(live) as talk:
            talk.client.close(4001, "enough")
        assert talk.ending() == (4001, "enough")

    def test_a_client_that_closes_without_a_word_is_told_of_as_such(self, live: Gateway) -> None:
        client = Raw(live)
        assert client.id
        client.answered()
        client.socket.sendall(frame(CLOSE, b""))
        context = SEEN.first("DISCONNECT", client.id)["requestContext"]
        assert context["disconnectStatusCode"] == 1005
        assert context["disconnectReason"] == "Client-side close frame status not set"
        client.break_off()

    def test_a_connection_that_breaks_ended_abnormally(self, live: Gateway) -> None:
        client = Raw(live)
        assert client.id
        client.answered()
        client.break_off()
        context = SEEN.first("DISCONNECT", client.id)["requestContext"]
        assert context["disconnectStatusCode"] == 1006

    def test_a_gateway_that_ends_tells_clients_and_functions_once(self) -> None:
        with ExitStack() as client:
            with serving() as live:
                talk = client.enter_context(talking(live))
            assert talk.closed()[0] == 1012
        assert [talk.ending()[0], len(SEEN.all("DISCONNECT", talk.id))] == [1012, 1]

    def test_a_test_can_have_the_event_come_late(self) -> None:
        with serving(disconnect_after=0.2) as live, talking(live) as talk:
            talk.client.close()
            assert SEEN.all("DISCONNECT", talk.id) == []
            assert talk.ending()[0] == 1000

    def test_a_test_can_have_the_event_not_come_at_all(self) -> None:
        with serving(disconnect_after=None) as live, talking(live) as talk:
            pass
        assert SEEN.all("DISCONNECT", talk.id) == []
