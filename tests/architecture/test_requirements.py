"""The table of requirements and the tests' marks speak of the same rows."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "requirements.md"
ROW = re.compile(r"^\| (M\d+) \| (.+) \| (.+) \|$", re.MULTILINE)


def rows() -> dict[str, str]:
    """Each row's number, and where the table says it is shown."""
    return {number: shown for number, _, shown in ROW.findall(TABLE.read_text())}


@cache
def marks() -> dict[str, set[str]]:
    """Each number that a test carries, with the files that carry it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.requirement":
                for argument in node.args:
                    found[ast.literal_eval(argument)].add(str(path.relative_to(ROOT)))
    return found


def test_the_table_has_each_number_once():
    numbers = [number for number, _, _ in ROW.findall(TABLE.read_text())]
    assert numbers == [f"M{number}" for number in range(1, 47)]


def test_every_mark_is_a_row_of_the_table():
    assert set(marks()) <= set(rows())


def test_a_row_called_later_carries_no_mark_and_every_other_one_does():
    marked = set(marks())
    promised = {number for number, shown in rows().items() if not shown.startswith("later")}
    assert sorted(promised - marked) == [], "the table says that they are shown"
    assert sorted(marked - promised) == [], "the table says `later`, but a test shows them"


def test_every_place_that_the_table_names_exists():
    named = {name for shown in rows().values() for name in re.findall(r"`(tests/[^`]+)`", shown)}
    assert named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_places_that_the_table_names_show_the_row():
    lost = [
        (number, name)
        for number, shown in rows().items()
        for name in re.findall(r"`(tests/[^`]+)`", shown)
        if not any(path.startswith(name) for path in marks()[number])
    ]
    assert lost == []
