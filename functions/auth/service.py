"""Accounts: who may become whom. Hashing is slow, so what hashes opens a transaction before it.

A `session` that is passed in is the last transaction, which its caller commits together with the answer.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address, ip_network
from uuid import UUID, uuid4

from email_validator import validate_email
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from academy import auth, throttle
from academy.config import settings
from academy.db import session_scope
from academy.errors import AppError, Conflict, Unauthorized
from academy.models import User
from academy.observability import logger
from academy.repositories import Tracks
from academy.throttle import Limit
from auth import tokens
from auth.passwords import refuse_weak
from auth.tokens import Tokens

GUEST_LIFE = timedelta(days=7)
GUESTS_SWEPT_AT_ONCE = 20

REGISTRATIONS = Limit("registrations per address", 10, timedelta(hours=1))
GUESTS = Limit("guests per address", 30, timedelta(hours=1))
LOGINS = Limit("log-ins per address", 20, timedelta(minutes=1))
GUESSES = Limit(
    "wrong passwords per account and network", 5, timedelta(minutes=15), pause=timedelta(seconds=30)
)
GUESSES_FROM_ANYWHERE = Limit("wrong passwords per account", 100, timedelta(hours=1))


class EmailTaken(Conflict):
    code = "email_taken"

    def __init__(self) -> None:
        super().__init__("There is an account with this e-mail address. Log in instead.")


class AlreadyRegistered(Conflict):
    code = "already_registered"

    def __init__(self) -> None:
        super().__init__("This guest has become an account already. Log in with its e-mail address.")


class BadCredentials(AppError):
    status, code = 401, "bad_credentials"

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong.")


def register(
    session: Session,
    *,
    email: str,
    password: str,
    first_name: str,
    last_name: str,
    guest_id: str | None,
    address: str,
) -> Tokens:
    """A new account, or a guest's who keeps id and data. Raises `EmailTaken`, `AlreadyRegistered`."""
    refuse_weak(password, email=email)
    _count_by_address(REGISTRATIONS, address)
    account = {
        "email": email,
        "email_key": email_key(email),
        "password_hash": auth.hash_password(password),
        "first_name": first_name,
        "last_name": last_name,
    }
    try:
        user = _upgrade(session, guest_id, account) if guest_id else _add_user(session, account)
        issued = tokens.begin_login(session, user)
    except IntegrityError:
        raise EmailTaken from None
    logger.info("account registered", user_id=user.id, was_guest=guest_id is not None)
    return issued


def login(session: Session, *, email: str, password: str, address: str) -> Tokens:
    """Raises `BadCredentials`, the same and as slowly for an unknown e-mail, and `RateLimited`."""
    key = email_key(email)
    _count_by_address(LOGINS, address)
    with session_scope() as counting:
        throttle.count(counting, GUESSES, f"{key} {_network(address, ipv4_bits=24)}")
        throttle.count(counting, GUESSES_FROM_ANYWHERE, key)
        user = counting.scalars(select(User).where(User.email_key == key, User.is_active)).one_or_none()
    if not auth.password_matches(password, user.password_hash if user else None) or user is None:
        raise BadCredentials
    throttle.clear(session, GUESSES, f"{key} {_network(address, ipv4_bits=24)}")
    throttle.clear(session, GUESSES_FROM_ANYWHERE, key)
    if auth.is_outdated(user.password_hash or ""):
        _set_password(session, user.id, password)
    return tokens.begin_login(session, user)


def guest_login(session: Session, *, address: str) -> Tokens:
    _count_by_address(GUESTS, address)
    _sweep_guests(session)
    user = User(
        id=f"guest_{uuid4().hex}", first_name="Guest", is_guest=True, expires_at=func.now() + GUEST_LIFE
    )
    session.add(user)
    session.flush()
    return tokens.begin_login(session, user)


def refresh(session: Session, refresh_token: str) -> Tokens:
    """Raises `BadRefreshToken`, or `RefreshReused` once the family's end is committed."""
    issued = tokens.rotate(session, refresh_token)
    if issued is None:
        session.commit()  # nosemgrep: commit-in-the-middle - the error that follows would take it back
        raise tokens.RefreshReused
    if issued.user.is_guest:
        issued.user.expires_at = func.now() + GUEST_LIFE
    return issued


def change_password(user: User, *, login_id: UUID, current: str, new: str) -> None:
    """Every other log-in ends. Raises `BadCredentials`, `WeakPassword`."""
    _confirm_password(user, current)
    refuse_weak(new, email=user.email or "")
    with session_scope(user.id) as session:
        _set_password(session, user.id, new)
        tokens.end_logins(session, user.id, but=login_id)
    logger.info("password changed", user_id=user.id)


def delete_account(user: User, *, password: str | None) -> None:
    """The account and all it owns. Raises `BadCredentials`; a guest has no password to confirm."""
    if not user.is_guest:
        _confirm_password(user, password or "")
    with session_scope(user.id) as session:
        Tracks(session).hold_all(owner_id=user.id)
        session.execute(delete(User).where(User.id == user.id))
    logger.info("account deleted", user_id=user.id, was_guest=user.is_guest)


def email_key(email: str) -> str:
    """The e-mail address as it is compared: two spellings of one mailbox have one key."""
    try:
        checked = validate_email(email, check_deliverability=False, test_environment=True)
    except ValueError:
        return email.casefold()
    return checked.normalized.casefold()


def _add_user(session: Session, account: dict[str, str]) -> User:
    user = User(id=str(uuid4()), **account)
    session.add(user)
    session.flush()
    return user


def _upgrade(session: Session, guest_id: str, account: dict[str, str]) -> User:
    statement = (
        update(User)
        .where(User.id == guest_id, User.is_guest)
        .values(is_guest=False, expires_at=None, **account)
        .returning(User)
    )
    user = session.scalars(statement).one_or_none()
    if user is None:
        if session.scalar(select(User.id).where(User.id == guest_id)) is None:
            raise Unauthorized("This guest's time was over. Register without its token.")
        raise AlreadyRegistered
    # Whoever made the guest may not be who registers: no token of the guest opens the account.
    tokens.end_logins(session, guest_id)
    return user


def _confirm_password(user: User, password: str) -> None:
    with session_scope(user.id) as session:
        throttle.count(session, GUESSES, user.id)
    if not auth.password_matches(password, user.password_hash):
        raise BadCredentials
    with session_scope(user.id) as session:
        throttle.clear(session, GUESSES, user.id)


def _set_password(session: Session, user_id: str, password: str) -> None:
    password_hash = auth.hash_password(password)
    session.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))


def _sweep_guests(session: Session) -> None:
    """Guests whose time is over make room, a few at a time, when another one comes."""
    over = (
        select(User.id)
        .where(User.is_guest, User.expires_at < func.now())
        .limit(GUESTS_SWEPT_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    session.execute(delete(User).where(User.id.in_(over)))


def _count_by_address(limit: Limit, address: str) -> None:
    if settings().throttle_per_address == "on":
        with session_scope() as session:
            throttle.count(session, limit, _network(address))


def _network(address: str, *, ipv4_bits: int = 32) -> str:
    """The network an address stands for: in IPv6 a customer's /64, in IPv4 as much as is asked for."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    bits = ipv4_bits if parsed.version == 4 else 64
    return str(ip_network((parsed, bits), strict=False))
