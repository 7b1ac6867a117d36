"""Everything that differs between a laptop, the tests and AWS, read from the environment once."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: an HS256 key has at least as many bits as the hash."""


class Settings(BaseSettings):
    """One field per environment variable of the same name; a missing one fails loudly, by name."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    database_url: SecretStr
    database_pool_size: int = Field(default=1, ge=1, le=100)
    """Lambda runs one request at a time per environment: one connection. Threads of one process need more."""
    database_auth: Literal["password", "iam"] = "password"
    """`iam`: the URL has no password, AWS signs one for each connection."""
    sweeper_database_url: SecretStr | None = None
    """The role that finds lost replies, whoever's they are; the application's own sees one user at a time."""
    migration_database_url: SecretStr | None = None
    """The role that owns the schema; the application's own role cannot change it."""
    migration_password_arn: str = ""
    """The secret in Secrets Manager that holds its password, where the URL does not."""

    secret_key: SecretStr | None = None
    """Signs tokens, seals answers. `secret_key_previous` still reads what it made, until it is retired."""
    secret_key_previous: SecretStr | None = None
    secret_keys_arn: str = ""
    """The secret that holds such keys, where `secret_key` is not set; see `academy.crypto.secrets`."""
    key_encryption_key_arn: str = ""
    """The key of KMS that wraps what people's own model keys are sealed with; see `academy.envelope`."""
    key_file: Path | None = None
    """What stands in for it without AWS: a file of keys with mode 600; see `academy.wrapping.KeyFile`."""
    access_token_expire_minutes: int = Field(default=60, ge=1, le=24 * 60)
    password_hash_memory_kib: int = Field(default=65_536, ge=19_456)
    """argon2id's memory, never below OWASP's floor."""
    throttle_per_address: Literal["on", "off"] = "on"
    """Off where everybody comes from one address, such as a laptop. Per-account limits stay on."""

    default_openai_api_key: SecretStr | None = None
    default_openai_api_key_arn: str = ""
    """The secret that holds it, where it is not set."""
    default_openai_base_url: str | None = None
    default_openai_model: str = "gpt-5-mini"
    platform_models: Annotated[tuple[str, ...], NoDecode] = ()
    """The models that people may choose while the platform's key pays; with none named, any."""
    daily_tokens_per_learner: int = Field(default=500_000, ge=0)
    """What the platform's key pays for, each day (UTC); 0 leaves people to keys of their own."""
    daily_tokens_per_guest: int = Field(default=100_000, ge=0)
    daily_tokens_in_all: int = Field(default=20_000_000, ge=0)
    llm_allowed_private: Annotated[tuple[str, ...], NoDecode] = ()
    """`host:port` pairs a person may use as a model server although they are not on the public internet."""

    connections_table: str = ""
    reply_queue_url: str = ""
    websocket_management_url: str = ""
    """Where `@connections` answers: the WebSocket API's own address with https and its stage."""

    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    front_door_key_arn: str = ""
    """The secret that requests by way of CloudFront know; only those may say what address they are from."""
    log_level: str = "INFO"
    aws_lambda_function_name: str | None = None

    @field_validator("allowed_origins", "llm_allowed_private", "platform_models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())

    @field_validator("secret_key", "secret_key_previous")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value and len(value.get_secret_value().encode()) < MIN_SECRET_BYTES:
            raise ValueError("SECRET_KEY needs at least 32 bytes; make one with: openssl rand -hex 32")
        return value

    @model_validator(mode="after")
    def _has_a_secret_key(self) -> "Settings":
        if not (self.secret_key or self.secret_keys_arn):
            raise ValueError("SECRET_KEY is missing; make one with: openssl rand -hex 32")
        return self

    @field_validator("database_url", "sweeper_database_url", "migration_database_url")
    @classmethod
    def _psycopg(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        scheme, separator, rest = value.get_secret_value().partition("://")
        if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
            raise ValueError("a database URL looks like postgresql://user:password@host:5432/name")
        return SecretStr(f"postgresql+psycopg://{rest}")

    @field_validator("aws_lambda_function_name")
    @classmethod
    def _no_private_model_servers_in_lambda(cls, value: str | None, info: object) -> str | None:
        # Lambda's runtime API, which hands out events, listens on loopback.
        if value and getattr(info, "data", {}).get("llm_allowed_private"):
            raise ValueError("LLM_ALLOWED_PRIVATE is for development: unset it in AWS")
        return value


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings, read on first use so that importing a handler needs no environment."""
    return Settings()
