"""The application logs in to RDS with a token that it signs itself, over TLS that it can check."""

import os
import ssl
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from sqlalchemy import text

import academy
from academy import aws, config, db
from dev import postgres

HOST = "db.example.com"
CERTIFICATES = Path(academy.__file__).parent / "rds-ca.pem"


def by_boto3() -> str:
    token: str = boto3.client("rds").generate_db_auth_token(HOST, 5432, "academy_app")
    return token


def test_the_token_is_the_one_that_boto3_makes(environment: None) -> None:
    pairs = [(aws.database_token(HOST, 5432, "academy_app"), by_boto3()) for _ in range(3)]
    # A signature is of its second, and that may change between two.
    assert any(ours == theirs for ours, theirs in pairs)
    query = parse_qs(urlsplit(f"https://{pairs[0][0]}").query)
    assert (query["DBUser"], query["X-Amz-Expires"]) == (["academy_app"], ["900"])


def test_an_engine_asks_for_a_token_for_each_connection(
    database: postgres.Server, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def token(*about: object) -> str:
        asked.append(about)
        return database.password

    monkeypatch.setattr(aws, "database_token", token)
    monkeypatch.setitem(os.environ, "DATABASE_AUTH", "iam")
    monkeypatch.setitem(os.environ, "DATABASE_URL", database.url.replace(f":{database.password}@", "@"))
    config.settings.cache_clear()
    engine = db.engine.__wrapped__()
    try:
        for _ in range(2):
            with engine.connect() as connection:
                assert connection.execute(text("SELECT current_user")).scalar() == postgres.APP
            engine.dispose()
    finally:
        monkeypatch.undo()
        config.settings.cache_clear()
    assert asked == [("127.0.0.1", database.port, postgres.APP)] * 2


def test_the_certificates_are_those_of_rds_in_every_region_and_of_its_proxies() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATES)
    names = {field for found in context.get_ca_certs() for part in found["subject"] for field in part}
    assert ("commonName", "Amazon RDS us-east-1 Root CA RSA2048 G1") in names
    assert ("commonName", "Amazon Root CA 1") in names
    assert len(context.get_ca_certs()) > 25
