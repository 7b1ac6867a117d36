"""An address is one address: however it is spelled, nothing opens that asks for no token."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from academy.http.dependencies import PUBLIC_ROUTES
from tests.conftest import Api
from tests.functions.test_ownership import OPERATIONS, OWNED

SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda path: f"/{path}",  # two slashes before
    lambda path: path.replace("/api/", "/api//", 1),  # two slashes within
    lambda path: f"{path}//",  # two slashes after
    str.upper,  # capitals
    lambda path: path.replace("/api/", "/%61pi/", 1),  # an encoded letter
    lambda path: path.replace("/api/", "/api%2f", 1),  # an encoded slash
    lambda path: path.replace("/api/", "/api/%2e/", 1),  # an encoded dot
    lambda path: path.replace("/api/", "/api/health/../", 1),  # up from a public route
    lambda path: path.replace("/api/", "/api/health/%2e%2e/", 1),  # up from a public route, encoded
    lambda path: f"/api/health{path.removeprefix('/api')}",  # beside a public route
    lambda path: f"{path};/api/health",  # a parameter
    lambda path: f"{path}?/api/health",  # a public route in the query
)


@pytest.mark.parametrize(
    ("method", "path"), [one for one in OPERATIONS if one not in PUBLIC_ROUTES], ids=" ".join
)
def test_B6_no_spelling_opens_a_route_without_a_token(method: str, path: str, api: Api) -> None:
    for name in (*OWNED, "session_id"):
        path = path.replace(f"{{{name}}}", str(uuid4()))
    for spelled in (spell(path) for spell in SPELLINGS):
        for verb in (method, "HEAD", method.lower()):
            assert api().request(verb, spelled, {}).status in {401, 404, 405}, (verb, spelled)


@pytest.mark.parametrize(
    "path", ["/API/health", "//api/health", "/api//health", "/api/health/x", "/api/health;x"]
)
def test_B6_a_public_route_is_public_by_its_own_name_alone(path: str, api: Api) -> None:
    assert api().get(path).status in {401, 404}
    assert api().get("/api/health").status == 200
