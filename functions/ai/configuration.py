"""Whose model answers: a person's own, or the platform's; and where each key may be sent."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from academy import crypto, llm, vault
from academy.config import settings
from academy.egress import UnsafeUrl, check_url, origin
from academy.errors import AppError
from academy.models import AIConfiguration

OPENAI = "https://api.openai.com/v1"
DEFAULT_MAX_TOKENS, MAX_TOKENS = 4_096, 32_000
DEFAULT_TEMPERATURE, MAX_TEMPERATURE = 0.7, 2.0


class KeyUnreadable(AppError):
    status, code = 424, "ai_key_unreadable"

    def __init__(self) -> None:
        super().__init__("Your saved API key can't be read any more. Save it again.")


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


def choose(session: Session, user_id: str) -> Choice:
    """The model this user's calls go to. Raises `ModelNotConfigured`, `KeyUnreadable`."""
    # Before the first statement: no connection is held while a secret is fetched.
    platform_key = _platform_key()
    return _choice(session.get(AIConfiguration, user_id) or AIConfiguration(user_id=user_id), platform_key)


def choose_for_test(
    session: Session, user_id: str, *, api_key: str | None, base_url: str | None, model_name: str | None
) -> Choice:
    """What `choose` would give if these were saved; nothing is saved."""
    platform_key = _platform_key()
    row = session.get(AIConfiguration, user_id) or AIConfiguration(user_id=user_id)
    given = {"api_key": api_key, "base_url": base_url, "model_name": model_name}
    with session.no_autoflush:
        change(row, {name: value for name, value in given.items() if value})
        choice = _choice(row, platform_key)
    session.rollback()
    return choice


def view(session: Session, user_id: str) -> View:
    return _view(session.get(AIConfiguration, user_id))


def default_view() -> View:
    return _view(None)


def save(session: Session, user_id: str, changes: dict[str, Any]) -> View:
    """Change only the fields given; `null` brings a default back. Raises `UnsafeUrl`."""
    row = session.get(AIConfiguration, user_id, with_for_update=True)
    if row is None:
        row = AIConfiguration(user_id=user_id)
        session.add(row)
    change(row, changes)
    session.flush()
    return _view(row)


def change(row: AIConfiguration, changes: dict[str, Any]) -> None:
    """A key is bound to the origin it came with: it does not follow a URL that is changed later."""
    for name in ("model_name", "base_url", "max_tokens", "temperature"):
        if name in changes:
            setattr(row, name, changes[name])
    here = _checked_origin(_base_url(row))
    if changes.get("api_key"):
        row.sealed_key = crypto.seal(changes["api_key"].encode(), context=_context(row.user_id, here))
        row.key_origin = here
    elif "api_key" in changes or row.key_origin != here:
        row.sealed_key = row.key_origin = None


def _choice(row: AIConfiguration, platform_key: str) -> Choice:
    base_url = _base_url(row)
    here = origin(base_url)
    key = _own_key(row, here)
    is_platform = here == origin(_platform_url())
    if key is None and is_platform:
        if not (platform_key or settings().default_openai_base_url):
            raise llm.ModelNotConfigured
        # The platform's key goes to the platform's origin, and nowhere else.
        key = platform_key
        return Choice(_model(row, base_url, key, trusted=True), own_key=False)
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


def _own_key(row: AIConfiguration, here: str) -> str | None:
    if row.sealed_key is None or row.key_origin != here:
        return None
    try:
        return crypto.unseal(row.sealed_key, context=_context(row.user_id, here)).decode()
    except crypto.Unreadable:
        raise KeyUnreadable from None


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


def _context(user_id: str, key_origin: str) -> str:
    return f"model key/{user_id}/{key_origin}"
