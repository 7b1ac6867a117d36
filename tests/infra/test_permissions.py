"""Nobody may do more than their work needs: no wildcard in a permission without a reason."""

from collections.abc import Iterator
from typing import Any

import pytest

from dev.sam import TEMPLATE, Template

# Looking after a key, which is not using it, and what it is for.
OF_A_KEY = (
    *("kms:Describe*", "kms:Get*", "kms:List*", "kms:Enable*", "kms:Disable*", "kms:Put*", "kms:Update*"),
    *("kms:TagResource", "kms:UntagResource", "kms:RotateKeyOnDemand"),
    *("kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion", "kms:GenerateDataKey", "kms:Decrypt"),
)

# What a * may stand for, and why there is no name to put in its place.
REASONS = {
    ("Key", "kms:*", "*"): "the account's own IAM decides who uses its key; in a key's policy * is the key",
    ("Key", "kms:Encrypt", "*"): "in a key's policy * is the key",
    ("Key", "kms:Decrypt", "*"): "in a key's policy * is the key",
    ("Key", "kms:ReEncryptFrom", "*"): "in a key's policy * is the key",
    ("Key", "kms:ReEncryptTo", "*"): "in a key's policy * is the key",
    ("Key", "kms:GenerateDataKey", "*"): "in a key's policy * is the key",
    ("Key", "kms:DescribeKey", "*"): "in a key's policy * is the key",
    **{("ModelKeysKey", action, "*"): "in a key's policy * is the key" for action in OF_A_KEY},
    ("SocketsPolicy", "execute-api:ManageConnections", "/ws/*/@connections/*"): "a socket's id is made later",
    ("SocketsPolicy", "dynamodb:Query", "/index/*"): "both indexes of the one table",
    ("SiteBucketPolicy", "s3:GetObject", "/*"): "every file of the site, for one distribution",
}
HOLDERS = {
    "AWS::IAM::ManagedPolicy": "PolicyDocument",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::IAM::Role": "Policies",
    "AWS::Serverless::Function": "Policies",
}


@pytest.fixture(scope="module")
def template() -> Template:
    return Template(TEMPLATE, parameters={"DatabaseProxy": "true", "FrontDoor": "cloudfront"})


def permissions(template: Template) -> Iterator[tuple[str, str, Any]]:
    """Every permission that the template gives: who has it, the action, the resource as it is written."""
    for kind, place in HOLDERS.items():
        for name in template.named(kind):
            for statement in _statements(template.properties(name).get(place)):
                for action in _listed(statement["Action"]):
                    for resource in _listed(statement["Resource"]):
                        yield name, action, resource


def test_a_wildcard_needs_a_reason_and_a_reason_a_wildcard(template: Template) -> None:
    found = {
        (name, action, _end_of(resource))
        for name, action, resource in permissions(template)
        if "*" in action or "*" in str(resource)
    }
    assert found == REASONS.keys()


def test_functions_have_only_permissions_that_are_written_here(template: Template) -> None:
    ours = {*template.named("AWS::IAM::ManagedPolicy")}
    for name in template.named("AWS::Serverless::Function"):
        for policy in template.properties(name)["Policies"]:
            assert "Statement" in policy or policy["Ref"] in ours, f"{name}: {policy}"


def test_only_who_asks_the_model_may_read_the_platforms_key(template: Template) -> None:
    allowed = [
        name
        for name in template.named("AWS::Serverless::Function")
        if {"Ref": "ModelPolicy"} in template.properties(name)["Policies"]
    ]
    assert allowed == ["AiFunction", "ReplyFunction"]


def test_D7_only_who_asks_the_model_may_open_peoples_keys_and_only_for_a_person_and_an_origin(
    template: Template,
) -> None:
    key = {"Fn::GetAtt": "ModelKeysKey.Arn"}
    allowed = {(name, action) for name, action, resource in permissions(template) if resource == key}
    assert allowed == {("ModelPolicy", "kms:GenerateDataKey"), ("ModelPolicy", "kms:Decrypt")}
    declared = [
        name
        for name in template.named("AWS::Serverless::Function")
        if "KEY_ENCRYPTION_KEY_ARN" in str(template.properties(name).get("Environment"))
    ]
    assert declared == ["AiFunction", "ReplyFunction"]
    using = [
        statement
        for statement in template.properties("ModelKeysKey")["KeyPolicy"]["Statement"]
        if {"kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt", "kms:CreateGrant", "kms:*"}
        & set(_listed(statement["Action"]))
    ]
    assert [statement["Condition"] for statement in using] == [
        {
            "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["user_id", "origin"]},
            "Null": {"kms:EncryptionContext:user_id": "false", "kms:EncryptionContext:origin": "false"},
        }
    ]


def test_only_migrations_may_become_the_databases_owner(template: Template) -> None:
    owner = {"Fn::GetAtt": "Database.MasterUserSecret.SecretArn"}
    assert [name for name, _, resource in permissions(template) if resource == owner] == ["MigrateFunction"]
    roles = [
        (name, _end_of(resource))
        for name, action, resource in permissions(template)
        if action == "rds-db:connect"
    ]
    assert sorted(roles) == [
        ("DatabasePolicy", "/academy_app"),
        ("ProxyRole", "/academy_app"),
        ("ProxyRole", "/academy_sweeper"),
        ("SweeperFunction", "/academy_sweeper"),
    ]


def _statements(holder: Any) -> Iterator[dict[str, Any]]:
    for policy in _listed(holder):
        if isinstance(policy, dict):
            document = policy.get("PolicyDocument", policy)
            yield from _listed(document.get("Statement", []))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _end_of(resource: Any) -> str:
    text = resource["Fn::Sub"] if isinstance(resource, dict) else resource
    text = str(text[0] if isinstance(text, list) else text)
    return text.rsplit("}", 1)[-1]
