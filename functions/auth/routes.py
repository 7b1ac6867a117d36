"""`/api/auth`: accounts, log-ins and tokens."""

from fastapi import Response
from starlette.requests import Request

from academy.http import (
    LET_GO,
    Address,
    CurrentLogin,
    CurrentUser,
    OptionalUser,
    Router,
    SessionDep,
    lambda_handler,
)
from academy.models import User
from auth import service, tokens
from auth.schemas import (
    DeleteMeIn,
    LoginIn,
    PasswordIn,
    RefreshIn,
    RegisterIn,
    TokensOut,
    UserOut,
)
from auth.tokens import Tokens

SOCKET_COOKIE = "ws_token"
SOCKET_PATH = "/ws"

router = Router(prefix="/auth", tag="auth")


@router.post("/register", status_code=201, response_model=TokensOut, dependencies=[LET_GO])
def register(
    body: RegisterIn,
    user: OptionalUser,
    session: SessionDep,
    address: Address,
    request: Request,
    response: Response,
) -> Tokens:
    guest_id = user.id if user and user.is_guest else None
    issued = service.register(session, **body.model_dump(), guest_id=guest_id, address=address)
    return _with_cookie(issued, request, response)


@router.post("/login", response_model=TokensOut, dependencies=[LET_GO])
def login(
    body: LoginIn, session: SessionDep, address: Address, request: Request, response: Response
) -> Tokens:
    issued = service.login(session, email=body.email, password=body.password, address=address)
    return _with_cookie(issued, request, response)


@router.post("/guest-login", response_model=TokensOut, dependencies=[LET_GO])
def guest_login(session: SessionDep, address: Address, request: Request, response: Response) -> Tokens:
    return _with_cookie(service.guest_login(session, address=address), request, response)


@router.post("/refresh", response_model=TokensOut, dependencies=[LET_GO])
def refresh(body: RefreshIn, session: SessionDep, request: Request, response: Response) -> Tokens:
    return _with_cookie(service.refresh(session, body.refresh_token), request, response)


@router.get("/me", response_model=UserOut)
def me(user: CurrentUser) -> User:
    return user


@router.delete("/me", status_code=204, dependencies=[LET_GO])
def delete_me(user: CurrentUser, response: Response, body: DeleteMeIn | None = None) -> None:
    service.delete_account(user, password=body.password if body else None)
    _drop_cookie(response)


@router.put("/password", status_code=204, dependencies=[LET_GO])
def change_password(body: PasswordIn, user: CurrentUser, login_id: CurrentLogin) -> None:
    service.change_password(user, login_id=login_id, current=body.current_password, new=body.new_password)


@router.post("/logout", status_code=204)
def logout(login_id: CurrentLogin, session: SessionDep, response: Response) -> None:
    tokens.end_login(session, login_id)
    _drop_cookie(response)


@router.post("/logout-all", status_code=204)
def logout_all(user: CurrentUser, session: SessionDep, response: Response) -> None:
    tokens.end_logins(session, user.id)
    _drop_cookie(response)


def _with_cookie(issued: Tokens, request: Request, response: Response) -> Tokens:
    """The cookie that lets a browser open a socket: `WebSocket` can send no header."""
    response.set_cookie(
        SOCKET_COOKIE,
        issued.socket_token,
        max_age=issued.expires_in,
        path=SOCKET_PATH,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return issued


def _drop_cookie(response: Response) -> None:
    response.delete_cookie(SOCKET_COOKIE, path=SOCKET_PATH, httponly=True, samesite="strict")


handler = lambda_handler(router)
