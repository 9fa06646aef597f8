"""Pages by key: stable while rows are added, and as fast on the last page as on the first.

A cursor is the key of the row at a page's edge, opaque to customers and checked when it comes back.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from orders.errors import FieldError, InvalidCursor, ValidationFailed

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

M = TypeVar("M", bound=Model)


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A place in a list."""

    listing: str
    backwards: bool
    """The page ends before this place instead of starting after it."""
    key: tuple[str, ...]


@dataclass(frozen=True)
class Page(Generic[M]):
    """Some rows of a list and the ways on."""

    rows: Sequence[M]
    next: str | None
    previous: str | None


@dataclass(frozen=True)
class Listing(Generic[M]):
    """A list with its order: by `columns`, all in one direction, the last of them unique."""

    name: str
    columns: tuple[str, ...]
    parsers: tuple[Callable[[str], Any], ...]
    """Read each column's text in a cursor back; raise ValueError for nonsense."""
    descending: bool = False

    def page(self, request: HttpRequest, rows: QuerySet[M], url: str) -> Page[M]:
        """Return the page of `rows` that the request asks for. Raises InvalidCursor, ValidationFailed."""
        limit = self.limit(request)
        cursor = self.cursor(request)
        backwards = cursor is not None and cursor.backwards
        if cursor is not None:
            rows = rows.filter(self._beyond(cursor))
        descending = self.descending != backwards
        found = list(rows.order_by(*(f"-{c}" if descending else c for c in self.columns))[: limit + 1])
        more, found = len(found) > limit, found[:limit]
        if backwards:
            found.reverse()
        has_next, has_previous = (True, more) if backwards else (more, cursor is not None)
        return Page(
            found,
            next=self._link(request, url, found[-1], backwards=False) if found and has_next else None,
            previous=self._link(request, url, found[0], backwards=True) if found and has_previous else None,
        )

    @staticmethod
    def limit(request: HttpRequest) -> int:
        """Return how many rows are asked for. Raises ValidationFailed."""
        text = request.GET.get("limit", str(DEFAULT_LIMIT))
        if text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MAX_LIMIT:
            return int(text)
        detail = f"limit has to be an integer from 1 to {MAX_LIMIT}."
        raise ValidationFailed([FieldError("?limit", "out_of_range", detail)])

    def cursor(self, request: HttpRequest) -> Cursor | None:
        """Return the place that the request names. Raises InvalidCursor."""
        text = request.GET.get("cursor")
        if text is None:
            return None
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            cursor = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=Cursor)
            self._key(cursor)
        except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, ValueError) as error:
            raise InvalidCursor("Take the cursor from next or previous of this list, as it is.") from error
        return cursor

    def _key(self, cursor: Cursor) -> tuple[Any, ...]:
        if cursor.listing != self.name or any("\0" in text for text in cursor.key):
            raise ValueError("another list's cursor")
        return tuple(parse(text) for parse, text in zip(self.parsers, cursor.key, strict=True))

    def _beyond(self, cursor: Cursor) -> Q:
        """Return the condition for the rows beyond the cursor, in a form that an index can follow."""
        less = self.descending != cursor.backwards
        strict, loose = ("lt", "lte") if less else ("gt", "gte")
        key = self._key(cursor)
        condition = Q(**{f"{self.columns[-1]}__{strict}": key[-1]})
        for column, value in list(zip(self.columns, key, strict=True))[-2::-1]:
            condition = Q(**{f"{column}__{loose}": value}) & (Q(**{f"{column}__{strict}": value}) | condition)
        return condition

    def _link(self, request: HttpRequest, url: str, row: M, *, backwards: bool) -> str:
        key = tuple(_text(getattr(row, column)) for column in self.columns)
        return link_to(request, url, self.place(*key, backwards=backwards))

    def place(self, *key: str, backwards: bool = False) -> str:
        """Return the cursor that names the place after (or before) the row with this key."""
        cursor = msgspec.json.encode(Cursor(self.name, backwards, key))
        return base64.urlsafe_b64encode(cursor).decode().rstrip("=")


def link_to(request: HttpRequest, url: str, cursor: str) -> str:
    """Return the link to the page at `cursor` of what the request asked for."""
    query = {name: value for name, value in request.GET.items() if name != "cursor"}
    return f"{url}?{urlencode({**query, 'cursor': cursor})}"


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
