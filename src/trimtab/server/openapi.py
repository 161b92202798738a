"""The OpenAPI 3.1 description of a list of routes."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from trimtab.kernel import Body, Permission, Query, Resource, Route
from trimtab.server.answers import Failure

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_REF = "#/components/schemas/{name}"


def openapi_of(routes: Sequence[Route], *, version: str) -> dict[str, Any]:
    """Return the document that describes every operation for programs; pages are left out."""
    described = [route for route in routes if is_described(route)]
    types = [kind for route in described for kind in (route.request, route.response) if _has_schema(kind)]
    unique = list(dict.fromkeys([Failure, *types]))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    schema_of = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        operations = paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})
        operations[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trimtab",
            "version": version,
            "summary": "The whole life of a machine learning model as one system.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Needed when the server can be reached from other machines.",
                }
            },
        },
    }


def is_described(route: Route) -> bool:
    """Say whether a route is an operation for programs (a page is not)."""
    return not (route.path == "/" or route.path.startswith("/ui"))


def named_by(resource: Resource) -> str:
    """Say what a permission must be held for, in a few words: where a request names it."""
    if resource.each:
        return "anything"
    return " and ".join(f"{part.place} {part.name}" for part in resource.parts) or "everything"


def _operation(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [_noun(route.path)],
        "x-permission": route.permission.value,
        "x-permission-for": named_by(route.resource),
        "responses": {
            str(route.status): {"description": "Done."} | _content(route.response, schema_of),
            "default": {"description": "A mistake, in four parts."} | _content(Failure, schema_of),
        },
    }
    doc = (route.handler.__doc__ or "").strip()
    if doc and doc != route.summary:
        operation["description"] = re.sub(r"\n\s+", "\n", doc)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    parameters += [_parameter(query) for query in route.query]
    if route.method != "GET" and route.permission is not Permission.PREDICT:
        parameters.append(
            {
                "name": "Trimtab-Because",
                "in": "header",
                "required": False,
                "description": "Why; it stands in the ledger. Percent-encode what is not ASCII.",
                "schema": {"type": "string"},
            }
        )
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        operation["requestBody"] = {"required": True} | _content(route.request, schema_of)
    if route.permission is Permission.PUBLIC:
        operation["security"] = []
    return operation


def _parameter(query: Query) -> dict[str, Any]:
    schema = msgspec.json.schema(query.kind, ref_template="{name}")
    if "$ref" in schema:  # an enumeration is described as a component; here it stands in its place
        schema = schema["$defs"][schema["$ref"]]
    default = {} if query.default is None else {"default": query.default}
    return {
        "name": query.name, "in": "query", "required": query.required, "description": query.meaning,
        "schema": schema | default,
    }  # fmt: skip


def _content(kind: Any, schema_of: dict[Any, Any]) -> dict[str, Any]:
    if kind is None:
        return {}
    if _has_schema(kind):
        return {"content": {"application/json": {"schema": schema_of[kind]}}}
    return {"content": {"application/octet-stream": {}}}


def _has_schema(kind: Any) -> bool:
    return kind is not None and kind is not bytes and kind is not Body and kind is not Any


def _operation_id(route: Route) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", _PARAMETER.sub(r"by_\1", route.path)).strip("_")
    return f"{route.method.lower()}_{words}"


def _noun(path: str) -> str:
    parts = [part for part in path.split("/") if part and not part.startswith("{")]
    if parts[:2] == ["api", "v1"]:
        return parts[2] if len(parts) > 2 else "server"
    return "inference" if parts[:1] == ["v2"] else "server"
