"""The local stack's settings: the real environment first, then `.env`, then what suits a laptop."""

import io
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from dotenv.parser import parse_stream
from pydantic import ValidationError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from academy.config import Settings
from academy.wrapping import KEY_BYTES, KeyFile
from dev.local import LOCAL, ROOT, kept_secret
from dev.trouble import Trouble

DEFAULT_PORT = "8000"
ORIGINS = (
    "http://localhost:5173",
    "http://127.0.0.1:5173",
    "http://localhost:3000",
    "http://localhost:8000",
    "http://127.0.0.1:8000",
)
CONNECT_SECONDS = 5


def load(root: Path = ROOT) -> dict[str, str]:
    """What is set: by the environment, else by `.env`. An empty value counts as not set."""
    known = {**read_dotenv(root / ".env"), **os.environ}
    return {name: value for name, value in known.items() if value}


def read_dotenv(file: Path) -> dict[str, str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble(f"{file.name} cannot be read ({error}): it has to be a text file in UTF-8.") from None
    values = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key and binding.value is None):
            # The parser counts blank lines as the beginning of what follows them.
            line = binding.original.line + _leading(binding.original.string).count("\n")
            raise Trouble(f"{file.name}, line {line}, is not NAME=value: mend or remove it.")
        if binding.key:
            values[binding.key] = binding.value or ""
    return values


def port(env: Mapping[str, str], default: str = DEFAULT_PORT) -> int:
    given = env.get("PORT", default)
    if not given.isdecimal() or not 1 <= int(given) <= 65535:
        raise Trouble(f"PORT has to be a number from 1 to 65535, not {given!r}.")
    return int(given)


def with_defaults(env: Mapping[str, str], port: int) -> dict[str, str]:
    """The settings completed, so that a bare clone needs none."""
    own = (f"http://localhost:{port}", f"http://127.0.0.1:{port}")
    defaults = {
        "ALLOWED_ORIGINS": ",".join(dict.fromkeys((*ORIGINS, *own))),
        "THROTTLE_PER_ADDRESS": "off",
        "DATABASE_AUTH": "password",
        "DATABASE_POOL_SIZE": "16",
        "LOG_LEVEL": "WARNING",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    if "SECRET_KEY" not in env:
        defaults["SECRET_KEY"] = kept_secret(LOCAL / "secret-key")
    if not {"KEY_FILE", "KEY_ENCRYPTION_KEY_ARN"} & env.keys():
        defaults["KEY_FILE"] = str(_key_file())
    roots = (ROOT, ROOT / "functions", ROOT / "layers" / "common")
    return {**defaults, **env, "PYTHONPATH": os.pathsep.join(map(str, roots))}


def checked(env: Mapping[str, str]) -> Settings:
    """The settings as the functions will read them; the first that is wrong is a `Trouble`."""
    known = {name: env[name.upper()] for name in Settings.model_fields if name.upper() in env}
    try:
        settings = Settings.model_validate(known)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, first["loc"])).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise Trouble(f"{reason if name in reason else f'{name}: {reason}'}.") from None
    if settings.key_file:
        _check_key_file(settings.key_file)
    return settings


def check_database(url: str) -> None:
    """A `Trouble` unless the database answers; it names host and port, never the password."""
    try:
        target = make_url(url)
    except (ArgumentError, ValueError):
        raise Trouble("DATABASE_URL has to look like postgresql://user:password@host:5432/name.") from None
    try:
        psycopg.connect(_conninfo(target), connect_timeout=CONNECT_SECONDS).close()
    except psycopg.Error as error:
        raise Trouble(
            f"The database at {target.host or 'localhost'}:{target.port or 5432} {_reason(error)}: "
            "check DATABASE_URL, or unset it to use the Postgres that comes with this project."
        ) from None


def _conninfo(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _reason(error: psycopg.Error) -> str:
    # libpq quotes a malformed URL whole; what the server says after FATAL never holds the password.
    _, refused, words = str(error).partition("FATAL:")
    return f"refused the log-in ({words.strip().splitlines()[0]})" if refused else "does not answer"


def _check_key_file(file: Path) -> None:
    try:
        KeyFile(file)
    except ValueError as error:
        raise Trouble(f"{error}.") from None


def _leading(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]


def _key_file() -> Path:
    file = LOCAL / "model-keys"
    kept_secret(file, lambda: f"{datetime.now(UTC):%Y-%m-%d} {secrets.token_hex(KEY_BYTES)}\n")
    return file
