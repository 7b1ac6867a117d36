"""Brings the schema up to date during a deployment, before any function gets new code."""

import json
import urllib.request
from typing import Any

from sqlalchemy import make_url

from academy import migrate, vault
from academy.config import settings
from academy.observability import log_unhandled, logger

ANSWER_SECONDS = 10


def handler(event: dict[str, Any], _: Any) -> None:
    """Lambda's handler for the stack's custom resource."""
    try:
        if event["RequestType"] != "Delete":
            _migrate()
        _answer(event, "SUCCESS", "")
    except Exception as error:  # noqa: BLE001 - CloudFormation waits until it is told, whatever went wrong
        log_unhandled(error)
        _answer(event, "FAILED", f"{type(error).__name__}: see the function's log.")


def _migrate() -> None:
    config = settings()
    app_role = migrate.role_of(config.database_url)
    sweeper_role = migrate.role_of(config.sweeper_database_url)
    owner = _owner_url()
    if migrate.is_ahead(owner):
        # Migrations only add, so the code of before goes on working.
        logger.warning("schema left as it is: newer code made it")
        return
    for role in filter(None, (app_role, sweeper_role)):
        migrate.admit(owner, role)
    migrate.upgrade(owner, app_role, sweeper_role)
    logger.info("schema is up to date")


def _owner_url() -> str:
    config = settings()
    url = make_url((config.migration_database_url or config.database_url).get_secret_value())
    if config.migration_password_arn:
        url = url.set(password=json.loads(vault.read(config.migration_password_arn) or "{}")["password"])
    return url.render_as_string(hide_password=False)


def _answer(event: dict[str, Any], status: str, reason: str) -> None:
    answer = {
        "Status": status,
        "Reason": reason,
        # Always the same: another id would have CloudFormation delete the old resource.
        "PhysicalResourceId": "migrations",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The address is signed for a request that names no type, and urllib would name one.
    request = urllib.request.Request(  # noqa: S310 - the address is CloudFormation's
        event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(request, timeout=ANSWER_SECONDS).close()  # noqa: S310
