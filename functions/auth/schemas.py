"""The bodies of `/api/auth`."""

from datetime import datetime
from typing import Annotated, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, computed_field

from academy.shapes import Input, Output

MAX_PASSWORD_BYTES = 1024


def _email(value: str) -> str:
    try:
        validate_email(value, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError("it is not an e-mail address") from error
    return value


def _password(value: str) -> str:
    if len(value.encode()) > MAX_PASSWORD_BYTES:
        raise ValueError(f"a password has at most {MAX_PASSWORD_BYTES} bytes")
    return value


Email = Annotated[str, Field(max_length=320), AfterValidator(_email)]
GivenPassword = Annotated[str, Field(max_length=MAX_PASSWORD_BYTES), AfterValidator(_password)]
NewPassword = Annotated[str, Field(min_length=8, max_length=MAX_PASSWORD_BYTES), AfterValidator(_password)]
Name = Annotated[str, Field(max_length=100)]


class RegisterIn(Input):
    email: Email
    password: NewPassword
    first_name: Name
    last_name: Name


class LoginIn(Input):
    email: Annotated[str, Field(max_length=320)]
    password: GivenPassword


class RefreshIn(Input):
    refresh_token: Annotated[str, Field(max_length=200)]


class PasswordIn(Input):
    current_password: GivenPassword
    new_password: NewPassword


class DeleteMeIn(Input):
    password: GivenPassword | None = None


class UserOut(Output):
    id: str
    email: str | None
    first_name: str
    last_name: str
    role: Literal["student", "instructor", "admin"]
    is_active: bool
    is_guest: bool
    created_at: datetime

    @computed_field
    def name(self) -> str:
        """`first_name` again, as the browser client's profile page reads it."""
        return self.first_name

    @computed_field
    def lastname(self) -> str:
        """`last_name` again, for the same reader."""
        return self.last_name


class TokensOut(Output):
    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the scheme's name
    expires_in: int = Field(description="Seconds the access token lives.")
    refresh_token: str
    user: UserOut
