"""What a saga is: steps as data, to be read aloud. Pure: imports no Django."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from outbox.contracts import Command, Event, Message, contract_of

Data = dict[str, Any]
Build = Callable[[Data], Command]


def always(_event: Any) -> bool:
    """The condition of a reply that needs none."""
    return True


@dataclass(frozen=True)
class Reply:
    """An event that a step waits for; `when` narrows it down."""

    event: type[Event]
    when: Callable[[Any], bool] = always
    key: str = ""
    """The field that carries the saga's key in this event, where it has another name than in the others."""

    def fits(self, message: Message) -> bool:
        """Tell whether `message` is this reply."""
        return isinstance(message, self.event) and self.when(message)


@dataclass(frozen=True)
class Compensation:
    """How a step is undone. Armed before the step's command is sent: it must tolerate that the command never
    happened, and that it happens late."""

    command: Build
    success: Reply
    failure: Reply | None = None
    """It cannot be undone: a person is asked at once."""


@dataclass(frozen=True)
class Step:
    """One step: what is asked, what is awaited, and how it is undone."""

    name: str
    label: str
    """For people: `Authorise payment`."""
    awaiting: str
    """For people: what we wait for while it runs."""
    success: Reply | None = None
    """None for a step that is done the moment the saga starts: it was part of the starting transaction."""
    failure: Reply | None = None
    command: Build | None = None
    """None for a step that only waits."""
    compensation: Compensation | None = None
    undo_on_failure: bool = True
    """Whether a failure reply leaves something to undo in this very step."""
    deadline: timedelta | None = None
    overdue: str = ""
    """For the customer: why the saga is undone when the deadline passes before the pivot."""
    when: Callable[[Data], bool] = always
    """Whether the step is part of this instance at all, from the saga's data."""
    pivot: bool = False
    """From the success of this step on, the saga only goes forward."""


@dataclass(frozen=True)
class Saga:
    """A definition. Running instances finish on the version they began with."""

    name: str
    version: int
    key: str
    """The field that carries the saga's key in every reply."""
    steps: tuple[Step, ...]
    by_name: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.by_name.update({step.name: position for position, step in enumerate(self.steps)})
        if len(self.by_name) != len(self.steps):
            raise ValueError(f"{self.name}: two steps have the same name")

    def first_open(self) -> int:
        """Return the position of the first step that is not done at the start."""
        return next(place for place, step in enumerate(self.steps) if step.success is not None)

    def following(self, position: int, data: Data) -> int | None:
        """Return the position of the step after `position` in an instance with `data`; None after the last one."""
        later = range(position + 1, len(self.steps))
        return next((place for place in later if self.steps[place].when(data)), None)

    def taken(self, data: Data) -> list[tuple[int, Step]]:
        """Return the steps, with their positions, that are part of an instance with `data`."""
        return [(place, step) for place, step in enumerate(self.steps) if step.when(data)]

    def past_pivot(self, position: int) -> bool:
        """Tell whether a saga at `position` can only go forward."""
        return any(step.pivot for step in self.steps[:position])

    def replies(self) -> list[type[Event]]:
        """Return every event that an instance may wait for."""
        return list(self.key_fields())

    def key_fields(self) -> dict[type[Event], str]:
        """Return every event that an instance may wait for, with the field in which it carries the saga's key."""
        found: dict[type[Event], str] = {}
        for step in self.steps:
            undo = step.compensation
            undone = (undo.success, undo.failure) if undo else ()
            for reply in (step.success, step.failure, *undone):
                if reply is not None:
                    found[reply.event] = reply.key or self.key
        return found

    def wanted_later(self, position: int, message: Message) -> bool:
        """Tell whether a step after `position` waits for `message`, which came early."""
        return any(
            reply is not None and reply.fits(message)
            for step in self.steps[position + 1 :]
            for reply in (step.success, step.failure)
        )


def reply_names(definition: Saga) -> dict[str, str]:
    """Return the names of the contracts that `definition` waits for, each with the field of the saga's key."""
    return {contract_of(event).name: name for event, name in definition.key_fields().items()}
