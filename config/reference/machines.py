"""Every state machine and every saga, drawn from the tables that the code runs on."""

from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from uuid import UUID

from config.reference.tables import NOTE, table
from outbox.contracts import Event, contract_of
from outbox.machines import StateMachine
from outbox.sagas.definition import Build, Reply, Saga, Step, always
from outbox.sagas.engine import definitions

DOMAINS = ("orders", "payments", "fulfillment")
PERSON = "person{{a person decides}}"
IDS = ("order_id", "payment_id", "return_id")
SAMPLE = {**dict.fromkeys(IDS, str(UUID(int=0))), "reason": "", "amount": "1.00", "currency": "EUR"}
HEAD = """# State machines and sagas

Each machine is a table of legal transitions. The code checks it under the row's lock; a trigger in the database checks
the same table again and writes every transition into `outbox_transition`.
"""
SAGAS_HEAD = """
## Sagas

Steps run from the top; one marked *only where needed* is left out where the saga's data do not ask for it. A step that
fails before the pivot is compensated, and all before it, from the bottom up. After the pivot a saga only goes forward:
what fails then, or exceeds its deadline, waits for a person. A compensation that fails, exceeds its deadline, or whose
command becomes a dead letter, waits for a person too.
"""


def machines_page() -> str:
    """Return machines.md."""
    parts = [NOTE, HEAD]
    parts += [_machine(machine) for machine in machines()]
    parts.append(SAGAS_HEAD)
    parts += [_saga(definition) for definition in definitions() if definition.name.startswith(DOMAINS)]
    return "".join(parts)


def machines() -> Iterator[StateMachine]:
    """Yield the machines of all domains."""
    for domain in DOMAINS:
        for value in vars(import_module(f"{domain}.states")).values():
            if isinstance(value, StateMachine):
                yield value


def _machine(machine: StateMachine) -> str:
    sources = dict.fromkeys([machine.initial, *machine.transitions])
    steps = [f"    {source} --> {target}\n" for source in sources for target in sorted(_targets(machine, source))]
    begins = [f"    [*] --> {state}\n" for state in machine.starts]
    ends = [f"    {state} --> [*]\n" for state in sorted(machine.final)]
    return _drawing(machine.name, "stateDiagram-v2\n", [*begins, *steps, *ends])


def _targets(machine: StateMachine, source: str) -> Iterator[str]:
    return (target for before, target in machine.pairs() if before == source)


def _drawing(title: str, kind: str, lines: list[str]) -> str:
    return f"\n## {title.replace('_', ' ').capitalize()}\n\n```mermaid\n{kind}{''.join(lines)}```\n"


def _saga(definition: Saga) -> str:
    name = f"\n### `{definition.name}`, version {definition.version}\n\n```mermaid\nflowchart TD\n"
    lines = [f'    begin(["{definition.name} begins"]) --> {definition.steps[0].name}\n']
    lines += [line for place in range(len(definition.steps)) for line in _arrows(definition, place)]
    head = ("step", "asks for", "done by", "fails by", "undone by", "deadline")
    return f"{name}{''.join(lines)}```\n\n{table(head, (_row(step) for step in definition.steps))}"


def _arrows(definition: Saga, place: int) -> Iterator[str]:
    """Yield the node of a step, the way on, and the way back where there is one."""
    steps, step = definition.steps, definition.steps[place]
    yield f'    {step.name}["{step.label}{_mark(step)}"]\n'
    following = steps[place + 1].name if place + 1 < len(steps) else 'done(["completed"])'
    yield f"    {step.name} -->|{_event(step.success)}| {following}\n"
    if step.failure is not None:
        yield f"    {step.name} -.->|{_event(step.failure)}| {_way_back(definition, place)}\n"
    if step.compensation is not None:
        yield f'    undo_{step.name}["undo: {_command(step.compensation.command)}"]\n'
        back = _way_back(definition, place, including=False)
        yield f"    undo_{step.name} -->|{_event(step.compensation.success)}| {back}\n"
        if step.compensation.failure is not None:
            yield f"    undo_{step.name} -.->|{_event(step.compensation.failure)}| {PERSON}\n"


def _mark(step: Step) -> str:
    marks = [word for word, holds in (("pivot", step.pivot), ("only where needed", step.when is not always)) if holds]
    return f" ({', '.join(marks)})" if marks else ""


def _way_back(definition: Saga, place: int, *, including: bool = True) -> str:
    """Return where a failure at `place` leads: the nearest compensation, a person, or the end."""
    if definition.past_pivot(place):
        return PERSON
    first = place if including and definition.steps[place].undo_on_failure else place - 1
    for position in range(first, -1, -1):
        if definition.steps[position].compensation:
            return f"undo_{definition.steps[position].name}"
    return 'undone(["compensated"])'


def _row(step: Step) -> tuple[str, ...]:
    undone = f"`{_command(step.compensation.command)}`" if step.compensation else ""
    deadline = _span(step.deadline) if step.deadline else ""
    asks = f"`{_command(step.command)}`" if step.command else ""
    return (
        f"{step.label}{_mark(step)}",
        asks,
        _code(step.success) or "the start itself",
        _code(step.failure),
        undone,
        deadline,
    )


def _span(deadline: timedelta) -> str:
    hours = deadline.total_seconds() / 3600
    return f"{hours / 24:g} days" if hours > 24 else f"{hours:g} h"


def _code(reply: Reply | None) -> str:
    if reply is None:
        return ""
    condition = ", the last one" if reply.when is not always else ""
    return f"`{contract_of(reply.event).name}`{condition}"


def _command(build: Build) -> str:
    return contract_of(build(SAMPLE)).name


def _event(reply: Reply | None) -> str:
    return _short(reply.event) if reply else "at once"


def _short(event: type[Event]) -> str:
    return contract_of(event).name
