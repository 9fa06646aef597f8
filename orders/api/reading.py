"""Reading what customers send: strict, bounded, and with every fault named.

JSON is read as RFC 8259 means it and no further: no duplicate members, no NaN, no huge numbers, no text that the
database could not store, no depth that could exhaust a stack.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn, Protocol, cast

from django.http import HttpRequest
from rest_framework.exceptions import UnsupportedMediaType

from orders.errors import MalformedRequest, PayloadTooLarge

MAX_BYTES = 65_536
MAX_DEPTH = 32
MAX_NODES = 5_000
"""Members and entries, all together."""
MAX_INTEGER_DIGITS = 18


class SupportsRead(Protocol):
    """What a body is read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes."""


def read_document(request: HttpRequest) -> dict[str, Any]:
    """Return the request's body, a JSON object. Raises MalformedRequest, PayloadTooLarge, UnsupportedMediaType."""
    body = _read_body(request)
    if not body:
        return {}
    _check_media(request)
    document = parse(body)
    if not isinstance(document, dict):
        raise MalformedRequest("The body has to be a JSON object.")
    return document


def _check_media(request: HttpRequest) -> None:
    charset = (request.content_params or {}).get("charset", "utf-8").strip('"').lower()
    if request.content_type != "application/json" or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(request.headers.get("Content-Type", "(none)"))
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType(f"Content-Encoding: {request.headers['Content-Encoding']}")


def _read_body(request: HttpRequest) -> bytes:
    try:
        body = _stream(request).read(MAX_BYTES + 1)
    except OSError as error:
        raise MalformedRequest("The body ended before it was complete. Send it again.") from error
    if len(body) > MAX_BYTES:
        raise PayloadTooLarge(f"The body may have up to {MAX_BYTES} bytes.")
    return body


def _stream(request: HttpRequest) -> SupportsRead:
    """Return where the body is read from: a chunked one has no length, and Django would take it for empty."""
    if request.META.get("CONTENT_LENGTH") or not request.META.get("wsgi.input_terminated"):
        return request
    stream: SupportsRead = request.META["wsgi.input"]
    return stream


def parse(body: bytes) -> object:
    """Return the JSON document in `body`. Raises MalformedRequest, which says what is wrong and where."""
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique_members,
            parse_constant=_refuse_constant,
            parse_int=_bounded_integer,
            parse_float=_bounded_float,
        )
    except UnicodeDecodeError as error:
        raise MalformedRequest("The body is not UTF-8.") from error
    except json.JSONDecodeError as error:
        raise MalformedRequest(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise MalformedRequest(f"The body is nested deeper than {MAX_DEPTH} levels.") from error
    _check_depth(document)
    if b"\\u" in body:
        _check_texts(document)
    return cast("object", document)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedRequest(f"The body has the member {twice[:40]!r} twice in one object.")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedRequest(f"The body has {name}, which is not JSON.")


def _bounded_integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise MalformedRequest(f"The body has an integer of more than {MAX_INTEGER_DIGITS} digits.")
    return int(digits)


def _bounded_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise MalformedRequest("The body has a number that is too large.")
    return number


def _check_depth(document: object) -> None:
    level, depth, nodes = [document], 0, 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise MalformedRequest(f"The body is nested deeper than {MAX_DEPTH} levels.")
        children = [child for node in level for child in _children(node)]
        nodes += len(children)
        if nodes > MAX_NODES:
            raise MalformedRequest(f"The body has more than {MAX_NODES} members and entries.")
        level = [child for child in children if isinstance(child, dict | list)]


def _children(node: object) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def _texts(node: object, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text with the pointer to where it stands; a member's name stands where its object does."""
    if isinstance(node, str):
        yield node, pointer
    elif isinstance(node, dict):
        for name, child in node.items():
            yield name, pointer
            yield from _texts(child, f"{pointer}/{escaped(name)}")
    elif isinstance(node, list):
        for place, child in enumerate(node):
            yield from _texts(child, f"{pointer}/{place}")


def escaped(name: str) -> str:
    """Return a member's name as a part of a JSON Pointer, shortened, and without half characters."""
    plain = name[:40].encode("utf-8", "replace").decode()
    return plain.replace("~", "~0").replace("/", "~1")


def _check_texts(document: object) -> None:
    for text, pointer in _texts(document):
        if "\0" in text:
            raise MalformedRequest(f"A text at {pointer or '/'} has the character U+0000, which cannot be stored.")
        if re.search("[\ud800-\udfff]", text):
            raise MalformedRequest(f"A text at {pointer or '/'} has half of a surrogate pair, which is not Unicode.")
