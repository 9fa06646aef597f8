"""What the OpenAPI document has to say of every call: `python -m config.openapi.rules` lists what is missing.

It reads the committed document only.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.openapi.examples import NO_EXAMPLE

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reference" / "openapi.json"
METHODS = ("get", "post", "put", "patch", "delete")
SHORTEST_DESCRIPTION = 40
EVERY_STATUS = ("401", "406", "500", "503")

Part = dict[str, Any]


def faults_of(document: Part) -> list[str]:
    """Return what is missing in the document, a sentence each, beginning with the name of the call."""
    calls = [(path, method, call) for path, methods in document["paths"].items() for method, call in methods.items()]
    return [
        f"{call.get('operationId', f'{method} {path}')}: {fault}"
        for path, method, call in calls
        if method in METHODS
        for fault in (*_of_call(call), *_of_parameters(call), *_of_body(call), *_of_answers(call))
    ]


def _of_call(call: Part) -> Iterator[str]:
    said = call.get("description", "").partition("\n\n")[0]
    if len(said) < SHORTEST_DESCRIPTION:
        yield f"the docstring of the view's method has to explain the call to customers; it says {said!r}"
    if not call.get("summary") or not call.get("tags"):
        yield "has no summary or no tag"
    if not call.get("security"):
        yield "does not say how callers authenticate"
    missing = [status for status in EVERY_STATUS if status not in call["responses"]]
    if missing:
        yield f"does not tell of the answers {', '.join(missing)}"


def _of_parameters(call: Part) -> Iterator[str]:
    for parameter in call.get("parameters", ()):
        if not parameter.get("description"):
            yield f"the parameter {parameter['name']} has no description"
        if parameter.get("example", NO_EXAMPLE) == NO_EXAMPLE:
            yield (
                f"the parameter {parameter['name']} has no example: name it in NAMED of config/openapi/examples.py, or "
                "show the prefix of the id in its description, as in `ord_…`"
            )


def _of_body(call: Part) -> Iterator[str]:
    yield from _of_content("the body", call.get("requestBody", {}).get("content", {}))


def _of_answers(call: Part) -> Iterator[str]:
    for status, answer in call["responses"].items():
        if not answer.get("description"):
            yield f"the answer {status} has no description"
        if "X-Correlation-ID" not in answer.get("headers", {}):
            yield f"the answer {status} does not tell of its headers"
        if status.startswith("2") and "RateLimit" not in answer.get("headers", {}):
            yield f"the answer {status} does not tell of the caller's limits"
        yield from _of_content(f"the answer {status}", answer.get("content", {}))
        if int(status) >= 400:
            yield from _of_problem(status, answer)


def _of_problem(status: str, answer: Part) -> Iterator[str]:
    shown = answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    told = re.findall(r"`(\w+)`:", answer["description"])
    if not told or set(told) != set(shown):
        yield f"the answer {status} tells of {told} and shows {sorted(shown)}"


def _of_content(where: str, content: Part) -> Iterator[str]:
    for kind, media in content.items():
        if kind in ("application/json", "text/event-stream") and "example" not in media:
            yield f"{where} has no example"
        for pointer in _without_example(media.get("example")):
            yield (
                f"{where} has no example at {pointer or '/'}: give the field one where it is declared, "
                'Annotated[…, Meta(examples=["…"])]'
            )


def _without_example(value: Any, pointer: str = "") -> Iterator[str]:
    if value == NO_EXAMPLE:
        yield pointer
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from _without_example(member, f"{pointer}/{name}")


def main() -> int:
    """Print every fault of the committed document; 1 when there is one."""
    faults = faults_of(json.loads(DOCUMENT.read_text()))
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
