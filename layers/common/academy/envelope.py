"""Envelope encryption: every record has a data key of its own, kept beside it, wrapped by a key that is not.

A sealed record is a version (1 byte), the length of the wrapped data key (2), that key, a nonce (12) and what
AES-256-GCM made of the words.
"""

import os

from academy import wrapping
from academy.crypto import NONCE_BYTES, Unreadable
from academy.wrapping import Context

VERSION = b"\x02"
"""The first byte of every record; version 1 is `academy.crypto.seal`'s."""

LENGTH_BYTES = 2


def seal(plain: bytes, *, context: Context) -> bytes:
    """What only opens again with the same context. Raises `SecretsUnavailable`.

    May ask KMS, so no transaction should be open.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 40 ms, needed by few requests

    key = wrapping.chosen().generate_data_key(context)
    header = VERSION + len(key.wrapped).to_bytes(LENGTH_BYTES) + key.wrapped
    nonce = os.urandom(NONCE_BYTES)
    return header + nonce + AESGCM(key.plain).encrypt(nonce, plain, header + wrapping.canonical(context))


def unseal(sealed: bytes, *, context: Context) -> bytes:
    """What `seal` was given. Raises `Unreadable`, `SecretsUnavailable`; may ask KMS, as above."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    header, wrapped, rest = _parts(sealed)
    key = wrapping.chosen().decrypt_data_key(wrapped, context)
    try:
        return AESGCM(key).decrypt(
            rest[:NONCE_BYTES], rest[NONCE_BYTES:], header + wrapping.canonical(context)
        )
    except (InvalidTag, ValueError):
        raise Unreadable("This can't be read: it is not what was sealed.") from None


def is_current(sealed: bytes) -> bool:
    """Whether `seal` would do it in the same way today, with the same wrapping key."""
    return sealed[:1] == VERSION and wrapping.chosen().is_newest(_parts(sealed)[1])


def _parts(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    """The header, the wrapped key that it ends with, and the rest."""
    start = 1 + LENGTH_BYTES
    end = start + int.from_bytes(sealed[1:start])
    if sealed[:1] != VERSION or len(sealed) < end + NONCE_BYTES:
        raise Unreadable("This can't be read: it is of a form that is not known here.")
    return sealed[:end], sealed[start:end], sealed[end:]
