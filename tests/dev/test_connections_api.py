"""`@connections` answers boto3 as API Gateway does: in order, and with errors that it raises by name."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from dev.gateway import GOODBYE_SECONDS
from dev.sockets import Limits
from tests.dev.talking import Raw, serving, talking
from tests.gateway import Gateway

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=local/20261123/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
)
NOBODY = "Lk3fCeXIIAMCJxQ="
FRAME, HEADER_BYTES = b"x" * 100_000, 10


@pytest.fixture(scope="module")
def live() -> Iterator[Gateway]:
    with serving() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def management(live: Gateway) -> Any:
    return live.management


def posts_until_the_limit(live: Gateway, connection_id: str) -> int:
    for posted in range(1000):
        try:
            live.management.post_to_connection(ConnectionId=connection_id, Data=FRAME)
        except live.management.exceptions.LimitExceededException:
            return posted
    raise AssertionError("there is no limit")


class TestPost:
    def test_reaches_the_client_as_text(self, live: Gateway, management: Any) -> None:
        with talking(live) as talk:
            management.post_to_connection(ConnectionId=talk.id, Data="слово".encode())
            assert talk.client.recv(timeout=5) == "слово"

    def test_reaches_nobody_else(self, live: Gateway, management: Any) -> None:
        with talking(live) as first, talking(live) as second:
            management.post_to_connection(ConnectionId=first.id, Data=b"first")
            management.post_to_connection(ConnectionId=second.id, Data=b"second")
            assert second.client.recv(timeout=5) == "second"

    def test_keeps_the_order_in_which_it_was_answered(self, live: Gateway, management: Any) -> None:
        said = [str(number) for number in range(200)]
        with talking(live) as talk:
            for words in said:
                management.post_to_connection(ConnectionId=talk.id, Data=words.encode())
            assert [talk.client.recv(timeout=5) for _ in said] == said

    def test_several_functions_can_talk_at_once_each_in_its_order(
        self, live: Gateway, management: Any
    ) -> None:
        def speak(speaker: int) -> None:
            for number in range(25):
                said = json.dumps([speaker, number]).encode()
                management.post_to_connection(ConnectionId=talk.id, Data=said)

        with talking(live) as talk, ThreadPoolExecutor(4) as speakers:
            list(speakers.map(speak, range(4)))
            heard = [talk.hear() for _ in range(100)]
        assert all([n for s, n in heard if s == speaker] == list(range(25)) for speaker in range(4))

    def test_takes_128_kilobytes_and_no_byte_more(self, live: Gateway, management: Any) -> None:
        with talking(live) as talk:
            management.post_to_connection(ConnectionId=talk.id, Data=b"x" * 131_072)
            assert len(talk.client.recv(timeout=5)) == 131_072
            with pytest.raises(management.exceptions.PayloadTooLargeException):
                management.post_to_connection(ConnectionId=talk.id, Data=b"x" * 131_073)

    def test_a_client_that_reads_too_slowly_is_a_limit_and_loses_nothing(self) -> None:
        with serving(Limits(buffer_bytes=300_000)) as live:
            client = Raw(live)
            client.answered()
            posted = posts_until_the_limit(live, client.id)
            left = posted * (HEADER_BYTES + len(FRAME))
            while left > 0:
                left -= len(client.socket.recv(1_000_000))
            live.management.post_to_connection(ConnectionId=client.id, Data=b"and on")
            client.break_off()
        assert left == 0


class TestOthers:
    def test_get_describes_the_connection(self, live: Gateway, management: Any) -> None:
        with talking(live) as talk:
            first = management.get_connection(ConnectionId=talk.id)
            management.post_to_connection(ConnectionId=talk.id, Data=b"x")
            talk.client.recv(timeout=5)
            second = management.get_connection(ConnectionId=talk.id)
        connected_at = talk.handshake["requestContext"]["connectedAt"]
        assert first["ConnectedAt"] == datetime.fromtimestamp(connected_at / 1000, UTC)
        assert first["Identity"]["SourceIp"] == "127.0.0.1"
        assert first["Identity"]["UserAgent"].startswith("Python/")
        assert first["LastActiveAt"] < second["LastActiveAt"]

    def test_delete_closes_the_socket_after_what_was_posted(self, live: Gateway, management: Any) -> None:
        with talking(live) as talk:
            management.post_to_connection(ConnectionId=talk.id, Data=b"last words")
            deleted = management.delete_connection(ConnectionId=talk.id)
            assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
            with pytest.raises(management.exceptions.GoneException):
                management.post_to_connection(ConnectionId=talk.id, Data=b"too late")
            assert talk.client.recv(timeout=5) == "last words"
            assert talk.closed() == talk.ending() == (1000, "Connection Closed Normally")

    def test_who_is_being_hung_up_on_is_gone_although_it_has_not_read_to_the_end(self) -> None:
        with serving(Limits(buffer_bytes=300_000)) as live:
            client = Raw(live)
            client.answered()
            posts_until_the_limit(live, client.id)
            live.management.delete_connection(ConnectionId=client.id)
            with pytest.raises(live.management.exceptions.GoneException):
                live.management.get_connection(ConnectionId=client.id)
            client.break_off()

    def test_a_client_that_reads_no_more_does_not_hold_up_the_end(self) -> None:
        with serving(Limits(buffer_bytes=300_000)) as live:
            client = Raw(live)
            client.answered()
            posts_until_the_limit(live, client.id)
            began = time.monotonic()
        assert time.monotonic() - began < GOODBYE_SECONDS
        client.break_off()


class TestErrors:
    @pytest.mark.parametrize("call", ["get_connection", "delete_connection"])
    def test_who_is_unknown_is_gone(self, management: Any, call: str) -> None:
        with pytest.raises(management.exceptions.GoneException):
            getattr(management, call)(ConnectionId=NOBODY)

    def test_who_has_left_is_gone(self, live: Gateway, management: Any) -> None:
        with talking(live) as talk:
            pass
        assert talk.ending()
        with pytest.raises(management.exceptions.GoneException):
            management.post_to_connection(ConnectionId=talk.id, Data=b"x")

    def test_who_is_not_admitted_yet_is_gone(self, live: Gateway, management: Any) -> None:
        client = Raw(live)
        with pytest.raises(management.exceptions.GoneException):
            management.post_to_connection(ConnectionId=client.id, Data=b"x")
        assert client.answered()
        client.break_off()

    @pytest.mark.parametrize("authorization", ["", "Bearer x", SIGNED.format("sqs")])
    def test_who_does_not_sign_for_this_service_is_refused(self, live: Gateway, authorization: str) -> None:
        with talking(live) as talk:
            path = live.at_connection(talk.id)
            answer = live("POST", path, b"x", Authorization=authorization)
            assert (answer.status, answer.header("x-amzn-errortype")) == (403, "ForbiddenException")
            assert live("POST", path, b"x", Authorization=SIGNED.format("execute-api")).status == 200

    @pytest.mark.parametrize("path", ["/ws/elsewhere", "/ws/@connections", "/ws/@connections/a/b"])
    def test_any_other_path_of_the_stage_is_refused(self, live: Gateway, path: str) -> None:
        assert live("POST", path, b"x", Authorization=SIGNED.format("execute-api")).status == 403

    def test_another_stage_is_not_this_api(self, live: Gateway) -> None:
        assert live("POST", f"/prod/@connections/{NOBODY}", b"x").status == 404

    def test_another_method_is_refused(self, live: Gateway) -> None:
        with talking(live) as talk:
            path, signed = live.at_connection(talk.id), SIGNED.format("execute-api")
            assert live("PUT", path, b"", Authorization=signed).status == 403
