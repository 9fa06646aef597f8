"""A saga of one step whose command is given up."""

from datetime import timedelta

import pytest

from outbox.sagas.definition import Reply, Step
from outbox.sagas.definition import Saga as Definition
from outbox.sagas.engine import register
from tests.lab.commands import Note, Noted

ONE_STEP = Definition(
    "lab.saga",
    version=1,
    key="bench_id",
    steps=(
        Step(
            "note",
            "Write the note",
            "the note",
            command=lambda data: Note(bench_id=data["bench_id"], number=1, behaviour="permanent"),
            success=Reply(Noted),
            deadline=timedelta(minutes=10),
        ),
    ),
)


@pytest.fixture
def told_of_saga() -> list[str]:
    """The saga is known; return what its observer is told."""
    told: list[str] = []
    register(ONE_STEP, lambda saga, change: told.append(change.kind))
    return told
