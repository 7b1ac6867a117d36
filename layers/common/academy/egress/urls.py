"""Which addresses a person may make the platform call: the public internet, over TLS, and nothing else."""

import ipaddress
import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from academy.errors import AppError

# One strict grammar, so that no two parsers can read the same text as two hosts.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f]*:[0-9a-f:.]*\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[a-z0-9._~!$&'()*+,;=:%/-]*)?",
    re.IGNORECASE | re.ASCII,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "onion")

_METADATA = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32")
# `is_global` is true for all of these, yet each can lead back inside (NAT64, 6to4, Teredo, relays).
_DENIED = (
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2002::/16",
    "2001::/32",
    "3fff::/20",
    "100.64.0.0/10",
    "192.0.0.0/24",
    "192.88.99.0/24",
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class UnsafeUrl(AppError):
    status, code = 422, "unsafe_url"


def check_url(url: str, allowed_private: Collection[str] = ()) -> str:
    """The URL's origin, if a person may use it as a model server; raises `UnsafeUrl` otherwise.

    `allowed_private` holds exact `host:port` pairs which the operator vouches for. Names are not
    resolved here: what a name points at is checked each time a connection is opened.
    """
    scheme, host, port = _parts(url)
    vouched_for = host_port(host, port) in allowed_private
    if not vouched_for and (scheme != "https" or port != 443):
        raise UnsafeUrl("The base URL must start with https:// and use port 443.")
    if is_address(host):
        check_addresses(host, port, [host], allowed_private)
    elif not vouched_for:
        _check_name(host)
    return origin(url)


def origin(url: str) -> str:
    """Scheme, host and port in one spelling, the port left out where it is the scheme's own.

    A key belongs to the origin it was saved with, so two spellings of one origin must be equal.
    """
    scheme, host, port = _parts(url)
    if port == _DEFAULT_PORTS[scheme]:
        return f"{scheme}://{_bracketed(host)}"
    return f"{scheme}://{host_port(host, port)}"


def check_addresses(
    host: str, port: int, addresses: Iterable[str], allowed_private: Collection[str] = ()
) -> None:
    """Refuses if any address is bad: a name that also points inside is not to be trusted at all."""
    vouched_for = host_port(host, port) in allowed_private
    for address in map(_unwrapped, addresses):
        if _within(address, _METADATA) or not (vouched_for or is_public(address)):
            raise UnsafeUrl(
                "The base URL leads to a private or reserved network address. "
                "Use a model server on the public internet."
            )


def is_public(address: Address) -> bool:
    if address.is_multicast or address.is_reserved or _within(address, _DENIED):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address in _GLOBAL_UNICAST and address.is_global
    return address.is_global


def host_port(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parts(url: str) -> tuple[str, str, int]:
    match = _URL.fullmatch(url)
    if match is None:
        raise UnsafeUrl(
            "The base URL must look like https://api.example.com/v1, "
            "without a user name, a query or characters outside ASCII."
        )
    scheme, host = match["scheme"].lower(), match["host"].strip("[]").lower()
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    if not 0 < port < 65536 or (":" in host and not is_address(host)):
        raise UnsafeUrl("The base URL has no valid host and port. Check its spelling.")
    return scheme, host, port


def _check_name(host: str) -> None:
    labels = host.split(".")
    last = labels[-1]
    # "127.1", "0x7f000001" and "2130706433" are addresses to a resolver, though not to us.
    numeric = last[:1].isdigit()
    if len(labels) < 2 or not all(labels) or numeric or last in _LOCAL_NAMES:
        raise UnsafeUrl("The base URL must name a server on the public internet, such as api.example.com.")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _unwrapped(text: str) -> Address:
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _within(address: Address, networks: tuple[str, ...]) -> bool:
    return any(address in network for network in _networks(networks))


@lru_cache
def _networks(texts: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))
