from uuid import UUID

from outbox.contracts import Command, contract


@contract("bench.touch", version=1, owner="bench", aggregate="bench", key="bench_id")
class Touch(Command):
    """Update one row."""

    bench_id: UUID
    number: int


@contract("bench.stamp", version=1, owner="bench", aggregate="bench", key="bench_id")
class Stamp(Command):
    """Note when you began."""

    bench_id: UUID
    number: int
