"""The OpenAPI document: FastAPI's own, and what the edge adds to every route."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from academy.http.dependencies import PUBLIC_ROUTES
from academy.http.problems import Problem

REFERENCE = "#/components/schemas/{model}"
PROBLEMS = {
    status: {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": REFERENCE.format(model="Problem")}}},
    }
    for status, description in {
        "4XX": "What the caller can mend.",
        "5XX": "What may work when tried again.",
    }.items()
}


class Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = _completed(super().openapi())
        return self.openapi_schema


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, method.upper(), path)
    _, schemas = models_json_schema([(Problem, "serialization")], ref_template=REFERENCE)
    known = document.setdefault("components", {}).setdefault("schemas", {})
    known.update(schemas["$defs"])
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    return document


def _complete(operation: dict[str, Any], method: str, path: str) -> None:
    operation["responses"].update(PROBLEMS)
    operation["responses"].pop("422", None)
    operation["operationId"] = operation["operationId"].partition("_api_")[0]
    if method != "POST":
        kept = [one for one in operation.get("parameters", []) if one["name"] != "idempotency-key"]
        operation["parameters"] = kept
    if (method, path) in PUBLIC_ROUTES:
        operation["security"] = []
