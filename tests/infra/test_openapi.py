"""The template, the routes and the committed description agree, in both directions."""

import json
from importlib import import_module

import pytest

from academy.http import LambdaHandler
from academy.http.dependencies import PUBLIC_ROUTES, UPGRADES
from dev.local import ROOT
from dev.openapi import merged
from dev.routing import Router
from dev.sam import TEMPLATE, Template

DESCRIPTION = ROOT / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def template() -> Template:
    return Template(TEMPLATE)


@pytest.fixture(scope="module")
def handlers(template: Template) -> dict[str, LambdaHandler]:
    found = {name: _handler(function.handler) for name, function in template.functions.items()}
    return {name: handler for name, handler in found.items() if isinstance(handler, LambdaHandler)}


def _handler(path: str) -> object:
    module, _, attribute = path.rpartition(".")
    return getattr(import_module(module), attribute)


def operations(handler: LambdaHandler) -> set[tuple[str, str]]:
    return {
        (method.upper(), path)
        for path, methods in handler.app.openapi()["paths"].items()
        for method in methods
    }


def test_the_committed_description_is_what_the_routes_say(handlers: dict[str, LambdaHandler]) -> None:
    committed = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(merged(handlers.values()))), "run `make openapi`"


def test_the_template_leads_every_route_to_its_function(
    template: Template, handlers: dict[str, LambdaHandler]
) -> None:
    router = Router(template.routes)
    for name, handler in handlers.items():
        for method, path in operations(handler):
            match = router.match(method, path.replace("{", "").replace("}", ""))
            assert match is not None
            assert match.route.function == name, f"{method} {path}"


@pytest.mark.parametrize("path", ["/api/tracks/", "/api/chat/sessions/", "/api/auth/me/"])
def test_a_trailing_slash_leads_to_the_same_function(template: Template, path: str) -> None:
    router = Router(template.routes)
    with_slash, without = router.match("GET", path), router.match("GET", path.rstrip("/"))
    assert with_slash is not None
    assert without is not None
    assert with_slash.route.function == without.route.function


def test_B6_every_public_route_exists(handlers: dict[str, LambdaHandler]) -> None:
    known = set().union(*(operations(handler) for handler in handlers.values()))
    assert known >= PUBLIC_ROUTES >= UPGRADES
