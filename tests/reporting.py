"""Ends the suite with the requirement rows it covered and the tests that were not run for want of a tool."""

import os
from collections import defaultdict

import pytest

_covered: dict[str, int] = defaultdict(int)
_missing: list[str] = []
MISSING = "needs "


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all", action="store_true", default=bool(os.environ.get("TANDEM_TEST_ALL")), help="long rows too"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        rows = [row for mark in item.iter_markers("requirement") for row in mark.args]
        item.user_properties.append(("requirements", rows))
        if item.get_closest_marker("slow") and not config.getoption("--all"):
            item.add_marker(pytest.mark.skip(reason="a long row: run it with --all"))


def needs(tool: str) -> None:
    """Report the running test as not run because `tool` is missing; a failure with TANDEM_REQUIRE_ALL=1."""
    if os.environ.get("TANDEM_REQUIRE_ALL") == "1":
        pytest.fail(f"{MISSING}{tool}, which is not installed")
    pytest.skip(f"{MISSING}{tool}, which is not installed")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        for name, rows in report.user_properties:
            if name == "requirements":
                for row in rows:
                    _covered[row] += 1
    if report.skipped and isinstance(report.longrepr, tuple) and MISSING in report.longrepr[2]:
        _missing.append(f"{report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = sorted(_covered, key=lambda row: (row[0], int(row[1:]) if row[1:].isdigit() else 0))
    if rows:
        terminalreporter.section("requirements covered")
        terminalreporter.write_line("  ".join(f"{row} ({_covered[row]})" for row in rows))
    if _missing:
        terminalreporter.section("NOT RUN: a tool is missing", red=True, bold=True)
        for line in _missing:
            terminalreporter.write_line(line)
