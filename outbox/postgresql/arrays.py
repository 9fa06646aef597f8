"""Array parameters as text, for the few statements that every message passes through.

psycopg finds a dumper for each element of a list; with fifteen lists of one element each that took longer than
PostgreSQL needed for the rows. The statement has to say the type: `%s::uuid[]`.
"""

from collections.abc import Iterable


def array(values: Iterable[object]) -> str:
    """Return `values` as the text of a PostgreSQL array; None is NULL, anything else is written as str() writes it."""
    return "{" + ",".join(["NULL" if value is None else _quoted(str(value)) for value in values]) + "}"


def _quoted(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    return '"' + text.replace('"', '\\"') + '"'
