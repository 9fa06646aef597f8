"""Business rules stand in one model that both halves use: doors and handlers translate, and decide nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.requirement("M22")

ROOT = Path(__file__).resolve().parents[2]
APPS = ("orders", "payments", "fulfillment")
EDGES = ("handlers", "process", "sagas", "api", "views", "forms", "serializers", "admin")
"""Rooms in which requests and messages come in."""
RULES = ("orders.pricing", "orders.routes", "fulfillment.planning", "payments.money", "outbox.machines")
MACHINES = {"ORDER", "PAYMENT", "OPERATION", "RESERVATION", "CONSIGNMENT", "SHIPMENT"}
ONLY_WORDS = {("orders/serializers.py", "orders.pricing.plain")}
"""What looks like a rule and is not: how an amount is written."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def is_edge(name: str) -> bool:
    return Path(name).parts[1].removesuffix(".py") in EDGES


def test_no_door_and_no_handler_has_a_rule_of_its_own_or_asks_one_past_the_services():
    edges = [(name, tree) for name, tree in sources() if is_edge(name)]
    assert {Path(name).parts[1] for name, _ in edges} >= {"handlers.py", "process.py", "api", "views.py", "admin.py"}
    asked = {
        (name, f"{module}.{imported}")
        for name, tree in edges
        for module, imported in imports(tree)
        if module in RULES or (module.endswith(".states") and imported in MACHINES)
    }
    assert asked - ONLY_WORDS == set()


def writes_a_state(node: ast.AST) -> bool:
    """Whether `node` is `….status = …` or `….update(status=…)`."""
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Attribute) and target.attr == "status" for target in node.targets)
    updates = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update"
    return updates and any(keyword.arg == "status" for keyword in node.keywords)


def test_a_state_is_written_by_the_models_only_which_ask_the_table_first():
    written = {name for name, tree in sources() if any(writes_a_state(node) for node in ast.walk(tree))}
    assert {"orders/models.py", "payments/models.py"} <= written <= {f"{app}/models.py" for app in APPS}
