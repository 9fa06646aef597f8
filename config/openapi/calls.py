"""Every call as something to copy: with curl and in Python, made from the OpenAPI document's examples. Pure."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from config.openapi.operations import operations_of

Part = dict[str, Any]

PREPARED = """import os

import httpx

api = httpx.Client(
    base_url=os.getenv("TANDEM_URL", ""),
    headers={"Authorization": f"Bearer {os.getenv('TANDEM_KEY')}"},
    timeout=35.0,
)
"""
"""What every piece of Python begins with."""


WIDTH = 90


@dataclass(frozen=True)
class Call:
    """A call as the page shows it."""

    name: str
    group: str
    summary: str
    description: str
    address: str
    """Method and path, such as `GET /api/v1/orders/{order_id}`."""
    curl: str
    python: str
    status: str
    answer: str


def calls_of(document: Part) -> Iterator[Call]:
    """Yield every call of the document, in its order."""
    for method, path, operation in operations_of(document):
        parts = {part["name"]: str(part["example"]) for part in operation["parameters"] if part["in"] == "path"}
        where = path.format(**parts)
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        headers = {
            part["name"]: part["example"] for part in operation["parameters"] if part["name"] == "Idempotency-Key"
        }
        status, answer = next((s, a) for s, a in operation["responses"].items() if s.startswith("2"))
        shown = answer.get("content", {}).get("application/json", {}).get("example")
        yield Call(
            name=operation["operationId"],
            group=operation["tags"][0],
            summary=operation["summary"],
            description=operation["description"],
            address=f"{method.upper()} {path}",
            curl=_curl(method, where, headers, body),
            python=_python(method, where, headers, body),
            status=status,
            answer="" if shown is None else json.dumps(shown, indent=2, ensure_ascii=False),
        )


def _curl(method: str, path: str, headers: Part, body: Any) -> str:
    lines = [
        f'curl --fail-with-body -X {method.upper()} "$TANDEM_URL{path}"',
        '-H "Authorization: Bearer $TANDEM_KEY"',
        *(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()),
    ]
    if body is not None:
        written = shlex.quote(json.dumps(body, indent=2, ensure_ascii=False))
        lines += ["-H 'Content-Type: application/json'", f"-d {written}"]
    return " \\\n  ".join(lines)


def _python(method: str, path: str, headers: Part, body: Any) -> str:
    arguments = [json.dumps(path)]
    if headers:
        arguments.append(f"headers={_literal(headers, 1)}")
    if body is not None:
        arguments.append(f"json={_literal(body, 1)}")
    made = f"answer = api.{method}({', '.join(arguments)})"
    if len(made) > WIDTH or "\n" in made:
        made = f"answer = api.{method}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"
    return f"{made}\nanswer.raise_for_status()\n"


def _literal(value: Any, depth: int) -> str:
    """Return a JSON value as people write it in Python, over several lines where it is long."""
    flat = _flat(value)
    if len(flat) + 4 * depth <= WIDTH or not isinstance(value, dict | list):
        return flat
    rows = _rows(value, depth + 1)
    opened, closed = "{}" if isinstance(value, dict) else "[]"
    inner = "".join(f"{'    ' * (depth + 1)}{row},\n" for row in rows)
    return f"{opened}\n{inner}{'    ' * depth}{closed}"


def _rows(value: Any, depth: int) -> list[str]:
    if isinstance(value, dict):
        return [f"{json.dumps(name)}: {_literal(member, depth)}" for name, member in value.items()]
    return [_literal(item, depth) for item in value]


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_flat(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
