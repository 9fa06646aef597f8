"""Given the lab: its calls forgotten, its answers held back only where a test says so."""

import pytest

from outbox.engine import shift
from tests.lab import handlers, ordered
from tests.lab.trip import diary
from tests.shop import shop

__all__ = ["shop"]


@pytest.fixture(autouse=True)
def lab():
    """Forget what earlier tests did; let go whatever still waits for an answer."""
    handlers.calls.clear()
    handlers.called_at.clear()
    handlers.answers.clear()
    ordered.broken.clear()
    diary.changes.clear()
    diary.reasons.clear()
    yield handlers
    for answer in handlers.answers.values():
        answer.set()


@pytest.fixture
def hasty(monkeypatch):
    """Let a worker come back from its shift though calls are under way, as if their answers took minutes."""
    monkeypatch.setattr(shift, "LINGER_SECONDS", 0.0)
