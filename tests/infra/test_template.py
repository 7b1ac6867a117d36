"""What the template promises beyond what a linter can see."""

import json
import re
from typing import Any

import pytest

from dev.cors import CorsPolicy
from dev.local import ROOT
from dev.sam import TEMPLATE, Template

SIZES = ("small", "medium", "large")
SECONDS_OF_HTTP_API = 30
# Nobody may be refused because somebody else deploys, or looks at the database.
SHARE_OF_CONNECTIONS = 0.8
SUPERUSERS = 5


@pytest.fixture(scope="module")
def template() -> Template:
    return Template(TEMPLATE)


def functions(template: Template) -> dict[str, dict[str, Any]]:
    return {name: template.properties(name) for name in template.named("AWS::Serverless::Function")}


def properties(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    return {name: template.properties(name) for name in template.named(kind)}


@pytest.mark.parametrize("size", SIZES)
def test_functions_never_want_more_connections_than_the_database_has(size: str) -> None:
    template = Template(TEMPLATE, parameters={"Size": size})
    numbers = template.section("Mappings")["Sizes"][size]
    wanted = [
        int(template.resolve(function["ReservedConcurrentExecutions"]))
        for function in functions(template).values()
    ]
    assert len(wanted) == 8
    assert sum(wanted) + SUPERUSERS <= numbers["Connections"]
    assert sum(wanted) <= SHARE_OF_CONNECTIONS * numbers["Connections"] == numbers["Busy"]
    given = template.properties("DatabaseParameters")["Parameters"]["max_connections"]
    assert template.resolve(given) == numbers["Connections"]


@pytest.mark.parametrize("size", SIZES)
def test_the_queue_never_asks_for_more_workers_than_there_may_be(size: str) -> None:
    template = Template(TEMPLATE, parameters={"Size": size})
    worker = functions(template)["ReplyFunction"]["ReservedConcurrentExecutions"]
    assert [source.concurrency for source in template.queue_sources] == [template.resolve(worker)]


def test_a_new_account_may_do_without_reserved_concurrency() -> None:
    template = Template(TEMPLATE, parameters={"ReservedConcurrency": "false"})
    assert not any("ReservedConcurrentExecutions" in template.resolve(_limits(f)) for f in _all(template))


def test_no_function_gets_new_code_before_the_schema_is_there(template: Template) -> None:
    waiting = {name for name in functions(template) if _needs(template, name) == "Migrations"}
    assert functions(template).keys() - waiting == {"MigrateFunction"}
    assert template.properties("Migrations")["Layer"] == {"Ref": "CommonLayer"}


def test_functions_give_up_before_the_gateway_does(template: Template) -> None:
    behind_http = {route.function for route in template.routes}
    assert max(template.functions[name].timeout for name in behind_http) < SECONDS_OF_HTTP_API
    socket = {route.function: route.seconds for route in template.websocket_api.routes.values()}
    assert all(template.functions[name].timeout < seconds for name, seconds in socket.items())


@pytest.mark.parametrize("api", ["HttpApi", "WebSocketApi"])
def test_D8_access_logs_hold_neither_queries_nor_headers(template: Template, api: str) -> None:
    written = template.properties(api)["AccessLogSettings"]["Format"]
    known = json.loads(written)
    assert {"request_id", "status", "address"} <= known.keys()
    assert not re.findall(r"querystring|header|authorizer|protocol|\.query|body", written, re.IGNORECASE)


def test_passwords_are_guessed_more_slowly_than_pages_are_read(template: Template) -> None:
    http = template.properties("HttpApi")
    (rule,) = http["RouteSettings"].values()
    assert [*http["RouteSettings"]] == [
        route.key for route in template.routes if route.key.startswith("ANY /api/auth/")
    ]
    strict, usual = (
        template.resolve(limit["ThrottlingRateLimit"]) for limit in (rule, http["DefaultRouteSettings"])
    )
    assert strict < usual


def test_E5_the_platforms_key_pays_for_the_default_model_alone(template: Template) -> None:
    variables = template.section("Globals")["Function"]["Environment"]["Variables"]
    assert template.resolve(variables["DEFAULT_OPENAI_MODEL"]) == "gpt-5-mini"
    assert template.resolve(variables["PLATFORM_MODELS"]).rstrip(",") == "gpt-5-mini"


def test_every_alarm_is_heard_and_says_where_to_read_on(template: Template) -> None:
    handbook = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    alarms = properties(template, "AWS::CloudWatch::Alarm")
    assert len(alarms) >= 10
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}], name
        _, _, topic = alarm["AlarmDescription"].partition(" See operations.md on ")
        assert f"\n### {topic.removesuffix('.').capitalize()}\n" in handbook, name


def test_the_database_is_encrypted_private_and_kept(template: Template) -> None:
    database = template.properties("Database")
    assert (database["StorageEncrypted"], database["PubliclyAccessible"]) == (True, False)
    assert database["EnableIAMDatabaseAuthentication"] is True
    assert "MasterUserPassword" not in database
    assert template.section("Resources")["Database"]["DeletionPolicy"] == "Snapshot"


def test_no_parameter_asks_for_a_secret(template: Template) -> None:
    assert not [name for name, given in template.section("Parameters").items() if given.get("NoEcho")]


def test_both_ways_out_lead_somewhere() -> None:
    routes = {
        egress: Template(TEMPLATE, parameters={"Egress": egress}).named("AWS::EC2::Route")
        for egress in ("nat", "ipv6")
    }
    assert routes == {"nat": ["PrivateRouteToInternet", "PublicRoute"], "ipv6": ["PrivateRouteOverIpv6"]}


def _needs(template: Template, name: str) -> Any:
    return template.section("Resources")[name].get("DependsOn")


def _all(template: Template) -> list[dict[str, Any]]:
    return list(functions(template).values())


def _limits(function: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in function.items() if key == "ReservedConcurrentExecutions"}


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "*",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "https://sub.app.example.com",
    ],
)
def test_C8_only_an_origin_that_is_named_may_read_what_it_asks_for(origin: str) -> None:
    ours = "https://app.example.com"
    policy = CorsPolicy(Template(TEMPLATE, parameters={"AllowedOrigins": ours}).cors)
    assert policy.headers(ours)["access-control-allow-origin"] == ours
    assert policy.preflight(ours)
    assert (policy.headers(origin), policy.preflight(origin)) == ({}, {})
