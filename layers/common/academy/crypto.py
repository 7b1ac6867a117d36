"""Sealing what must not be readable in the database, and hashing what need not be."""

import hashlib
import hmac
import json
import os
from functools import lru_cache

from academy import vault
from academy.config import MIN_SECRET_BYTES, settings
from academy.errors import AppError

VERSION = b"\x01"
MOST_SECRETS = 2
"""One that makes and one that is on its way in or out: more would be keys that nobody remembers to retire."""
KEY_ID_BYTES = 4
NONCE_BYTES = 12


class Unreadable(AppError):
    """Sealed bytes that belong to somebody else, or to a secret key that was retired."""

    status, code = 500, "unreadable"


def seal(plain: bytes, *, context: str) -> bytes:
    """AES-256-GCM under a derived key, for what is gone in a day; `academy.envelope` seals what is kept.

    `context` is bound to the bytes: what is sealed for one owner opens for no other.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 40 ms, needed by few requests

    secret = secrets()[0]
    nonce = os.urandom(NONCE_BYTES)
    box = AESGCM(derive(secret, "seal")).encrypt(nonce, plain, context.encode())
    return VERSION + key_id(secret) + nonce + box


def unseal(sealed: bytes, *, context: str) -> bytes:
    """What `seal` was given. Raises `Unreadable`."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    header, rest = sealed[: 1 + KEY_ID_BYTES], sealed[1 + KEY_ID_BYTES :]
    for secret in secrets():
        if header == VERSION + key_id(secret):
            try:
                return AESGCM(derive(secret, "seal")).decrypt(
                    rest[:NONCE_BYTES], rest[NONCE_BYTES:], context.encode()
                )
            except InvalidTag:
                break
    raise Unreadable("This can no longer be read: it was sealed for somebody else or with a retired key.")


def keyed_hash(purpose: str, value: str) -> bytes:
    """32 bytes that nobody without the secret key can make or guess the value from."""
    return keyed_hash_with(secrets()[0], purpose, value)


def keyed_hash_with(secret: bytes, purpose: str, value: str) -> bytes:
    return hmac.digest(derive(secret, purpose), value.encode(), "sha256")


def derive(secret: bytes, purpose: str) -> bytes:
    """A key of its own for every purpose, so that none can be used for another."""
    return hmac.digest(secret, f"academy/{purpose}".encode(), "sha256")


def key_id(secret: bytes) -> bytes:
    return hashlib.sha256(b"academy/key-id" + secret).digest()[:KEY_ID_BYTES]


def secrets() -> tuple[bytes, ...]:
    """The secret key that makes, then those that may still be read."""
    config = settings()
    if config.secret_key is None:
        return _from_vault(vault.read(config.secret_keys_arn) or "{}")
    both = (config.secret_key, config.secret_key_previous)
    return tuple(secret.get_secret_value().encode() for secret in both if secret)


@lru_cache(maxsize=2)
def _from_vault(text: str) -> tuple[bytes, ...]:
    """Keys by any name; the one named `current` makes."""
    kept: dict[str, str] = json.loads(text)
    keys = tuple(kept[name].encode() for name in sorted(kept, key=lambda name: name != "current"))
    if "current" not in kept or len(keys) > MOST_SECRETS or min(map(len, keys)) < MIN_SECRET_BYTES:
        raise ValueError(
            f"the secret keys need one named current, are {MOST_SECRETS} at most, "
            f"and {MIN_SECRET_BYTES} bytes each at least"
        )
    return keys
