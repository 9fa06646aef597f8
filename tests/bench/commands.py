from uuid import UUID

from outbox.contracts import Command, Semantics, contract


class Numbered(Command):
    """Do something with the row of that number."""

    bench_id: UUID
    number: int


@contract("bench.noop", version=1, owner="bench", aggregate="bench", key="bench_id")
class Noop(Numbered):
    """Do nothing."""


@contract("bench.update", version=1, owner="bench", aggregate="bench", key="bench_id")
class Update(Numbered):
    """Update one row by a cursor."""


@contract("bench.touch", version=1, owner="bench", aggregate="bench", key="bench_id")
class Touch(Numbered):
    """Update one row through the ORM."""


@contract("bench.many", version=1, owner="bench", aggregate="bench", key="bench_id")
class Many(Numbered):
    """Update one row, together with others."""


@contract("bench.forward", version=1, owner="bench", aggregate="bench", key="bench_id")
class Forward(Numbered):
    """Publish one new message."""


@contract("bench.forwarded", version=1, owner="bench", aggregate="bench", key="bench_id")
class Forwarded(Numbered):
    """The new message; its consumer is paused meanwhile."""


@contract("bench.call", version=1, owner="bench", aggregate="bench", key="bench_id", semantics=Semantics.AT_LEAST_ONCE)
class Call(Numbered):
    """Call someone who answers at once."""


@contract("bench.visit", version=1, owner="bench", aggregate="bench", key="bench_id", semantics=Semantics.AT_LEAST_ONCE)
class Visit(Numbered):
    """Call a server that takes its time."""

    url: str


@contract("bench.stamp", version=1, owner="bench", aggregate="bench", key="bench_id")
class Stamp(Numbered):
    """Note when you began."""


@contract("bench.placed", version=1, owner="bench", aggregate="bench", key="bench_id")
class Placed(Numbered):
    """Note when you began, while publishers are busy."""
