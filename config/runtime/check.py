"""`./tandem check`: every quality gate, then a table of what passed. `--write` first renews what can be generated."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.runtime.environment import check_environment
from config.runtime.files import ROOT

PYTHON = sys.executable
TOOLS = Path(sys.executable).parent


@dataclass(frozen=True)
class Gate:
    """A command that exits 0 when all is well, and the one that `--write` runs before it."""

    name: str
    command: Sequence[str]
    write: Sequence[str] = ()


def tool(name: str, *arguments: str) -> Sequence[str]:
    return [str(TOOLS / name), *arguments]


def manage(*arguments: str) -> Sequence[str]:
    return [PYTHON, "manage.py", *arguments]


def module(name: str, *arguments: str) -> Sequence[str]:
    return [PYTHON, "-m", f"config.runtime.{name}", *arguments]


GATES = [
    Gate("lint", tool("ruff", "check", ".", "tandem"), tool("ruff", "check", "--fix", ".", "tandem")),
    Gate("format", tool("ruff", "format", "--check", ".", "tandem"), tool("ruff", "format", ".", "tandem")),
    Gate("types", tool("mypy")),
    Gate("import rules", tool("lint-imports", "--no-cache")),
    Gate("migrations match the models", manage("makemigrations", "--check", "--dry-run")),
    Gate("deploy check", manage("check", "--deploy", "--fail-level", "WARNING")),
    Gate("contracts as published", manage("outbox", "contracts", "--check"), manage("outbox", "contracts", "--write")),
    Gate("reference pages", manage("reference"), manage("reference", "--write")),
    Gate("OpenAPI snapshot", module("openapi_snapshot", "--check"), module("openapi_snapshot")),
    Gate("OpenAPI rules", [PYTHON, "-m", "config.openapi.rules"]),
]


def check(arguments: Sequence[str]) -> int:
    """Run every gate, show the output of those that fail, and return 1 if any did."""
    if set(arguments) - {"--write"}:
        print("usage: ./tandem check [--write]", file=sys.stderr)
        return 2
    environment = check_environment()
    if arguments:
        for gate in filter(lambda gate: gate.write, GATES):
            subprocess.run(gate.write, cwd=ROOT, env=environment, check=False)
    results = [(gate.name, *passes(gate, environment)) for gate in GATES]
    width = max(len(gate.name) for gate in GATES)
    print()
    for name, passed, seconds in results:
        print(f"  {name:<{width}}  {'ok' if passed else 'FAILED':<6}  {seconds:5.1f} s")
    failed = sum(not passed for _, passed, _ in results)
    print(f"\n{failed} of {len(results)} gates failed." if failed else f"\nAll {len(results)} gates passed.")
    return 1 if failed else 0


def passes(gate: Gate, environment: Mapping[str, str]) -> tuple[bool, float]:
    print(f"… {gate.name}", flush=True)
    began = time.monotonic()
    result = subprocess.run(gate.command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(f"{result.stdout}{result.stderr}".rstrip(), flush=True)
    return result.returncode == 0, time.monotonic() - began
