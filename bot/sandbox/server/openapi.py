"""Checks requests and answers against Discord's own OpenAPI document, if a test provides it.

Source of the document: https://github.com/discord/discord-api-spec (`specs/openapi.json`, OpenAPI 3.1, MIT licence).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from bot.sandbox.model.errors import JSON

_SNOWFLAKE_IN_REQUESTS: JSON = {"type": ["string", "integer"], "pattern": "^(0|[1-9][0-9]*)$", "minimum": 0}
_COMPLAINT_CODES = {
    "required": "BASE_TYPE_REQUIRED",
    "maxLength": "BASE_TYPE_MAX_LENGTH",
    "maxItems": "BASE_TYPE_MAX_LENGTH",
    "minLength": "BASE_TYPE_BAD_LENGTH",
    "minItems": "BASE_TYPE_BAD_LENGTH",
    "enum": "BASE_TYPE_CHOICES",
    "type": "MODEL_TYPE_CONVERT",
    "maximum": "NUMBER_TYPE_MAX",
    "minimum": "NUMBER_TYPE_MIN",
}
#: Snowflakes and timestamps, whose exact value does not matter to the check.
_VALUES = re.compile(r'"[0-9]{15,20}"|"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)"')
#: The path to the schema of a body in an operation or a response.
JSON_SCHEMA = ("content", "application/json", "schema")


@dataclass(frozen=True)
class Complaint:
    """One place where a body does not match the document."""

    path: tuple[str | int, ...]
    code: str
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'body'}: {self.message}"


@dataclass(frozen=True)
class Violation:
    """A request or an answer that does not match the document; `whose` is "request" or "answer"."""

    whose: str
    method: str
    route: str
    complaints: tuple[Complaint, ...]

    def __str__(self) -> str:
        return f"{self.whose} of {self.method} {self.route}: " + "; ".join(map(str, self.complaints))


class OpenApi:
    """The document, ready to check bodies by method and route template (`/channels/{channel_id}/messages`).

    Three things differ from the document. Requests may write snowflakes as integers, as discord.py does and Discord
    accepts. A union whose branches differ by `type` is checked against the branch of that type only, so that the
    complaint is about the intended branch. The codes inside a form error are strings, as Discord sends them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._document = _read(path)
        self.violations: list[Violation] = []

    def check_request(self, method: str, route: str, body: Any) -> tuple[Complaint, ...]:
        """The errors in the JSON of a request (in a multipart request: in its `payload_json`)."""
        if method.lower() not in self._document.routes.get(route, {}):
            unknown = Complaint((), "UNKNOWN_ROUTE", f"The document has no {method} {route}.")
            self.violations.append(Violation("request", method, route, (unknown,)))
            return (unknown,)
        return self._check("request", method, route, (method.lower(), "requestBody", *JSON_SCHEMA), body)

    def check_answer(self, method: str, route: str, status: int, body: Any) -> tuple[Complaint, ...]:
        """The errors in an answer, which are bugs of the stand-in."""
        if body is None:
            return ()
        pointer: tuple[str, ...] = (method.lower(), "responses", str(status), *JSON_SCHEMA)
        if 400 <= status < 500 and status != 429:
            pointer = ("#", "ErrorResponse")
        return self._check("answer", method, route, pointer, body)

    def _check(self, whose: str, method: str, route: str, pointer: tuple[str, ...], body: Any) -> tuple[Complaint, ...]:
        seen = (whose, route, pointer, _VALUES.sub('"0"', json.dumps(body)))
        if seen in self._document.accepted:
            return ()
        validator = _validator(self._path, whose, route, pointer)
        errors = () if validator is None else _relevant_errors(validator.iter_errors(body))
        complaints = tuple(map(_complaint, errors))
        if not complaints:
            self._document.accepted.add(seen)
        if complaints:
            self.violations.append(Violation(whose, method, route, complaints))
        return complaints


@dataclass(frozen=True)
class _Document:
    """The routes of a document, and its schemas prepared for requests and for answers.

    accepted: bodies without errors, with `_VALUES` replaced. Checking a body is slow, and every start of a bot sends
    and receives the same ones.
    """

    routes: JSON
    for_requests: Registry[Any]
    for_answers: Registry[Any]
    accepted: set[tuple[str, str, tuple[str, ...], str]] = field(default_factory=set)


@functools.cache
def _validator(path: Path, whose: str, route: str, pointer: tuple[str, ...]) -> Any:
    document = _read(path)
    registry = document.for_requests if whose == "request" else document.for_answers
    if pointer[0] == "#":
        return _Validator({"$ref": f"discord#/components/schemas/{pointer[1]}"}, registry=registry)
    steps = (route, *pointer)
    node: Any = document.routes
    for step in steps:
        node = node.get(step) if isinstance(node, dict) else None
    if node is None:
        return None
    escaped = "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)
    return _Validator({"$ref": f"discord#/paths/{escaped}"}, registry=registry)


@functools.cache
def _read(path: Path) -> _Document:
    document = json.loads(path.read_text(encoding="utf-8"))
    schemas = document["components"]["schemas"]
    schemas["InnerErrors"]["properties"]["_errors"]["items"] = {"type": "object"}
    for_answers = _registry(document)
    schemas["SnowflakeType"] = _SNOWFLAKE_IN_REQUESTS
    return _Document(document["paths"], _registry(document), for_answers)


def _registry(document: JSON) -> Registry[Any]:
    schemas = document["components"]["schemas"]
    resource = Resource.from_contents(_discriminate_by_type(document, schemas), default_specification=DRAFT202012)
    empty: Registry[Any] = Registry()
    registry: Registry[Any] = empty.with_resource("discord", resource)
    return registry


def _discriminate_by_type(node: Any, schemas: JSON) -> Any:
    if isinstance(node, list):
        return [_discriminate_by_type(item, schemas) for item in node]
    if not isinstance(node, dict):
        return node
    rewritten = {key: _discriminate_by_type(value, schemas) for key, value in node.items()}
    for keyword in ("oneOf", "anyOf"):
        branches = node.get(keyword)
        if isinstance(branches, list) and (chosen := _union_by_type(branches, schemas)):
            del rewritten[keyword]
            rewritten = {"allOf": [rewritten, chosen]} if rewritten else chosen
    return rewritten


def _union_by_type(branches: list[Any], schemas: JSON) -> JSON | None:
    """The union as a list of constants or as one branch per type; None if it is neither."""
    if all("const" in branch for branch in branches):
        return {"constants": [branch["const"] for branch in branches]}
    nullable = {"type": "null"} in branches
    named = [branch for branch in branches if branch != {"type": "null"}]
    if nullable and len(named) == 1:
        return {"unlessNull": named[0]}
    types = [_types_of(branch, schemas) for branch in named]
    if any(kinds is None for kinds in types):
        return None
    all_kinds = sorted({kind for kinds in types for kind in kinds or ()})
    if len(all_kinds) != sum(len(kinds or ()) for kinds in types):
        return None
    by_type: JSON = {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": all_kinds}},
        "byType": {str(kind): branch for kinds, branch in zip(types, named, strict=True) for kind in kinds or ()},
    }
    return {"unlessNull": by_type} if nullable else by_type


def _check_unless_null(validator: Any, schema: JSON, body: Any, _parent: JSON) -> Iterator[ValidationError]:
    if body is not None:
        yield from validator.descend(body, schema)


def _check_by_type(validator: Any, branches: JSON, body: Any, _parent: JSON) -> Iterator[ValidationError]:
    branch = branches.get(str(body.get("type"))) if isinstance(body, dict) else None
    if branch is not None:
        yield from validator.descend(body, branch)


def _check_constants(_validator: Any, constants: list[Any], body: Any, _parent: JSON) -> Iterator[ValidationError]:
    if not any(body == constant and isinstance(body, bool) == isinstance(constant, bool) for constant in constants):
        yield ValidationError(f"{body!r} is not one of {constants!r}")


#: With our own keywords for unions. JSON Schema's own means, `if` and `then`, would be many times slower.
_Validator: Any = validators.extend(
    Draft202012Validator, {"constants": _check_constants, "unlessNull": _check_unless_null, "byType": _check_by_type}
)


def _types_of(branch: JSON, schemas: JSON) -> list[int] | None:
    schema = schemas.get(branch.get("$ref", "").rsplit("/", 1)[-1], {})
    kinds = schema.get("properties", {}).get("type", {}).get("enum")
    return kinds if kinds and all(isinstance(kind, int) for kind in kinds) else None


def _relevant_errors(errors: Iterator[ValidationError]) -> Iterator[ValidationError]:
    """Yields the errors; for a failed union, those of the branch that was most likely intended."""
    for error in errors:
        branches: dict[int, list[ValidationError]] = {}
        for inner in error.context or ():
            branches.setdefault(inner.relative_schema_path[0], []).append(inner)
        if not branches or all(inner.validator == "const" for inner in error.context):
            yield error
        else:
            meant: list[ValidationError] = min(branches.values(), key=_wrong_types)
            yield from _relevant_errors(iter(meant))


def _wrong_types(errors: list[Any]) -> int:
    return sum(error.validator == "type" for error in errors)


def _complaint(error: ValidationError) -> Complaint:
    path = tuple(error.absolute_path)
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return Complaint((*path, missing), "BASE_TYPE_REQUIRED", "This field is required")
    if error.validator == "constants":
        allowed = ", ".join(map(str, error.validator_value))
        return Complaint(path, "BASE_TYPE_CHOICES", f"Value must be one of ({allowed}).")
    if error.validator in ("oneOf", "anyOf"):
        allowed = ", ".join(str(branch["const"]) for branch in error.validator_value if "const" in branch)
        return Complaint(path, "BASE_TYPE_CHOICES", f"Value must be one of ({allowed}).")
    message = error.message if len(error.message) < 300 else f"{error.message[:140]} … {error.message[-140:]}"
    return Complaint(path, _COMPLAINT_CODES.get(str(error.validator), "BASE_TYPE_INVALID"), message)
