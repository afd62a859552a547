"""Checks requests and answers against Discord's own OpenAPI document, where a test has it.

Source of the document: https://github.com/discord/discord-api-spec (`specs/openapi.json`, OpenAPI 3.1, MIT licence).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from bot.sandbox.model.errors import JSON

_SNOWFLAKE_IN_REQUESTS: JSON = {
    "oneOf": [{"type": "string", "pattern": "^(0|[1-9][0-9]*)$"}, {"type": "integer", "minimum": 0}]
}
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


@dataclass(frozen=True)
class Complaint:
    """One place where a body is not what the document says."""

    path: tuple[str | int, ...]
    code: str
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'body'}: {self.message}"


@dataclass(frozen=True)
class Violation:
    """A request or an answer with something wrong in it; `whose` is "request" or "answer"."""

    whose: str
    method: str
    route: str
    complaints: tuple[Complaint, ...]

    def __str__(self) -> str:
        return f"{self.whose} of {self.method} {self.route}: " + "; ".join(map(str, self.complaints))


class OpenApi:
    """The document, ready to check bodies by method and route template (`/channels/{channel_id}/messages`).

    Three things differ from the document. Requests may write snowflakes as integers, as discord.py does and Discord
    takes. A union whose branches differ by `type` is checked against the branch of that type only, so that the
    complaint is about what was meant. The codes inside a form error are strings, as Discord sends them.
    """

    def __init__(self, path: Path) -> None:
        self._paths, self._for_requests, self._for_answers = _read(path)
        self._validators: dict[tuple[str, ...], Draft202012Validator | None] = {}
        self.violations: list[Violation] = []

    def check_request(self, method: str, route: str, body: Any) -> tuple[Complaint, ...]:
        """What is wrong with the JSON of a request (of a multipart request: with its `payload_json`)."""
        if method.lower() not in self._paths.get(route, {}):
            unknown = Complaint((), "UNKNOWN_ROUTE", f"The document has no {method} {route}.")
            self.violations.append(Violation("request", method, route, (unknown,)))
            return (unknown,)
        pointer = (method.lower(), "requestBody", "content", "application/json", "schema")
        return self._check("request", method, route, pointer, body, self._for_requests)

    def check_answer(self, method: str, route: str, status: int, body: Any) -> tuple[Complaint, ...]:
        """What is wrong with an answer: the stand-in's own fault."""
        if body is None:
            return ()
        pointer: tuple[str, ...] = (method.lower(), "responses", str(status), "content", "application/json", "schema")
        if 400 <= status < 500 and status != 429:
            pointer = ("#", "ErrorResponse")
        return self._check("answer", method, route, pointer, body, self._for_answers)

    def _check(
        self, whose: str, method: str, route: str, pointer: tuple[str, ...], body: Any, registry: Registry[Any]
    ) -> tuple[Complaint, ...]:
        key = (whose, route, *pointer)
        if key not in self._validators:
            self._validators[key] = self._validator(route, pointer, registry)
        validator = self._validators[key]
        if validator is None:
            return ()
        complaints = tuple(_complaint(error) for error in _relevant_errors(validator.iter_errors(body)))
        if complaints:
            self.violations.append(Violation(whose, method, route, complaints))
        return complaints

    def _validator(self, route: str, pointer: tuple[str, ...], registry: Registry[Any]) -> Draft202012Validator | None:
        if pointer[0] == "#":
            return Draft202012Validator({"$ref": f"discord#/components/schemas/{pointer[1]}"}, registry=registry)
        steps = (route, *pointer)
        node: Any = self._paths
        for step in steps:
            node = node.get(step) if isinstance(node, dict) else None
        if node is None:
            return None
        escaped = "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)
        return Draft202012Validator({"$ref": f"discord#/paths/{escaped}"}, registry=registry)


@functools.cache
def _read(path: Path) -> tuple[JSON, Registry[Any], Registry[Any]]:
    """The document's paths, and its schemas prepared for requests and for answers."""
    document = json.loads(path.read_text())
    schemas = document["components"]["schemas"]
    schemas["InnerErrors"]["properties"]["_errors"]["items"] = {"type": "object"}
    for_answers = _registry(document)
    schemas["SnowflakeType"] = _SNOWFLAKE_IN_REQUESTS
    return document["paths"], _registry(document), for_answers


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
    """The union as "if the type is this, then that branch", or None where the branches do not differ by `type`."""
    nullable = {"type": "null"} in branches
    named = [branch for branch in branches if branch != {"type": "null"}]
    if nullable and len(named) == 1:
        return {"if": {"type": "null"}, "then": {}, "else": named[0]}
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
        "allOf": [
            {"if": {"type": "object", "properties": {"type": {"enum": kinds}}, "required": ["type"]}, "then": branch}
            for kinds, branch in zip(types, named, strict=True)
        ],
    }
    return {"if": {"type": "null"}, "then": {}, "else": by_type} if nullable else by_type


def _types_of(branch: JSON, schemas: JSON) -> list[int] | None:
    schema = schemas.get(branch.get("$ref", "").rsplit("/", 1)[-1], {})
    kinds = schema.get("properties", {}).get("type", {}).get("enum")
    return kinds if kinds and all(isinstance(kind, int) for kind in kinds) else None


def _relevant_errors(errors: Iterator[ValidationError]) -> Iterator[ValidationError]:
    """Of a failed union the complaints of the branch that was meant; of everything else the complaint itself."""
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
    if error.validator in ("oneOf", "anyOf"):
        allowed = ", ".join(str(branch["const"]) for branch in error.validator_value if "const" in branch)
        return Complaint(path, "BASE_TYPE_CHOICES", f"Value must be one of ({allowed}).")
    message = error.message if len(error.message) < 300 else f"{error.message[:140]} … {error.message[-140:]}"
    return Complaint(path, _COMPLAINT_CODES.get(str(error.validator), "BASE_TYPE_INVALID"), message)
