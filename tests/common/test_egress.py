"""The door to the outside lets nobody reach the inside, and waits for nobody longer than it said."""

import datetime
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpcore2
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from academy.egress import Deadline, UnsafeUrl, check_url, dialer, origin
from academy.egress.urls import check_addresses
from tests.fakes import ScriptedModel

FORBIDDEN_URLS = (
    "http://api.example.com/v1",
    "https://api.example.com:8443/v1",
    "https://api.example.com:80/v1",
    "https://api.example.com:0/v1",
    "https://api.example.com:99999/v1",
    "https://api.example.com:/v1",
    "https://user@api.example.com/v1",
    "https://user:pass@api.example.com/v1",
    "https://api.example.com@127.0.0.1/v1",
    "https://api.example.com\\@127.0.0.1/v1",
    "https://127.0.0.1\\@api.example.com/v1",
    "https://api.example.com/v1?target=127.0.0.1",
    "https://api.example.com/v1#@127.0.0.1",
    "https://api.example.com/v1 ",
    " https://api.example.com/v1",
    "https://api.example.com/\r\nHost: 127.0.0.1",
    "https://api.example.com\t/v1",
    "https://api.example.com%00.127.0.0.1/",
    "https://api.example.com./v1",
    "https://.example.com/",
    "https://api..example.com/",
    "https:///v1",
    "https://",
    "https:api.example.com",
    "//api.example.com/v1",
    "api.example.com/v1",
    "",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "ftp://api.example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:///var/run/docker.sock",
    "https://localhost/v1",
    "https://LOCALHOST/v1",
    "https://models.localhost/v1",
    "https://printer.local/v1",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://router.lan/",
    "https://intranet/",
    "https://1.0.0.127.in-addr.arpa/",
    "https://127.0.0.1/v1",
    "https://127.1/v1",
    "https://127.0.1/v1",
    "https://0/v1",
    "https://0.0.0.0/v1",
    "https://2130706433/v1",
    "https://0x7f000001/v1",
    "https://0x7f.0.0.1/v1",
    "https://127.0.0.0x1/v1",
    "https://0177.0.0.1/v1",
    "https://017700000001/v1",
    "https://127.0.0.1.:443/v1",
    "https://127。0。0。1/v1",
    "https://１２７.0.0.1/v1",
    "https://ⓛocalhost/v1",
    "https://пример.рф/v1",
    "https://10.0.0.1/v1",
    "https://172.16.0.1/v1",
    "https://192.168.0.1/v1",
    "https://100.64.0.1/v1",
    "https://169.254.169.254/latest/meta-data/",
    "https://[169.254.169.254]/",
    "https://[::1]/v1",
    "https://[::]/v1",
    "https://[::ffff:127.0.0.1]/v1",
    "https://[::ffff:7f00:1]/v1",
    "https://[::7f00:1]/v1",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[::1/v1",
    "https://[zz::1]/",
    "https://[1::2::3]/",
    "https://[1.2.3.4]/",
)

INSIDE = (
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.31.0.1"),
    *("192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "100.100.100.200", "::", "::1", "::7f00:1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1"),
    *("fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
)


class TestD1CheckUrl:
    @pytest.mark.parametrize("url", FORBIDDEN_URLS)
    def test_refuses_what_is_not_a_public_https_url(self, url: str) -> None:
        with pytest.raises(UnsafeUrl) as refused:
            check_url(url)
        assert (refused.value.status, refused.value.code) == (422, "unsafe_url")
        assert refused.value.detail.startswith("The base URL ")
        assert refused.value.detail.endswith(".")

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://api.openai.com/v1", "https://api.openai.com"),
            ("HTTPS://API.Example.COM:443/v1/", "https://api.example.com"),
            ("https://my-models.openai.azure.com/openai/v1", "https://my-models.openai.azure.com"),
            ("https://xn--e1afmkfd.xn--p1ai/v1", "https://xn--e1afmkfd.xn--p1ai"),
            ("https://8.8.8.8/v1", "https://8.8.8.8"),
            ("https://[2606:4700::1111]/v1", "https://[2606:4700::1111]"),
        ],
    )
    def test_returns_the_origin_of_a_url_that_may_be_called(self, url: str, expected: str) -> None:
        assert check_url(url) == expected

    def test_d6_two_spellings_of_one_origin_are_equal(self) -> None:
        assert origin("https://Api.Example.com:443/v1") == origin("https://api.example.com/other")

    @pytest.mark.parametrize("port", [1, 8100, 65_535])
    def test_d6_a_port_is_part_of_an_origin(self, port: int) -> None:
        assert origin(f"https://XX.example.com:{port}/v1") == f"https://xx.example.com:{port}"

    @pytest.mark.parametrize("url", ["https://a.com:0/", "https://a.com:65536/", "https://[1::2::3]/"])
    def test_d6_what_names_no_host_and_port_has_no_origin(self, url: str) -> None:
        with pytest.raises(UnsafeUrl):
            origin(url)

    def test_d6_another_port_or_scheme_is_another_origin(self) -> None:
        origins = {origin(f"{start}/v1") for start in ("https://a.com", "https://a.com:444", "http://a.com")}
        assert len(origins) == 3


class TestD1Addresses:
    @pytest.mark.parametrize("address", INSIDE)
    def test_refuses_an_address_that_leads_inside(self, address: str) -> None:
        with pytest.raises(UnsafeUrl):
            check_addresses("api.example.com", 443, [address])

    @pytest.mark.parametrize(
        "address",
        ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8"],
    )
    def test_accepts_a_public_address(self, address: str) -> None:
        check_addresses("api.example.com", 443, [address])

    def test_refuses_a_name_if_only_one_of_its_addresses_is_bad(self) -> None:
        with pytest.raises(UnsafeUrl):
            check_addresses("api.example.com", 443, ["8.8.8.8", "10.0.0.1"])


class TestD1Dialer:
    @pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
    def test_opens_no_connection_to_a_private_address(self, address: str) -> None:
        with canary() as (port, connections):
            with pytest.raises(UnsafeUrl):
                a_dialer(lambda *_: [address]).connect_tcp("api.example.com", port)
            assert connections() == 0

    def test_checks_a_url_again_when_it_is_called(self) -> None:
        with pytest.raises(UnsafeUrl):
            dialer.client("https://127.0.0.1/v1", limits())

    def test_a_persons_url_whose_name_leads_inside_is_refused_when_it_is_called(self) -> None:
        url = "https://api.example.com/v1"
        with (
            dialer.client(url, limits(), resolver=lambda *_: ["127.0.0.1"]) as client,
            pytest.raises(UnsafeUrl),
        ):
            client.get(url)

    def test_d3_a_client_neither_wanders_nor_waits_for_ever(self) -> None:
        with dialer.client("https://api.example.com/v1", limits()) as client:
            assert client.timeout == httpx2.Timeout(None, connect=5.0, pool=5.0)
            assert (client.follow_redirects, client.trust_env) == (False, False)

    def test_d2_resolves_a_name_once_and_connects_to_what_it_checked(self) -> None:
        answers = iter([["127.0.0.1"]])
        with canary() as (port, connections):
            door = a_dialer(lambda *_: next(answers), allowed={f"api.example.com:{port}"})
            door.connect_tcp("api.example.com", port).close()
            assert connections() == 1
        assert next(answers, None) is None

    def test_d2_a_name_that_moved_inside_is_refused_at_the_next_connection(self) -> None:
        with canary() as (port, connections):
            answers = iter([["127.0.0.1"], ["169.254.169.254"]] * 50)
            door = a_dialer(lambda *_: next(answers), allowed={f"api.example.com:{port}"})
            for _ in range(50):
                door.connect_tcp("api.example.com", port).close()
                with pytest.raises(UnsafeUrl):
                    door.connect_tcp("api.example.com", port)
            assert connections() == 50

    def test_tries_the_next_address_when_the_first_does_not_answer(self) -> None:
        with canary() as (port, connections):
            a_dialer(lambda *_: ["127.0.0.2", "127.0.0.1"], allowed=None).connect_tcp("x", port).close()
            assert connections() == 1

    def test_a_name_that_nobody_knows_is_a_connect_error(self) -> None:
        def unknown(host: str, port: int) -> list[str]:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")

        with pytest.raises(httpcore2.ConnectError):
            a_dialer(unknown).connect_tcp("nowhere.example.com", 443)

    def test_keeps_the_name_for_tls_and_host_while_it_connects_to_the_address(self, tmp_path: Path) -> None:
        with a_tls_server(tmp_path, "models.example.com") as (port, trust, seen):
            url = f"https://models.example.com:{port}/v1"
            with dialer.client(
                url,
                limits(),
                allowed_private={f"models.example.com:{port}"},
                resolver=lambda *_: ["127.0.0.1"],
                tls=trust,
            ) as client:
                assert client.get(url).status_code == 200
        assert seen == ["models.example.com", f"models.example.com:{port}"]

    def test_refuses_a_certificate_for_another_name(self, tmp_path: Path) -> None:
        with a_tls_server(tmp_path, "models.example.com") as (port, trust, _):
            url = f"https://other.example.com:{port}/v1"
            with (
                dialer.client(
                    url, limits(), trusted=True, resolver=lambda *_: ["127.0.0.1"], tls=trust
                ) as client,
                pytest.raises(httpx2.ConnectError),
            ):
                client.get(url)


class TestD3RedirectsAndProxies:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_does_not_follow_a_redirect(self, server: ScriptedModel, status: int) -> None:
        with ScriptedModel() as elsewhere:
            server.redirects(elsewhere.base_url, status)
            assert post(server).status_code == status
            assert elsewhere.requests == []

    def test_ignores_proxies_named_by_the_environment(
        self, server: ScriptedModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ScriptedModel() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://{proxy.address}")
            post(server)
            assert (len(server.requests), proxy.requests) == (1, [])


class TestD4AllowedPrivate:
    def test_an_exact_host_and_port_may_be_called_without_tls(self) -> None:
        assert check_url("http://127.0.0.1:8100/v1", {"127.0.0.1:8100"}) == "http://127.0.0.1:8100"
        assert check_url("http://[::1]:8100/v1", {"[::1]:8100"}) == "http://[::1]:8100"

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:8101/v1", "http://127.0.0.2:8100/v1", "https://127.0.0.1/"]
    )
    def test_its_neighbours_stay_closed(self, url: str) -> None:
        with pytest.raises(UnsafeUrl):
            check_url(url, {"127.0.0.1:8100"})

    def test_a_neighbouring_port_gets_no_connection(self) -> None:
        with canary() as (port, connections):
            with pytest.raises(UnsafeUrl):
                a_dialer(allowed={f"127.0.0.1:{port + 1}"}).connect_tcp("127.0.0.1", port)
            assert connections() == 0

    @pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]"])
    def test_the_metadata_service_cannot_be_allowed(self, host: str) -> None:
        with pytest.raises(UnsafeUrl):
            check_url(f"http://{host}:80/", {f"{host}:80"})

    @pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1%eth0"])
    def test_a_name_that_leads_to_the_metadata_service_cannot_be_allowed(self, address: str) -> None:
        with pytest.raises(UnsafeUrl):
            a_dialer(lambda *_: [address], allowed={"ollama:80"}).connect_tcp("ollama", 80)


class TestD5WhatComesBack:
    def test_an_answer_over_the_limit_is_given_up(self, server: ScriptedModel) -> None:
        server.sends(b"x" * (dialer.RESPONSE_BYTES + 1))
        with pytest.raises(httpx2.ReadError):
            post(server)

    def test_an_answer_within_the_limit_is_read(self, server: ScriptedModel) -> None:
        server.sends(b"x" * (dialer.RESPONSE_BYTES - 1000))
        assert len(post(server).content) == dialer.RESPONSE_BYTES - 1000

    def test_a_compressed_answer_is_refused_unread(self, server: ScriptedModel) -> None:
        server.sends(b"\x1f\x8b bomb", headers={"Content-Encoding": "gzip"})
        with pytest.raises(httpx2.RemoteProtocolError, match=r"^The answer is compressed, which"):
            post(server)

    @pytest.mark.parametrize("name", ["httpx2", "httpcore2", "openai"])
    def test_d8_what_libraries_would_log_of_a_call_is_not_logged(self, name: str) -> None:
        logging.getLogger(name).setLevel(logging.DEBUG)
        dialer.client("https://api.example.com/v1", limits()).close()
        assert logging.getLogger(name).level == logging.WARNING

    def test_a_server_without_a_first_byte_is_given_up_before_the_deadline(
        self, server: ScriptedModel
    ) -> None:
        server.keeps_silent()
        deadline = Deadline(5)
        with pytest.raises(httpx2.ReadTimeout):
            post(server, dialer.Limits(deadline=deadline, first_byte_seconds=0.1))
        assert deadline.left() > 0

    def test_nothing_leaves_but_the_headers_that_are_needed(self, server: ScriptedModel) -> None:
        with dialer.client(server.base_url, limits(), trusted=True) as client:
            headers = {"Authorization": "Bearer key", "X-Stainless-OS": "Linux", "Cookie": "a=b"}
            client.post(server.base_url, json={"messages": [{"content": "hi"}]}, headers=headers)
        sent = set(server.requests[0].headers)
        needed = {"host", "authorization", "content-type", "content-length", "accept", "user-agent"}
        assert sent == needed | {"accept-encoding", "connection"}


class TestDeadline:
    def test_f7_a_drip_ends_at_the_deadline(self, server: ScriptedModel) -> None:
        server.drips(every=0.02)
        with pytest.raises(httpx2.ReadTimeout):
            post(server, limits(0.2))

    @pytest.mark.parametrize(("timeout", "waits"), [(60, 2.5), (None, 2.5), (1, 1)])
    def test_every_wait_is_as_long_as_the_time_that_is_left(
        self, timeout: float | None, waits: float
    ) -> None:
        now = [0.0]
        watched = dialer.Limits(deadline=Deadline(10, clock=lambda: now[0]))
        with listening() as listener:
            stream = dialer.Dialer(watched, dialer.resolve, None).connect_tcp(*listener.getsockname())
            now[0] = 7.5
            stream.write(b"x", timeout)
            assert stream.get_extra_info("socket").gettimeout() == waits
            with listener.accept()[0] as other_end:
                other_end.send(other_end.recv(1))
            assert stream.read(1, timeout) == b"x"
            assert stream.get_extra_info("socket").gettimeout() == waits
            stream.close()

    def test_a_name_server_that_does_not_answer_ends_at_the_deadline(self) -> None:
        asked = threading.Event()

        def silent(host: str, port: int) -> list[str]:
            asked.wait(10)
            return []

        with pytest.raises(httpcore2.ConnectTimeout):
            a_dialer(silent, seconds=0.1).connect_tcp("api.example.com", 443)
        asked.set()

    def test_a_server_that_does_not_read_ends_at_the_deadline(self) -> None:
        with listening() as listener:
            stream = a_dialer(seconds=0.2, allowed=None).connect_tcp("127.0.0.1", listener.getsockname()[1])
            with pytest.raises(httpcore2.WriteTimeout):
                stream.write(b"x" * 50_000_000)
            stream.close()

    @pytest.mark.parametrize(
        ("timeout", "left", "waits"), [(60, 0.05, 0.05), (None, 0.05, 0.05), (0.02, 60, 0.02)]
    )
    def test_a_handshake_that_does_not_come_ends_at_the_deadline(
        self, timeout: float | None, left: float, waits: float
    ) -> None:
        now = [0.0]
        watched = dialer.Limits(deadline=Deadline(100, clock=lambda: now[0]))
        with listening() as listener:
            stream = dialer.Dialer(watched, dialer.resolve, None).connect_tcp(*listener.getsockname())
            now[0] = 100 - left
            with pytest.raises(httpcore2.ConnectTimeout):
                stream.start_tls(ssl.create_default_context(), "127.0.0.1", timeout)
            assert stream.get_extra_info("socket").gettimeout() == pytest.approx(waits)

    def test_nothing_is_read_or_written_after_the_deadline(self) -> None:
        now = [0.0]
        watched = dialer.Limits(deadline=Deadline(100, clock=lambda: now[0]))
        with listening() as listener:
            stream = dialer.Dialer(watched, dialer.resolve, None).connect_tcp(*listener.getsockname())
            now[0] = 101
            with pytest.raises(httpcore2.ReadTimeout):
                stream.read(1)
            with pytest.raises(httpcore2.WriteTimeout):
                stream.write(b"x")
            stream.close()

    def test_a_connection_that_breaks_is_a_read_error(self) -> None:
        with listening() as listener:
            stream = a_dialer(allowed=None).connect_tcp(*listener.getsockname())
            with listener.accept()[0] as other_end:
                other_end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with pytest.raises(httpcore2.ReadError):
                stream.read(1)
            stream.close()

    def test_no_handshake_begins_after_the_deadline(self) -> None:
        now = [0.0]
        watched = dialer.Limits(deadline=Deadline(100, clock=lambda: now[0]))
        with listening() as listener:
            stream = dialer.Dialer(watched, dialer.resolve, None).connect_tcp(*listener.getsockname())
            now[0] = 101
            with pytest.raises(httpcore2.ConnectTimeout):
                stream.start_tls(ssl.create_default_context(), "127.0.0.1")
            assert stream.get_extra_info("socket").fileno() == -1

    def test_nothing_is_begun_after_the_deadline(self) -> None:
        moments = iter([0.0, 11.0])
        late = dialer.Limits(deadline=Deadline(10, clock=lambda: next(moments)))
        with canary() as (port, connections):
            with pytest.raises(httpcore2.ConnectTimeout):
                dialer.Dialer(late, dialer.resolve, None).connect_tcp("127.0.0.1", port)
            assert connections() == 0


@pytest.fixture
def server() -> Iterator[ScriptedModel]:
    with ScriptedModel() as scripted:
        yield scripted


def limits(seconds: float = 5) -> dialer.Limits:
    return dialer.Limits(deadline=Deadline(seconds))


def post(server: ScriptedModel, allowance: dialer.Limits | None = None) -> httpx2.Response:
    with dialer.client(server.base_url, allowance or limits(), trusted=True) as client:
        return client.post(server.base_url, json={"stream": True, "messages": [{"content": "hi"}]})


def a_dialer(
    resolver: Callable[[str, int], list[str]] = dialer.resolve,
    *,
    allowed: Collection[str] | None = (),
    seconds: float = 5,
) -> dialer.Dialer:
    return dialer.Dialer(limits(seconds), resolver, None if allowed is None else frozenset(allowed))


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@contextmanager
def canary() -> Iterator[tuple[int, Callable[[], int]]]:
    """A port inside, and how many connections have reached it."""
    with listening() as listener:
        listener.setblocking(False)

        def connections() -> int:
            count = 0
            while True:
                try:
                    listener.accept()[0].close()
                except BlockingIOError:
                    return count
                count += 1

        yield listener.getsockname()[1], connections


@contextmanager
def a_tls_server(folder: Path, name: str) -> Iterator[tuple[int, ssl.SSLContext, list[str]]]:
    """A server with a certificate for `name`, a context that trusts it, and the names it was called by."""
    certificate = a_certificate(folder, name)
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Host"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    def note_name(_socket: ssl.SSLObject, asked: str | None, _context: ssl.SSLContext) -> None:
        seen.append(str(asked))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = note_name
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # a failed handshake is the test
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, ssl.create_default_context(cafile=certificate), seen
        server.shutdown()
        thread.join()


def a_certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
