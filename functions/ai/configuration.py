"""Whose model answers: a person's own, or the platform's; and where each key may be sent."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from academy import llm, vault
from academy.config import settings
from academy.db import session_scope
from academy.egress import UnsafeUrl, check_url, origin
from academy.errors import Conflict
from academy.models import AIConfiguration
from ai import keys

OPENAI = "https://api.openai.com/v1"
DEFAULT_MAX_TOKENS, MAX_TOKENS = 4_096, 32_000
DEFAULT_TEMPERATURE, MAX_TEMPERATURE = 0.7, 2.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A model to ask, and whether a person's own key pays for it."""

    model: llm.Model
    own_key: bool


@dataclass(frozen=True, slots=True)
class View:
    """A configuration as its owner may see it: everything but the key."""

    model_name: str
    base_url: str
    max_tokens: int
    temperature: float
    has_custom_key: bool


@dataclass(frozen=True, slots=True)
class NewKey:
    """A person's key, sealed for the row, and the origin that it is good for."""

    sealed: bytes
    origin: str


# Secrets Manager and KMS are asked between transactions, so that no connection is held while they answer.


def choose(user_id: str) -> Choice:
    """The model this user's calls go to. Raises `ModelNotConfigured`, `KeyUnreadable`, `SecretsUnavailable`.

    No transaction may be open.
    """
    return _choice(_stored(user_id))


def choose_for_test(
    user_id: str, *, api_key: str | None, base_url: str | None, model_name: str | None
) -> Choice:
    """What `choose` would give if these were saved; nothing is saved. Raises `UnsafeUrl`, too."""
    row = _stored(user_id)
    given = {"base_url": base_url, "model_name": model_name}
    _assign(row, {name: value for name, value in given.items() if value})
    _checked_origin(_base_url(row))
    return _choice(row, given_key=api_key or None)


def view(session: Session, user_id: str) -> View:
    return _view(session.get(AIConfiguration, user_id))


def default_view() -> View:
    return _view(None)


def save(user_id: str, changes: dict[str, Any]) -> View:
    """Change only the fields given; `null` brings a default back. No transaction may be open.

    Raises `UnsafeUrl`, `SecretsUnavailable`, and `Conflict` if the base URL changed while a key was sealed.
    """
    new_key = _sealed(user_id, changes)
    with session_scope(user_id) as session:
        # Two may save for the first time at once: who comes second changes what the first saved.
        session.execute(insert(AIConfiguration).values(user_id=user_id).on_conflict_do_nothing())
        row = session.get_one(AIConfiguration, user_id, with_for_update=True)
        _change(row, changes, new_key)
        session.flush()
        return _view(row)


def _sealed(user_id: str, changes: dict[str, Any]) -> NewKey | None:
    if not changes.get("api_key"):
        return None
    row = _stored(user_id)
    _assign(row, changes)
    here = _checked_origin(_base_url(row))
    return NewKey(keys.seal(changes["api_key"], user_id=user_id, key_origin=here), here)


def _change(row: AIConfiguration, changes: dict[str, Any], new_key: NewKey | None) -> None:
    """A key is bound to the origin it came with: it does not follow a URL that is changed later."""
    _assign(row, changes)
    here = _checked_origin(_base_url(row))
    if new_key:
        if new_key.origin != here:
            raise Conflict("Your base URL was changed at this moment. Look again, then save the key.")
        row.sealed_key, row.key_origin = new_key.sealed, here
    elif "api_key" in changes or row.key_origin != here:
        row.sealed_key = row.key_origin = None


def _assign(row: AIConfiguration, changes: dict[str, Any]) -> None:
    for name in ("model_name", "base_url", "max_tokens", "temperature"):
        if name in changes:
            setattr(row, name, changes[name])


def _stored(user_id: str) -> AIConfiguration:
    """This person's row, or a new one; part of no session any more."""
    with session_scope(user_id) as session:
        return session.get(AIConfiguration, user_id) or AIConfiguration(user_id=user_id)


def _choice(row: AIConfiguration, given_key: str | None = None) -> Choice:
    base_url = _base_url(row)
    here = origin(base_url)
    key = given_key or _own_key(row, here)
    is_platform = here == origin(_platform_url())
    if key is None and is_platform:
        key = _platform_key()
        if not (key or settings().default_openai_base_url):
            raise llm.ModelNotConfigured
        # The platform's key goes to the platform's origin, and nowhere else.
        return Choice(_paid_for(_model(row, base_url, key, trusted=True)), own_key=False)
    return Choice(_model(row, base_url, key or "", trusted=is_platform), own_key=True)


def _platform_key() -> str:
    config = settings()
    if config.default_openai_api_key is None and config.default_openai_api_key_arn:
        return vault.read(config.default_openai_api_key_arn) or ""
    return config.default_openai_api_key.get_secret_value() if config.default_openai_api_key else ""


def _model(row: AIConfiguration, base_url: str, key: str, *, trusted: bool) -> llm.Model:
    shown = _view(row)
    return llm.Model(
        name=shown.model_name,
        base_url=base_url,
        api_key=key,
        # Whatever a row says that was written by other means than ours.
        max_tokens=min(max(1, shown.max_tokens), MAX_TOKENS),
        temperature=min(max(0.0, shown.temperature), MAX_TEMPERATURE),
        trusted=trusted,
        allowed_private=settings().llm_allowed_private,
    )


def _paid_for(model: llm.Model) -> llm.Model:
    """This model if the platform's key pays for it, or the platform's own."""
    config = settings()
    if not config.platform_models or model.name in config.platform_models:
        return model
    return replace(model, name=config.default_openai_model)


def _own_key(row: AIConfiguration, here: str) -> str | None:
    if row.sealed_key is None or row.key_origin != here:
        return None
    return keys.unseal(row.sealed_key, user_id=row.user_id, key_origin=here)


def _view(row: AIConfiguration | None) -> View:
    row = row or AIConfiguration()
    return View(
        model_name=row.model_name or settings().default_openai_model,
        base_url=_base_url(row),
        max_tokens=row.max_tokens or DEFAULT_MAX_TOKENS,
        temperature=DEFAULT_TEMPERATURE if row.temperature is None else row.temperature,
        has_custom_key=row.sealed_key is not None,
    )


def _base_url(row: AIConfiguration) -> str:
    return row.base_url or _platform_url()


def _platform_url() -> str:
    url = settings().default_openai_base_url
    return str(url) if url else OPENAI


def _checked_origin(url: str) -> str:
    """Raises `UnsafeUrl`, unless the operator has chosen this server too."""
    try:
        if origin(url) == origin(_platform_url()):
            return origin(url)
    except UnsafeUrl:
        pass
    return check_url(url, settings().llm_allowed_private)
