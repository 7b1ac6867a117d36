"""People's own model keys at rest: each sealed for its owner, and for the origin that it was saved with."""

from sqlalchemy import update

from academy import crypto, envelope
from academy.db import session_scope
from academy.errors import AppError
from academy.models import AIConfiguration
from academy.vault import SecretsUnavailable


class KeyUnreadable(AppError):
    status, code = 424, "ai_key_unreadable"

    def __init__(self) -> None:
        super().__init__("Your saved API key can't be read any more. Save it again.")


def seal(key: str, *, user_id: str, key_origin: str) -> bytes:
    """For the row of this person. Raises `SecretsUnavailable`. No transaction may be open."""
    return envelope.seal(key.encode(), context={"user_id": user_id, "origin": key_origin})


def unseal(sealed: bytes, *, user_id: str, key_origin: str) -> str:
    """The key; what was sealed in an older way is sealed anew. No transaction may be open.

    Raises `KeyUnreadable`, `SecretsUnavailable`.
    """
    try:
        if sealed[:1] == crypto.VERSION:
            key = crypto.unseal(sealed, context=f"model key/{user_id}/{key_origin}").decode()
        else:
            key = envelope.unseal(sealed, context={"user_id": user_id, "origin": key_origin}).decode()
    except crypto.Unreadable:
        raise KeyUnreadable from None
    if not envelope.is_current(sealed):
        _seal_anew(key, sealed, user_id, key_origin)
    return key


def _seal_anew(key: str, old: bytes, user_id: str, key_origin: str) -> None:
    try:
        sealed = seal(key, user_id=user_id, key_origin=key_origin)
    except SecretsUnavailable:
        return  # the old one opened, and will the next time
    # Unless its owner has saved another one meanwhile.
    unchanged = (AIConfiguration.user_id == user_id, AIConfiguration.sealed_key == old)
    with session_scope(user_id) as session:
        session.execute(update(AIConfiguration).where(*unchanged).values(sealed_key=sealed))
