"""Reads infra/template.yaml as CloudFormation would, so that routes, functions and tables are said once.

Only what the template uses is understood; anything else is refused by name, because guessing would make
the local stack differ from AWS.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from dev.trouble import Trouble

TEMPLATE = Path(__file__).parents[1] / "infra" / "template.yaml"
REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
STACK = "academy-local"
PSEUDO = {
    "AWS::AccountId": ACCOUNT_ID,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
}
DEFAULT_ROUTE = "$default"
LAMBDA_DEFAULTS = {"Timeout": 3, "MemorySize": 128}


class TemplateError(Trouble):
    """The template says something that this reader, or CloudFormation, does not understand."""


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function: `handler` is `module.attribute`, `timeout` in seconds, `memory` in MB."""

    name: str
    handler: str
    timeout: int
    memory: int
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the HTTP API; `key` is what API Gateway calls it."""

    key: str
    function: str


@dataclass(frozen=True, slots=True)
class Cors:
    origins: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    expose: list[str] = field(default_factory=list)
    credentials: bool = False
    max_age: int = 0


class Template:
    """The template's resources, with references resolved.

    `parameters` override the template's defaults; a parameter with neither resolves to "".
    `endpoint` is where queues live, because a queue's reference is its URL.
    """

    def __init__(
        self, path: Path, *, parameters: Mapping[str, str] | None = None, endpoint: str = ""
    ) -> None:
        self.path = path
        self.endpoint = endpoint
        self._document = _load(path)
        self._overrides = dict(parameters or {})

    @cached_property
    def functions(self) -> dict[str, Function]:
        return {name: self._function(name) for name in self._named("AWS::Serverless::Function")}

    @cached_property
    def routes(self) -> list[Route]:
        return [
            Route(_route_key(event.get("Properties") or {}), name)
            for name in self._named("AWS::Serverless::Function")
            for event in (self._raw(name).get("Events") or {}).values()
            if event.get("Type") == "HttpApi"
        ]

    @cached_property
    def cors(self) -> Cors:
        for name in self._named("AWS::Serverless::HttpApi"):
            if settings := self.resolve(self._raw(name).get("CorsConfiguration")):
                return Cors(
                    origins=settings.get("AllowOrigins", []),
                    methods=settings.get("AllowMethods", []),
                    headers=settings.get("AllowHeaders", []),
                    expose=settings.get("ExposeHeaders", []),
                    credentials=bool(settings.get("AllowCredentials")),
                    max_age=int(settings.get("MaxAge", 0)),
                )
        return Cors()

    def resources(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The resources of a type, each with its physical name and its resolved properties."""
        for name in self._named(kind):
            yield self.physical_name(name), self.resolve(self._raw(name))

    def physical_name(self, name: str) -> str:
        properties = self._raw(name)
        given = properties.get("TableName") or properties.get("QueueName")
        if given:
            return str(self.resolve(given))
        # CloudFormation makes a name up; a FIFO queue's has to end like this.
        return f"{STACK}-{name}{'.fifo' if properties.get('FifoQueue') else ''}"

    def resolve(self, value: Any) -> Any:
        """A value of the template, with its intrinsic functions worked out."""
        match value:
            case list():
                return [self.resolve(item) for item in value]
            case dict() if len(value) == 1 and (name := next(iter(value))) in self._intrinsics:
                return self._intrinsics[name](value[name])
            case dict() if len(value) == 1 and str(next(iter(value))).startswith("Fn::"):
                raise TemplateError(
                    f"{self.path.name} uses {next(iter(value))}, which dev/sam.py does not know yet."
                )
            case dict():
                return {key: self.resolve(item) for key, item in value.items()}
        return value

    @cached_property
    def _intrinsics(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "Ref": self._ref,
            "Fn::GetAtt": self._attribute,
            "Fn::Sub": self._substitute,
            "Fn::Join": lambda join: str(join[0]).join(map(str, self.resolve(join[1]))),
            "Fn::FindInMap": self._find_in_map,
        }

    def _ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._section("Parameters"):
            return self._parameter(name)
        match self._resource(name).get("Type"):
            case "AWS::SQS::Queue":
                return f"{self.endpoint}/{ACCOUNT_ID}/{self.physical_name(name)}"
            case "AWS::DynamoDB::Table":
                return self.physical_name(name)
        return name

    def _parameter(self, name: str) -> Any:
        declared = self._section("Parameters")[name]
        value = str(self._overrides.get(name, declared.get("Default", "")))
        if declared.get("Type") == "CommaDelimitedList":
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    def _attribute(self, path: str | list[str]) -> str:
        name, _, attribute = (path if isinstance(path, str) else ".".join(path)).partition(".")
        services = {"AWS::SQS::Queue": "sqs", "AWS::DynamoDB::Table": "dynamodb"}
        service = services.get(str(self._resource(name).get("Type")))
        if attribute != "Arn" or service is None:
            raise TemplateError(
                f"{self.path.name} asks for {name}.{attribute}, which dev/sam.py cannot tell."
            )
        resource = self.physical_name(name)
        path_in_arn = f"table/{resource}" if service == "dynamodb" else resource
        return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{path_in_arn}"

    def _substitute(self, argument: str | list[Any]) -> str:
        text, values = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return str(self.resolve(values[name]))
            return str(self._attribute(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", replace, text)

    def _find_in_map(self, keys: list[Any]) -> Any:
        found: Any = self._section("Mappings")
        for key in self.resolve(keys):
            found = found[key]
        return found

    def _function(self, name: str) -> Function:
        common = (self._section("Globals").get("Function")) or {}
        own = self._raw(name)
        settings = {**LAMBDA_DEFAULTS, **common, **own}
        variables = {**_variables(common), **_variables(own)}
        return Function(
            name=name,
            handler=self.resolve(settings["Handler"]),
            timeout=int(self.resolve(settings["Timeout"])),
            memory=int(self.resolve(settings["MemorySize"])),
            environment={key: str(self.resolve(value)) for key, value in variables.items()},
        )

    def _named(self, kind: str) -> list[str]:
        return [name for name, resource in self._section("Resources").items() if resource.get("Type") == kind]

    def _resource(self, name: str) -> dict[str, Any]:
        try:
            return dict(self._section("Resources")[name])
        except KeyError:
            raise TemplateError(f"{self.path.name} refers to {name}, which it does not declare.") from None

    def _raw(self, name: str) -> dict[str, Any]:
        return dict(self._resource(name).get("Properties") or {})

    def _section(self, name: str) -> dict[str, Any]:
        return dict(self._document.get(name) or {})


def _variables(function: Mapping[str, Any]) -> dict[str, Any]:
    return dict((function.get("Environment") or {}).get("Variables") or {})


def _route_key(event: Mapping[str, Any]) -> str:
    path, method = event.get("Path"), str(event.get("Method", "ANY")).upper()
    if path is None or path == DEFAULT_ROUTE:
        return DEFAULT_ROUTE
    # SAM accepts any case and x-amazon-apigateway-any-method; API Gateway's own word is ANY.
    return f"{'ANY' if method.startswith('X-AMAZON') else method} {path}"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags: `!Ref x` is `{Ref: x}`, `!Sub x` is `{Fn::Sub: x}`."""


def _tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]  # the third and last kind
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tag)


def _load(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader with tags
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror}.") from None
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place else ""
        raise TemplateError(f"{path.name}{line} is not YAML: {getattr(error, 'problem', error)}.") from None
    if not isinstance(document, dict):
        raise TemplateError(f"{path.name} is not a CloudFormation template: it holds no mapping.")
    return document
