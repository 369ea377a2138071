"""The one door to flask-openapi3: nothing else in the project imports it.

The library collects paths and models; `Api.document()` then says what it cannot know: roles,
the spec's own JSON Schema as the body of a submission, and problem documents for every error.
"""

from __future__ import annotations

import re
from typing import Any

from flask import Flask
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel

from api.problems import MEDIA_TYPE, from_validation_error, response_for
from api.schemas.problem import ProblemDocument
from api.security.roles import access_of
from labpool.spec import spec_schema

__all__ = ["Api", "ApiBlueprint", "Tag", "binary", "described", "json_body", "spec_body"]

PREFIX = "/api/v1"
_SPEC_COMPONENT = "Spec"
_PROBLEM = {
    "description": "A problem document (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
}
_SPEC_MARK = "x-labpool-spec-body"
_BODY_MARK = "x-labpool-body"
SPEC_MEDIA_TYPES = ("application/json", "application/yaml")


class ApiBlueprint(APIBlueprint):
    """One resource's routes, all below /api/v1."""

    def __init__(self, name: str, import_name: str, description: str) -> None:
        super().__init__(
            name,
            import_name,
            url_prefix=PREFIX,
            abp_tags=[Tag(name=name, description=description)],
            operation_id_callback=_operation_id,
        )


class Api(OpenAPI):
    """Flask application that can describe itself as an OpenAPI 3.1 document."""

    def __init__(self, import_name: str, version: str, **options: Any) -> None:
        super().__init__(
            import_name,
            info=Info(
                title="labpool",
                version=version,
                description="Fair shared pool of deep-learning workers: submit specs, read curves, "
                "results, checkpoints and leaderboards.",
            ),
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", description="A token `lp_<id>_<secret>`."
                )
            },
            doc_ui=False,
            operation_id_callback=_operation_id,
            validation_error_model=ProblemDocument,
            validation_error_callback=_on_validation_error,
            **options,
        )

    def document(self) -> dict[str, Any]:
        """The complete OpenAPI document; made once, after all routes are there."""
        if not self.spec_json:
            self.generate_spec_json()  # type: ignore[no-untyped-call]
            _complete(self, self.spec_json)
        return self.spec_json


def described(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of `app` (or of flask's proxy for the current one)."""
    document: dict[str, Any] = app.document()  # type: ignore[attr-defined]
    return document


def spec_body() -> dict[str, Any]:
    """`openapi_extensions` of an operation whose body is a spec."""
    return {_SPEC_MARK: True}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extensions` of an operation that reads a small JSON body by itself.

    The library would answer text that is no JSON with the complaint that fields are missing.
    """
    return {_BODY_MARK: model.model_json_schema(ref_template="#/components/schemas/{model}")}


def binary(media_type: str, description: str) -> dict[str, Any]:
    """A response that is a file."""
    return {
        "description": description,
        "content": {media_type: {"schema": {"type": "string", "format": "binary"}}},
    }


def _operation_id(*, name: str, **_: str) -> str:
    return name


def _on_validation_error(error: Any) -> Any:
    return response_for(from_validation_error(error))


def _complete(app: Flask, document: dict[str, Any]) -> None:
    components = document["components"]["schemas"]
    _add_spec_schema(components)
    _drop_inner_definitions(components)
    roles = _roles_by_operation(app)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            access = roles[(method.upper(), path)]
            operation["x-role"] = access
            # The library joins the lines of a docstring with HTML; the field holds Markdown.
            description = operation.get("description", "").replace("<br/>", " ").strip()
            operation["description"] = description or operation["summary"]
            operation["security"] = [] if access == "public" else [{"bearer": []}]
            responses = operation.setdefault("responses", {})
            responses.pop("422", None)
            responses["default"] = _PROBLEM
            if operation.pop(_SPEC_MARK, False):
                reference = {"$ref": f"#/components/schemas/{_SPEC_COMPONENT}"}
                operation["requestBody"] = {
                    "required": True,
                    "content": {name: {"schema": reference} for name in SPEC_MEDIA_TYPES},
                }
            schema = operation.pop(_BODY_MARK, None)
            if schema is not None:
                components.update(schema.pop("$defs", {}))
                content = {"application/json": {"schema": schema}}
                operation["requestBody"] = {"required": True, "content": content}


def _roles_by_operation(app: Flask) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for rule in app.url_map.iter_rules():
        access = access_of(app, rule.endpoint)
        path = re.sub(r"<(?:[^<:]+:)?", "{", rule.rule).replace(">", "}")
        for method in rule.methods or ():
            found[(method, path)] = access.role if access else "admin"
    return found


def _add_spec_schema(components: dict[str, Any]) -> None:
    schema = _moved(spec_schema())
    components.update(schema.pop("$defs", {}))
    schema.pop("$schema", None)
    schema.pop("$id", None)
    components[_SPEC_COMPONENT] = schema


def _moved(node: Any) -> Any:
    """The schema with its references pointed at the document's components."""
    if isinstance(node, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/")
            if isinstance(value, str) and (key == "$ref" or value.startswith("#/$defs/"))
            else _moved(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_moved(item) for item in node]
    return node


def _drop_inner_definitions(components: dict[str, Any]) -> None:
    for schema in components.values():
        schema.pop("$defs", None)
