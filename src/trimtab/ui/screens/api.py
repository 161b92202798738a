"""``/ui/api``: every operation of the HTTP API, readable, from the same list that the server routes by."""

from collections.abc import Sequence
from typing import Any

import msgspec

from trimtab.kernel import VERSION, Body, Call, Route
from trimtab.server import is_described, openapi_of
from trimtab.ui.screen import Desk, shown_at

AT = "/ui/api"


class Field(msgspec.Struct, frozen=True):
    name: str
    kind: str
    needed: bool


class Entry(msgspec.Struct, frozen=True):
    """One operation as the page shows it."""

    method: str
    path: str
    summary: str
    description: str
    permission: str
    takes: str
    gives: str
    fields: tuple[Field, ...]
    sends: bool


def routes(desk: Desk, others: Sequence[Route]) -> list[Route]:
    """Return the page of the API over the routes of all rooms."""
    document = openapi_of([route for route in others if is_described(route)], version=VERSION)
    groups: dict[str, list[Entry]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append(_entry(document, method, path, operation))

    def api(call: Call) -> Body:
        return desk.pages.page(call, "api.html", at=AT, groups=groups)

    return [shown_at(AT, api, about="Every operation of the HTTP API")]


def _entry(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Entry:
    sent = _schema(operation.get("requestBody", {}))
    given = next((_schema(answer) for code, answer in operation["responses"].items() if code != "default"), None)
    method = method.upper()
    return Entry(
        method, path, operation["summary"], operation.get("description", ""), operation["x-permission"],
        _name(sent), _name(given), tuple(_fields(document, sent)),
        sent is not None,
    )  # fmt: skip


def _schema(content: dict[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] | None = content.get("content", {}).get("application/json", {}).get("schema")
    return found


def _name(schema: dict[str, Any] | None) -> str:
    if schema is None:
        return ""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_name(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_name(schema.get('items', {})) or 'anything'}"
    if "enum" in schema:
        return " or ".join(str(one) for one in schema["enum"])
    return str(schema.get("type", "anything"))


def _fields(document: dict[str, Any], schema: dict[str, Any] | None) -> list[Field]:
    if schema is None or "$ref" not in schema:
        return []
    found = document["components"]["schemas"][_name(schema)]
    needed = set(found.get("required", ()))
    return [Field(name, _name(kind), name in needed) for name, kind in found.get("properties", {}).items()]
