"""The house's measures: short files, short functions, imports at the top."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]
APPS = ("config", "orders", "payments", "fulfillment", "outbox")
SOURCES = sorted(path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts)
LONGEST_FILE, LONGEST_FUNCTION, USUAL_FUNCTION = 400, 50, 20


def functions() -> Iterator[tuple[str, int]]:
    """Every function as (place, lines without its docstring)."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                documented = ast.get_docstring(node) is not None
                prose = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
                yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1 - prose


def test_no_file_is_longer_than_can_be_held_in_the_head():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen_and_most_are_much_shorter():
    lengths = dict(functions())
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}
    assert sorted(lengths.values())[int(len(lengths) * 0.9)] <= USUAL_FUNCTION


@pytest.mark.parametrize("app", APPS)
def test_no_transaction_is_opened_per_request_or_inside_a_service(app):
    sources = {path: path.read_text() for path in SOURCES if path.is_relative_to(ROOT / app)}
    opened = {
        str(path.relative_to(ROOT))
        for path, text in sources.items()
        if "transaction.atomic" in text or "ATOMIC_REQUESTS" in text
    }
    assert opened <= {"outbox/publishing.py"}


@pytest.mark.requirement("M8")
def test_every_decision_is_made_on_the_primary():
    """A replica lags: what it says may have been decided otherwise since."""
    assert set(settings.DATABASES) == {"default"}
    assert settings.DATABASE_ROUTERS == []
    elsewhere = re.compile(r"\.using\(|\busing=|connections\[")
    assert [str(path.relative_to(ROOT)) for path in SOURCES if elsewhere.search(path.read_text())] == []
