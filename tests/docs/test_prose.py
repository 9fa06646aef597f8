"""What the written pages point at exists: tests, files, headings."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from config.reference.data import APPS
from outbox.contracts import all_contracts
from outbox.models import DeliveryState

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TESTS = re.compile(r"`([\w/]+\.py)::(\w+)`")


@cache
def functions(path: Path) -> frozenset[str]:
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_every_test_that_the_failure_catalogue_names_exists():
    named = TESTS.findall((ROOT / "docs/reference/failures.md").read_text())
    assert len(named) > 50
    missing = [f"{path}::{name}" for path, name in named if name not in functions(ROOT / "tests" / path)]
    assert missing == []


def test_every_row_of_the_failure_catalogue_names_a_test():
    rows = re.findall(r"^\| (?!fault|---)(.*)$", (ROOT / "docs/reference/failures.md").read_text(), re.MULTILINE)
    assert [row for row in rows if not TESTS.search(row)] == []


def test_every_test_of_a_fault_is_in_the_failure_catalogue():
    named = set(TESTS.findall((ROOT / "docs/reference/failures.md").read_text()))
    written = {
        (str(path.relative_to(ROOT / "tests")), name)
        for folder in ("faults", "concurrency")
        for path in (ROOT / "tests" / folder).glob("test_*.py")
        for name in functions(path)
        if name.startswith("test_")
    }
    assert len(written) > 50
    assert sorted(written - named) == [], "each shows what happens in a failure: say it there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", prose(page))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.requirement("M40")
def test_the_vocabulary_explains_every_state_whose_name_does_not():
    page = (ROOT / "docs/why/vocabulary.md").read_text()
    explained = set(re.findall(r"^\| \*\*([\w ]+)\*\* \|", page, re.MULTILINE))
    words = {"leased": "lease", "dead": "dead letter"}
    states = {state.value for state in DeliveryState} - {"ready", "scheduled"}
    assert {words.get(state, state) for state in states} <= explained
    assert {"contract", "consumer", "destination", "breaker", "saga", "compensation", "pivot", "invariant"} <= explained


@pytest.mark.requirement("M40")
def test_every_contract_is_owned_by_the_app_that_declares_it():
    ours = [declared for declared in all_contracts() if declared.owner in APPS]
    assert len(ours) > 40
    assert [d.name for d in ours if not d.owner == d.name.partition(".")[0] == d.cls.__module__.partition(".")[0]] == []


@pytest.mark.requirement("M40")
def test_every_decision_is_one_page_under_its_number():
    names = sorted(path.name for path in (ROOT / "docs/decisions").glob("*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        title = (ROOT / "docs/decisions" / name).read_text().splitlines()[0]
        assert re.match(rf"# {int(name[:4])}\. \w", title), title


def test_the_licence_is_the_one_that_the_project_declares():
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
