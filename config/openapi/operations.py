"""Completes one call: its problems, headers, examples, and the scope it needs."""

import json
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from config.openapi.examples import Examples, path_example
from config.openapi.headers import LIMITS, headers
from config.openapi.problem_examples import problem_example
from config.problems import PROBLEMS
from orders.versions import CURRENT, VERSIONS

Part = dict[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
EVERY_CALL = (
    "unknown_version",
    "authentication_required",
    "invalid_key",
    "not_acceptable",
    "rate_limited",
    "headers_too_large",
    "internal_error",
    "service_degraded",
)
WITH_BODY = ("malformed_request", "request_timeout", "payload_too_large", "unsupported_media_type", "validation_failed")
UNKNOWN_CALLER = ("401", "408", "431", "500", "503")
"""Answers that may come before it is known who asks, and so without the limits."""
VERSION: Part = {
    "in": "header",
    "name": "Tandem-Version",
    "description": "The version of the API's form to answer in; without it, the one that your key is pinned to.",
    "schema": {"type": "string", "enum": list(VERSIONS)},
    "example": CURRENT,
}


def operations_of(document: Part) -> Iterator[tuple[str, str, Part]]:
    """Yield method, path and description of every call."""
    for path, calls in document["paths"].items():
        for method in METHODS:
            if method in calls:
                yield method, path, calls[method]


def complete_operation(path: str, operation: Part, examples: Examples) -> None:
    """Complete the call at `path`."""
    parameters = operation.setdefault("parameters", [])
    parameters.append(deepcopy(VERSION))
    for parameter in parameters:
        _show_parameter(parameter, examples)
    where = _example_path(path, parameters)
    codes = _problems(operation)
    _require_scope(operation)
    if "requestBody" in operation:
        operation["requestBody"]["required"] = operation["x-body-required"]
        _show_content(operation["requestBody"]["content"], examples)
    names = {parameter["name"] for parameter in parameters}
    for status, response in operation["responses"].items():
        _show_content(response.get("content", {}), examples)
        response["headers"] = headers("X-Correlation-ID", "Tandem-Version", *_headers_of(status, names))
    if "If-None-Match" in names:
        operation["responses"]["304"] = {
            "description": "Nothing has changed.",
            "headers": headers("X-Correlation-ID", "Tandem-Version", "ETag", *LIMITS),
        }
    operation["responses"].update(_problem_responses(codes, where))
    for name in ("x-problems", "x-body-required"):
        operation.pop(name, None)


def _problems(operation: Part) -> set[str]:
    codes = {*EVERY_CALL, *operation.get("x-problems", ())}
    if operation.get("x-scope"):
        codes.add("insufficient_scope")
    if "requestBody" in operation:
        codes.update(WITH_BODY)
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]):
        codes.update(("malformed_request", "idempotency_in_progress", "idempotency_key_reused"))
    return codes


def _require_scope(operation: Part) -> None:
    scope = operation.get("x-scope")
    if scope:
        operation["security"] = [{"apiKey": [scope]}]
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the scope `{scope}`.".strip()


def _headers_of(status: str, parameters: set[str]) -> list[str]:
    return [
        "ETag",
        *LIMITS,
        *(["Location"] if status == "201" else []),
        *(["Idempotent-Replayed"] if "Idempotency-Key" in parameters else []),
        *(["Preference-Applied"] if "Prefer" in parameters else []),
    ]


def _show_parameter(parameter: Part, examples: Examples) -> None:
    name, schema = parameter["name"], parameter["schema"]
    if schema.get("type") == "string" and not schema.keys() & {"enum", "maxLength"}:
        schema["maxLength"] = 1_000
    if schema.get("type") == "integer":
        schema.setdefault("format", "int32")
    if parameter["in"] == "path":
        parameter["example"] = path_example(name, parameter.get("description", ""))
    else:
        parameter["example"] = examples.of(schema, name)


def _show_content(content: Part, examples: Examples) -> None:
    for kind, media in content.items():
        if kind == "application/json":
            media["example"] = examples.of(media["schema"])
    if "text/event-stream" in content:
        shown = json.dumps(content["application/json"]["example"])
        media = content["text/event-stream"]
        media["schema"]["maxLength"] = 1_000_000_000
        media["example"] = f"id: 5f0c9d2ab17e44c1a03b6d58\nevent: progress\ndata: {shown}\n\n"


def _example_path(path: str, parameters: list[Part]) -> str:
    for parameter in parameters:
        path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    return path


def _problem_responses(codes: set[str], where: str) -> Part:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in sorted(codes):
        by_status[PROBLEMS[code].status].append(code)
    return {str(status): _problem_response(of_status, where) for status, of_status in sorted(by_status.items())}


def _problem_response(codes: list[str], where: str) -> Part:
    shown = {code: {"summary": PROBLEMS[code].title, "value": problem_example(code, where)} for code in codes}
    retry_after = ["Retry-After"] if any(PROBLEMS[code].retry_after for code in codes) else []
    limits = [] if str(PROBLEMS[codes[0]].status) in UNKNOWN_CALLER else LIMITS
    return {
        "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in codes),
        "headers": headers("X-Correlation-ID", *retry_after, *limits),
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": shown}
        },
    }
