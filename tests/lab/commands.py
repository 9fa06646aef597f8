from datetime import timedelta
from uuid import UUID

from outbox.contracts import Command, Event, Semantics, contract


@contract("lab.note", version=1, owner="lab", aggregate="bench", key="bench_id")
class Note(Command):
    """Write one effect."""

    bench_id: UUID
    number: int
    behaviour: str = ""
    """"" | fail | fail_once | permanent | die | die_once | slow | snooze"""


@contract("lab.noted", version=1, owner="lab", aggregate="bench", key="bench_id")
class Noted(Event):
    """An effect was written."""

    bench_id: UUID
    number: int


@contract("lab.call", version=1, owner="lab", aggregate="bench", key="bench_id", semantics=Semantics.AT_LEAST_ONCE)
class Call(Command):
    """Call someone outside."""

    bench_id: UUID
    number: int
    behaviour: str = ""
    """"" | transient | transient_once | unknown | crash | throttled | permanent | skip | slow | wait | prepare_fails |
    record_fails | record_fails_once | hook_fails"""


@contract("lab.call_too", version=1, owner="lab", aggregate="bench", key="bench_id", semantics=Semantics.AT_LEAST_ONCE)
class CallToo(Call):
    """Call the same one for another reason."""


@contract(
    "lab.shout",
    version=1,
    owner="lab",
    aggregate="bench",
    key="bench_id",
    semantics=Semantics.AT_MOST_ONCE,
    expires_after=timedelta(minutes=5),
)
class Shout(Command):
    """Shout something that nobody wants to hear twice."""

    bench_id: UUID
    number: int
    behaviour: str = ""


@contract("lab.single", version=1, owner="lab", aggregate="bench", key="bench_id")
class Single(Command):
    """Write one effect, one message a transaction."""

    bench_id: UUID
    number: int
    behaviour: str = ""


@contract("lab.gather", version=1, owner="lab", aggregate="bench", key="bench_id")
class Gather(Command):
    """Write one effect, together with others."""

    bench_id: UUID
    number: int
    behaviour: str = ""


@contract("lab.idle", version=1, owner="lab", aggregate="bench", key="bench_id")
class Idle(Command):
    """Do nothing."""

    bench_id: UUID
    number: int
