"""Opens every connection to a model server: checked addresses only, one deadline, a bounded answer."""

import logging
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpcore2
import httpx2

from academy.egress.deadline import ATTEND_SECONDS, Deadline
from academy.egress.urls import check_addresses, check_url

CONNECT_SECONDS = 5.0
FIRST_BYTE_SECONDS = 10.0
RESPONSE_BYTES = 2 * 1024 * 1024

# What leaves with a request. Client libraries add more: the platform's details, and whatever headers
# the environment of this process happens to name.
_SENT_HEADERS = frozenset({"host", "authorization", "content-type", "content-length", "accept", "user-agent"})
_ALWAYS_SENT = (("accept-encoding", "identity"), ("connection", "close"))

ConnectError = httpx2.ConnectError
TimedOut = httpx2.TimeoutException
TransportError = httpx2.HTTPError

Resolver = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(kw_only=True, slots=True)
class Limits:
    """What one call may take: seconds in all, seconds to the first byte, bytes of answer."""

    deadline: Deadline
    first_byte_seconds: float | None = FIRST_BYTE_SECONDS
    response_bytes: int = RESPONSE_BYTES


def client(
    url: str,
    limits: Limits,
    *,
    trusted: bool = False,
    allowed_private: Collection[str] = (),
    resolver: Resolver = resolve,
    tls: ssl.SSLContext | None = None,
) -> httpx2.Client:
    """An HTTP client for one call to `url`; raises `UnsafeUrl` for what a person may not call.

    `trusted` is for the operator's own URL, which may lead anywhere; all other limits stay.
    One client per call costs 0.2 ms, and keeps neither a key nor a half-dead connection.
    """
    if not trusted:
        check_url(url, allowed_private)
    _silence_libraries()
    dialer = Dialer(limits, resolver, None if trusted else frozenset(allowed_private))
    secure = url.lower().startswith("https:")
    transport = _Transport(dialer, tls or (_tls() if secure else None))
    timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)
    return httpx2.Client(transport=transport, timeout=timeout, follow_redirects=False, trust_env=False)


@dataclass(slots=True)
class Dialer(httpcore2.NetworkBackend):
    """Resolves a name once, checks every address behind it, and connects to one of those."""

    limits: Limits
    resolver: Resolver
    allowed_private: frozenset[str] | None
    """None: the operator's own URL, whose addresses are not checked."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - the signature is httpcore2's
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - the signature is httpcore2's
    ) -> httpcore2.NetworkStream:
        addresses = self._resolve(host, port, timeout)
        if self.allowed_private is not None:
            check_addresses(host, port, addresses, self.allowed_private)
        return _Stream(self._open(addresses, port, timeout), self.limits)

    def _resolve(self, host: str, port: int, timeout: float | None) -> list[str]:
        # getaddrinfo has no time-out, and whose name server answers is the person's choice too.
        outcome: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                outcome.put(self.resolver(host, port))
            except (OSError, UnicodeError) as error:
                outcome.put(error)

        seconds = _seconds(self.limits.deadline, timeout, httpcore2.ConnectTimeout)
        threading.Thread(target=look_up, daemon=True).start()
        try:
            found = outcome.get(timeout=seconds)
        except queue.Empty:
            raise httpcore2.ConnectTimeout from None
        if isinstance(found, Exception):
            raise httpcore2.ConnectError from found
        return found

    def _open(self, addresses: list[str], port: int, timeout: float | None) -> socket.socket:
        failure: Exception = httpcore2.ConnectError()
        for address in addresses:
            try:
                with _mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
                    seconds = _seconds(self.limits.deadline, timeout, httpcore2.ConnectTimeout)
                    connection = socket.create_connection((address, port), seconds)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return connection
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


@dataclass(slots=True)
class _Stream(httpcore2.NetworkStream):
    """A socket whose every wait ends at the deadline, and which gives up a never-ending answer."""

    connection: socket.socket
    limits: Limits
    received: int = field(default=0, init=False)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.received == 0:
            timeout = _shorter(timeout, self.limits.first_byte_seconds)
        with _mapped(httpcore2.ReadTimeout, httpcore2.ReadError):
            data = self._receive(max_bytes, _seconds(self.limits.deadline, timeout, httpcore2.ReadTimeout))
        self.received += len(data)
        if self.received > self.limits.response_bytes:
            raise httpcore2.ReadError("The answer is larger than the limit.")
        return data

    def _receive(self, max_bytes: int, seconds: float) -> bytes:
        attend = self.limits.deadline.attend
        while attend and seconds > ATTEND_SECONDS:
            self.connection.settimeout(ATTEND_SECONDS)
            try:
                return self.connection.recv(max_bytes)
            except TimeoutError:
                if not attend():
                    raise httpcore2.ReadError("The caller does not wait any longer.") from None
                # Attending takes its time, too.
                seconds = min(seconds - ATTEND_SECONDS, self.limits.deadline.left())
        if seconds <= 0:
            raise TimeoutError
        self.connection.settimeout(seconds)
        return self.connection.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        while rest:
            with _mapped(httpcore2.WriteTimeout, httpcore2.WriteError):
                self.connection.settimeout(_seconds(self.limits.deadline, timeout, httpcore2.WriteTimeout))
                rest = rest[self.connection.send(rest) :]

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            with _mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError):
                self.connection.settimeout(_seconds(self.limits.deadline, timeout, httpcore2.ConnectTimeout))
                secured = ssl_context.wrap_socket(self.connection, server_hostname=server_hostname)
        except BaseException:
            self.close()
            raise
        return _Stream(secured, self.limits)

    def get_extra_info(self, info: str) -> Any:
        return self.connection if info == "socket" else None

    def close(self) -> None:
        self.connection.close()


class _Transport(httpx2.HTTPTransport):
    """Sends what is needed and no more; takes a plain answer and no compressed one."""

    def __init__(self, dialer: Dialer, tls: ssl.SSLContext | None) -> None:
        # HTTPTransport has no parameter for a network backend; its pool is all that it holds.
        self._pool = httpcore2.ConnectionPool(ssl_context=tls, network_backend=dialer)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        kept = [(name, value) for name, value in request.headers.multi_items() if name in _SENT_HEADERS]
        request.headers = httpx2.Headers([*kept, *_ALWAYS_SENT])
        response = super().handle_request(request)
        # A compressed answer could unpack to a thousand times the limit.
        encoding = response.headers.get("content-encoding")
        if encoding and encoding.lower() != "identity":
            response.close()
            raise httpx2.RemoteProtocolError("The answer is compressed, which was not asked for.")
        return response


@contextmanager
def _mapped(timed_out: type[Exception], failed: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timed_out from error
    except OSError as error:
        raise failed from error


def _seconds(deadline: Deadline, timeout: float | None, timed_out: type[Exception]) -> float:
    left = deadline.left()
    if left <= 0:
        raise timed_out
    return left if timeout is None else min(timeout, left)


def _shorter(timeout: float | None, other: float | None) -> float | None:
    return min((seconds for seconds in (timeout, other) if seconds is not None), default=None)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Reading the certificate store takes 0.1 s, so it is read once per environment.
    return httpx2.create_ssl_context()


def _silence_libraries() -> None:
    # They log URLs, reason phrases and, at DEBUG, headers: other people's words and keys.
    for name in ("httpx2", "httpcore2", "openai"):
        logging.getLogger(name).setLevel(logging.WARNING)
