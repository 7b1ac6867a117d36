"""Creates the template's stack, as SAM translates it, in a play of AWS: what refers to nothing fails here."""

import io
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.translator import Translator

REGION, BUCKET, STACK = "us-east-1", "artifacts", "rehearsal"
# Everything that is optional.
PARAMETERS = {"DatabaseProxy": "true", "FrontDoor": "cloudfront", "AlarmEmail": "somebody@example.com"}
# What the play has of CloudFormation. A reference to anything else is a word, one to an alias its function.
PLAYED = {
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::Events::Rule",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Role",
    "AWS::KMS::Key",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
}
SOCKET_API = ("Name", "ProtocolType", "RouteSelectionExpression")
Document = dict[str, Any]


def translated(template: Path) -> Document:
    """The template as CloudFormation gets it."""
    document = yaml_parse(template.read_text(encoding="utf-8"))
    for place in (
        document["Globals"]["Function"],
        *(r["Properties"] for r in document["Resources"].values() if "Properties" in r),
    ):
        for uri in {"CodeUri", "ContentUri"} & place.keys():
            place[uri] = f"s3://{BUCKET}/code.zip"
    session = boto3.Session(region_name=REGION)
    policies = ManagedPolicyLoader(session.client("iam")).load()
    result: Document = Translator(policies, Parser(), boto_session=session).translate(document, {})
    return result


def playable(document: Document) -> Document:
    """What the play can create of it."""
    declared = document["Resources"]
    resources = {name: resource for name, resource in declared.items() if resource["Type"] in PLAYED}
    absent = {name: _stand_in(name, declared[name]) for name in declared.keys() - resources.keys()}
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        properties.pop("VpcConfig", None)
        if properties.get("FifoQueue"):
            # CloudFormation makes such a name up, the play one without its ending.
            properties["QueueName"] = f"{name}.fifo"
        resource.pop("DependsOn", None)
    known = {key: value for key, value in document.items() if key != "Outputs"}
    played: Document = _without({**known, "Resources": resources}, absent)
    return played


def _stand_in(name: str, resource: Document) -> Any:
    if resource["Type"] == "AWS::Lambda::Alias":
        return {"Fn::GetAtt": [resource["Properties"]["FunctionName"]["Ref"], "Arn"]}
    return f"arn:aws:played:{REGION}:123456789012:thing:{name}"


def _without(value: Any, absent: Mapping[str, Any]) -> Any:
    """The value, with a stand-in for everything that is absent."""
    match value:
        case {"Ref": name} | {"Fn::GetAtt": [name, *_]} if name in absent:
            return absent[name]
        case {"Fn::Sub": str(text)}:
            return {"Fn::Sub": _words(text, absent)}
        case {"Fn::Sub": [text, values]}:
            return {"Fn::Sub": [_words(text, absent), _without(values, absent)]}
        case dict():
            return {key: _without(item, absent) for key, item in value.items()}
        case list():
            return [_without(item, absent) for item in value]
    return value


def _words(text: str, absent: Mapping[str, Any]) -> str:
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: found[1] if found[1] in absent else found[0], text)


def created(document: Document) -> Counter[str]:
    """How many resources of each type the play has made."""
    s3, cloudformation = (boto3.client(name, region_name=REGION) for name in ("s3", "cloudformation"))
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="code.zip", Body=_archive())
    cloudformation.create_stack(
        StackName=STACK,
        TemplateBody=json.dumps(document),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK)
    return Counter(found["ResourceType"] for page in pages for found in page["StackResourceSummaries"])


def _archive() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("code.py", "")
    return archive.getvalue()


def routed(document: Document) -> list[str]:
    """The routes of both APIs, which the play makes by calls alone."""
    gateway = boto3.client("apigatewayv2", region_name=REGION)
    resources = document["Resources"]
    sockets = _plain(resources["WebSocketApi"]["Properties"])
    apis = {
        gateway.create_api(Name="http", ProtocolType="HTTP")["ApiId"]: _http_routes(document),
        gateway.create_api(**{name: sockets[name] for name in SOCKET_API})["ApiId"]: [
            _plain(resource["Properties"])
            for resource in resources.values()
            if resource["Type"] == "AWS::ApiGatewayV2::Route"
        ],
    }
    for api, routes in apis.items():
        for route in routes:
            gateway.create_route(**{**route, "ApiId": api})
    return [route["RouteKey"] for api in apis for route in gateway.get_routes(ApiId=api)["Items"]]


def _http_routes(document: Document) -> list[Document]:
    paths = document["Resources"]["HttpApi"]["Properties"]["Body"]["paths"]
    words = {"x-amazon-apigateway-any-method": "ANY"}
    return [
        {"RouteKey": path.strip("/") if "$default" in path else f"{words.get(method, method.upper())} {path}"}
        for path, methods in paths.items()
        for method in methods
    ]


def _plain(value: Any) -> Any:
    """The value, with a word for whatever CloudFormation would work out."""
    match value:
        case dict() if len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::")):
            return "worked-out"
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
    return value


def main() -> None:
    with mock_aws(config={"lambda": {"use_docker": False}, "iam": {"load_aws_managed_policies": True}}):
        document = translated(Path(sys.argv[1]))
        routes = routed(document)
        played = playable(document)
        wanted = Counter(resource["Type"] for resource in played["Resources"].values())
        made = created(played)
    if wrong := [kind for kind in wanted if made[kind] != wanted[kind]]:
        sys.exit(f"Not created as declared: {', '.join(wrong)}.")
    print(
        f"The stack was created in play: {made.total()} resources of {len(made)} types, {len(routes)} routes."
    )


if __name__ == "__main__":
    main()
