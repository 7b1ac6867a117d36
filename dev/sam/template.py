"""The template's functions, and everything that calls them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from dev.sam.declarations import (
    DEFAULT_ROUTE,
    Cors,
    Function,
    QueueSource,
    Route,
    Schedule,
    WebSocketApi,
    WebSocketRoute,
)
from dev.sam.document import FUNCTION, HTTP_API, STACK, WEBSOCKET_API, Document, NotPlayed, TemplateError

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"
LAMBDA_DEFAULTS = {"Timeout": 3, "MemorySize": 128}
SQS_BATCH_SIZE = 10
INTEGRATION_MILLISECONDS = 29_000
SCHEDULES = {"Schedule": "Schedule", "ScheduleV2": "ScheduleExpression"}
RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
BODY = "$request.body."
# The others, such as logs and limits, make no difference to who is called.
WEBSOCKET_PROPERTIES = ("Auth", "StageName", "RouteSelectionExpression", "Routes")


class Template(Document):
    """The template's resources, with references resolved."""

    @cached_property
    def functions(self) -> dict[str, Function]:
        return {name: self._function(name) for name in self.named(FUNCTION)}

    @cached_property
    def routes(self) -> list[Route]:
        return [
            Route(_route_key(properties), function) for _, function, _, properties in self._events("HttpApi")
        ]

    @cached_property
    def cors(self) -> Cors:
        for name in self.named(HTTP_API):
            if settings := self.resolve(self.properties(name).get("CorsConfiguration")):
                return Cors(
                    origins=settings.get("AllowOrigins", []),
                    methods=settings.get("AllowMethods", []),
                    headers=settings.get("AllowHeaders", []),
                    expose=settings.get("ExposeHeaders", []),
                    credentials=bool(settings.get("AllowCredentials")),
                    max_age=int(settings.get("MaxAge", 0)),
                )
        return Cors()

    @cached_property
    def websocket_api(self) -> WebSocketApi:
        for name in self.named(WEBSOCKET_API):
            written = self.properties(name)
            properties = self.resolve({key: written[key] for key in WEBSOCKET_PROPERTIES if key in written})
            if "Auth" in properties:
                # Who overlooked it would let everybody in.
                raise TemplateError(f"{self.path.name} gives {name} Auth, which dev/sam does not know yet.")
            return WebSocketApi(
                stage=properties.get("StageName", "default"),
                selection=self._selection(properties["RouteSelectionExpression"]),
                routes={key: _websocket_route(route) for key, route in properties["Routes"].items()},
            )
        return WebSocketApi()

    @cached_property
    def queue_sources(self) -> list[QueueSource]:
        return [
            self._queue_source(function, self.resolve(properties))
            for _, function, _, properties in self._events("SQS")
            if properties.get("Enabled", True)
        ]

    @cached_property
    def schedules(self) -> list[Schedule]:
        return [
            Schedule(
                name=f"{STACK}-{function}{name}",
                function=function,
                seconds=self._seconds(str(properties.get(SCHEDULES[kind]))),
                scheduler=kind == "ScheduleV2",
            )
            for name, function, kind, properties in self._events(*SCHEDULES)
            if properties.get("Enabled", True) and properties.get("State") != "DISABLED"
        ]

    def resources(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The resources of a type, each with its physical name and its resolved properties."""
        for name in self.named(kind):
            yield self.physical_name(name), self.resolve(self.properties(name))

    def _function(self, name: str) -> Function:
        common = (self.section("Globals").get("Function")) or {}
        own = self.properties(name)
        settings = {**LAMBDA_DEFAULTS, **common, **own}
        variables = {**_variables(common), **_variables(own)}
        return Function(
            name=name,
            handler=self.resolve(settings["Handler"]),
            timeout=int(self.resolve(settings["Timeout"])),
            memory=int(self.resolve(settings["MemorySize"])),
            environment=self._known(variables),
        )

    def _known(self, variables: Mapping[str, Any]) -> dict[str, str]:
        """The variables, without those that lead to what only AWS has: local settings say what to use."""
        known = {}
        for name, value in variables.items():
            with suppress(NotPlayed):
                known[name] = str(self.resolve(value))
        return known

    def _events(self, *kinds: str) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
        """What calls functions: its name, the function's, its type, its properties as they are written."""
        for function in self.named(FUNCTION):
            for name, event in (self.properties(function).get("Events") or {}).items():
                if event.get("Type") in kinds:
                    yield name, function, event["Type"], event.get("Properties") or {}

    def _queue_source(self, function: str, properties: Mapping[str, Any]) -> QueueSource:
        arn = str(properties["Queue"])
        concurrency = (properties.get("ScalingConfig") or {}).get("MaximumConcurrency")
        return QueueSource(
            function=function,
            arn=arn,
            url=self.queue_url(arn.rsplit(":", 1)[1]),
            batch_size=int(properties.get("BatchSize", SQS_BATCH_SIZE)),
            partial="ReportBatchItemFailures" in (properties.get("FunctionResponseTypes") or []),
            concurrency=None if concurrency is None else int(concurrency),
        )

    def _selection(self, expression: str) -> tuple[str, ...]:
        if not expression.startswith(BODY):
            raise TemplateError(
                f"{self.path.name} selects routes by {expression}, but dev/sam only knows {BODY}… yet."
            )
        return tuple(expression.removeprefix(BODY).split("."))

    def _seconds(self, expression: str) -> float:
        if found := RATE.fullmatch(expression):
            return int(found[1]) * SECONDS[found[2]]
        raise TemplateError(f"{self.path.name} schedules {expression}, but dev/sam only knows rate(…) yet.")


def _variables(function: Mapping[str, Any]) -> dict[str, Any]:
    return dict((function.get("Environment") or {}).get("Variables") or {})


def _route_key(event: Mapping[str, Any]) -> str:
    path, method = event.get("Path"), str(event.get("Method", "ANY")).upper()
    if path is None or path == DEFAULT_ROUTE:
        return DEFAULT_ROUTE
    # SAM accepts any case and x-amazon-apigateway-any-method; API Gateway's own word is ANY.
    return f"{'ANY' if method.startswith('X-AMAZON') else method} {path}"


def _websocket_route(route: Mapping[str, Any]) -> WebSocketRoute:
    function = str(route["FunctionArn"]).rsplit(":", 1)[1]
    return WebSocketRoute(function, int(route.get("IntegrationTimeout", INTEGRATION_MILLISECONDS)) / 1000)
