"""From a JSON document to a request type, or to the list of everything that is wrong with it."""

import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec

from orders.api.reading import escaped
from orders.errors import FieldError, ValidationFailed
from orders.requests import END, Request

R = TypeVar("R", bound=Request)

_NAMES = {
    "str": "a text",
    "int": "an integer",
    "float": "a number with a decimal point",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_KINDS = (
    (re.compile(r"Expected `([^`]+)`, got `(\w+)`"), "invalid_type", "This has to be {}, not {}."),
    (re.compile(r"Expected `int` >= (\S+)"), "too_small", "This has to be at least {}."),
    (re.compile(r"Expected `int` <= (\S+)"), "too_large", "This may be at most {}."),
    (re.compile(r"Expected `str` of length >= (\d+)"), "too_short", "This needs at least {} characters."),
    (re.compile(r"Expected `str` of length <= (\d+)"), "too_long", "This may have at most {} characters."),
    (re.compile(r"Expected `(?:array|object)` of length >= (\d+)"), "too_few", "This needs at least {} entries."),
    (re.compile(r"Expected `(?:array|object)` of length <= (\d+)"), "too_many", "This may have at most {} entries."),
    (
        re.compile(r"Invalid RFC3339 encoded datetime|Expected `datetime` with a timezone"),
        "invalid_format",
        "This has to be a time as RFC 3339 writes it, such as 2026-01-31T12:00:00Z.",
    ),
    (re.compile(r"Expected `str` matching regex '(.*)'"), "invalid_format", "This has to match {}."),
)


def convert(document: Mapping[str, Any], kind: type[R]) -> R:
    """Return the document as a value of `kind`. Raises ValidationFailed with everything that is wrong."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError:
        raise ValidationFailed(list(_faults(document, kind, ""))) from None


def _faults(value: object, kind: Any, pointer: str) -> Iterator[FieldError]:
    """Yield what is wrong with `value`, down to the smallest parts that can be named."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        inner = list(_faults_inside(value, _bare(kind), pointer))
        yield from inner or [_described(str(error), pointer)]


def _bare(kind: Any) -> Any:
    """Strip bounds and `| None` from an annotation."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif get_origin(kind) is types.UnionType or str(get_origin(kind)) == "typing.Union":
            kind = next(part for part in get_args(kind) if part is not types.NoneType)
        else:
            return kind


def _faults_inside(value: object, kind: Any, pointer: str) -> Iterator[FieldError]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
        yield from _faults_of_members(value, kind, pointer)
    elif get_origin(kind) is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, get_args(kind)[0], f"{pointer}/{index}")
    elif get_origin(kind) is dict and isinstance(value, dict):
        of_key, of_value = get_args(kind)
        for key, item in value.items():
            yield from _faults(key, of_key, f"{pointer}/{escaped(key)}")
            yield from _faults(item, of_value, f"{pointer}/{escaped(key)}")


def _faults_of_members(value: Mapping[str, object], kind: type[msgspec.Struct], pointer: str) -> Iterator[FieldError]:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, field in fields.items():
        if name in value:
            yield from _faults(value[name], field.type, f"{pointer}/{name}")
        elif field.required:
            yield FieldError(f"{pointer}/{name}", "required", f"The field {name} is required.")
    for name in value:
        if name not in fields:
            known = ", ".join(fields)
            detail = f"There is no field {name[:40]!r} here; there are {known}."
            yield FieldError(f"{pointer}/{escaped(name)}", "unknown_field", detail)


def _described(message: str, pointer: str) -> FieldError:
    for pattern, code, sentence in _KINDS:
        found = pattern.match(message)
        if found:
            words = [_in_words(part) for part in found.groups()]
            return FieldError(pointer, code, sentence.format(*words))
    return FieldError(pointer, "invalid", f"{message}.")


def _in_words(part: str) -> str:
    if part in _NAMES or " | " in part:
        return " or ".join(_NAMES.get(name, name) for name in part.split(" | "))
    return part.replace(END.replace("\\", "\\\\"), "$").replace("\\\\", "\\")
