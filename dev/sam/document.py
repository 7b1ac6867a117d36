"""A template's text, and the references in it worked out."""

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from dev.events import API_ID
from dev.trouble import Trouble

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
QUEUE, TABLE = "AWS::SQS::Queue", "AWS::DynamoDB::Table"
FUNCTION, WEBSOCKET_API = "AWS::Serverless::Function", "AWS::Serverless::WebSocketApi"
HTTP_API, LAYER = "AWS::Serverless::HttpApi", "AWS::Serverless::LayerVersion"
PLAYED = (QUEUE, TABLE, FUNCTION, WEBSOCKET_API, HTTP_API)
# What AWS::NoValue is: whatever has it is left out.
NO_VALUE = object()
# What comes before a resource's name in its ARN.
ARNS = {QUEUE: ("sqs", ""), TABLE: ("dynamodb", "table/"), FUNCTION: ("lambda", "function:")}


class TemplateError(Trouble):
    """The template says something that this reader, or CloudFormation, does not understand."""


class NotPlayed(TemplateError):
    """A reference to something that is in AWS and not in the local stack."""


class Document:
    """The template's sections, with references resolved.

    `parameters` override the template's defaults; a parameter with neither resolves to "".
    `endpoint` is where queues live, because a queue's reference is its URL.
    """

    def __init__(
        self, path: Path, *, parameters: Mapping[str, str] | None = None, endpoint: str = ""
    ) -> None:
        self.path = path
        self.endpoint = endpoint
        self._document = load(path)
        self._overrides = dict(parameters or {})

    def physical_name(self, name: str) -> str:
        properties = self.properties(name)
        given = properties.get("TableName") or properties.get("QueueName")
        if given:
            return str(self.resolve(given))
        if self._kind(name) == FUNCTION:
            return name
        # CloudFormation makes a name up; a FIFO queue's has to end like this.
        return f"{STACK}-{name}{'.fifo' if properties.get('FifoQueue') else ''}"

    def queue_url(self, queue: str) -> str:
        return f"{self.endpoint}/{ACCOUNT_ID}/{queue}"

    def resolve(self, value: Any) -> Any:
        """A value of the template, with its intrinsic functions worked out."""
        match value:
            case list():
                items = (self.resolve(item) for item in value)
                return [item for item in items if item is not NO_VALUE]
            case dict() if len(value) == 1 and (name := next(iter(value))) in self._intrinsics:
                return self._intrinsics[name](value[name])
            case dict() if len(value) == 1 and str(next(iter(value))).startswith("Fn::"):
                raise TemplateError(
                    f"{self.path.name} uses {next(iter(value))}, which dev/sam does not know yet."
                )
            case dict():
                entries = ((key, self.resolve(item)) for key, item in value.items())
                return {key: item for key, item in entries if item is not NO_VALUE}
        return value

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is true."""
        declared = self.section("Conditions")
        if condition not in declared:
            raise TemplateError(
                f"{self.path.name} names the condition {condition}, which it does not declare."
            )
        return bool(self.resolve(declared[condition]))

    def named(self, kind: str) -> list[str]:
        """The logical names of all resources of a type, without those whose condition is false."""
        return [
            name
            for name, resource in self.section("Resources").items()
            if resource.get("Type") == kind
            and ("Condition" not in resource or self.holds(resource["Condition"]))
        ]

    def properties(self, name: str) -> dict[str, Any]:
        """A resource's properties as they are written."""
        return dict(self._resource(name).get("Properties") or {})

    def section(self, name: str) -> dict[str, Any]:
        return dict(self._document.get(name) or {})

    @cached_property
    def _intrinsics(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "Ref": self._ref,
            "Fn::GetAtt": self._attribute,
            "Fn::Sub": self._substitute,
            "Fn::Join": lambda join: str(join[0]).join(map(str, self.resolve(join[1]))),
            "Fn::FindInMap": self._find_in_map,
            "Fn::If": self._if,
            "Fn::Equals": lambda pair: self.resolve(pair[0]) == self.resolve(pair[1]),
            "Fn::Not": lambda one: not self.resolve(one[0]),
            "Fn::And": lambda all_: all(self.resolve(all_)),
            "Fn::Or": lambda any_: any(self.resolve(any_)),
            "Condition": self.holds,
        }

    def _ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self.section("Parameters"):
            return self._parameter(name)
        if name.endswith(".Alias"):
            # SAM's own notation; a function has one version here, so its alias is the function.
            return self._attribute(f"{name.removesuffix('.Alias')}.Arn")
        return self._identifier(name)

    def _identifier(self, name: str) -> str:
        kind = self._kind(name)
        if kind == WEBSOCKET_API:
            return API_ID
        if kind == QUEUE:
            return self.queue_url(self.physical_name(name))
        if kind not in PLAYED:
            raise NotPlayed(f"{self.path.name} refers to {name}, which the local stack does not play.")
        return self.physical_name(name) if kind == TABLE else name

    def _parameter(self, name: str) -> Any:
        declared = self.section("Parameters")[name]
        value = str(self._overrides.get(name, declared.get("Default", "")))
        if declared.get("Type") == "CommaDelimitedList":
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    def _attribute(self, path: str | list[str]) -> str:
        name, _, attribute = (path if isinstance(path, str) else ".".join(path)).partition(".")
        kind = self._kind(name)
        if attribute == "Arn" and kind in ARNS:
            service, prefix = ARNS[kind]
            return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{prefix}{self.physical_name(name)}"
        if attribute == "QueueName" and kind == QUEUE:
            return self.physical_name(name)
        unknown = TemplateError if kind in PLAYED else NotPlayed
        raise unknown(f"{self.path.name} asks for {name}.{attribute}, which dev/sam cannot tell.")

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

    def _if(self, choice: list[Any]) -> Any:
        condition, then, otherwise = choice
        return self.resolve(then if self.holds(condition) else otherwise)

    def _find_in_map(self, keys: list[Any]) -> Any:
        found: Any = self.section("Mappings")
        for key in self.resolve(keys):
            found = found[key]
        return found

    def _kind(self, name: str) -> str:
        return str(self._resource(name).get("Type"))

    def _resource(self, name: str) -> dict[str, Any]:
        try:
            return dict(self.section("Resources")[name])
        except KeyError:
            raise TemplateError(f"{self.path.name} refers to {name}, which it does not declare.") from None


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


def load(path: Path) -> dict[str, Any]:
    """A template as it is written, its short tags in their long form."""
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
