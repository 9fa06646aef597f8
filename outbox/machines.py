"""State machines as tables of legal transitions. Pure; the database holds the same table (outbox/triggers.py)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from outbox.errors import IllegalTransition


@dataclass(frozen=True)
class StateMachine:
    """What states there are, and which may follow which."""

    name: str
    initial: str
    transitions: Mapping[str, Collection[str]]
    """From each state, the states that may follow."""
    final: Collection[str] = field(default_factory=frozenset)
    """States in which the story has ended well or badly; a few may still be left (a delivered parcel comes back)."""
    other_starts: Collection[str] = ()
    """Further states in which a story may begin."""

    def __post_init__(self) -> None:
        unknown = {*self.starts, *self.final} - set(self.states)
        if unknown:
            raise ValueError(f"{self.name}: {sorted(unknown)} are not in the table")

    @property
    def starts(self) -> tuple[str, ...]:
        """The states in which a story may begin, the usual one first."""
        return (self.initial, *self.other_starts)

    @property
    def states(self) -> tuple[str, ...]:
        """All states, in the order in which the table names them."""
        named = [self.initial]
        for source, targets in self.transitions.items():
            named += [source, *targets]
        return tuple(dict.fromkeys(named))

    def allows(self, from_state: str, to_state: str) -> bool:
        """Tell whether `to_state` may follow `from_state`."""
        return to_state in self.transitions.get(from_state, ())

    def check(self, from_state: str, to_state: str) -> None:
        """Raise IllegalTransition unless `to_state` may follow `from_state`."""
        if not self.allows(from_state, to_state):
            raise IllegalTransition(self.name, from_state, to_state)

    def is_final(self, state: str) -> bool:
        """Tell whether the story ends in `state`."""
        return state in self.final

    def pairs(self) -> list[tuple[str, str]]:
        """Every legal transition as (from, to)."""
        return [(source, target) for source, targets in self.transitions.items() for target in targets]
