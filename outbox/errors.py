"""Every error the engine raises.

OutboxError
├── NoUnitOfWork          publish, send or a service was called outside a unit of work
├── TransactionOpen       something remote was about to be called while a transaction was open
├── ContractError
│   ├── UnknownContract   no class is registered for this name and version
│   ├── InvalidPayload    the payload does not fit its contract
│   └── ContractConflict  two classes claim the same name and version, or the declaration is wrong
├── ConsumerConflict      two consumers claim the same name, or a command has no or two consumers
├── IllegalTransition     a state machine was asked for a step that its table does not have
├── LeaseLost             another worker took the delivery over while the call was under way
├── IllegalOperation      an operator's verb does not fit the state of the row
└── SagaError             a saga was asked for something its definition or state forbids
"""


class OutboxError(Exception):
    """Root of the engine's errors."""


class NoUnitOfWork(OutboxError):
    """publish, send or a service was called outside a unit of work: open one at the door."""


class TransactionOpen(OutboxError):
    """Something remote was about to be called while a transaction was open."""


class ContractError(OutboxError):
    """Root of what can be wrong between a message and its contract."""


class UnknownContract(ContractError):
    """No class is registered for this name and version."""


class InvalidPayload(ContractError):
    """The payload does not fit its contract."""


class ContractConflict(ContractError):
    """Two classes claim the same name and version, or the declaration is wrong."""


class ConsumerConflict(OutboxError):
    """Two consumers claim the same name, or a command has no consumer or two."""


class IllegalTransition(OutboxError):
    """A state machine was asked for a step that its table does not have."""

    def __init__(self, machine: str, from_state: str, to_state: str) -> None:
        super().__init__(f"{machine}: there is no way from {from_state!r} to {to_state!r}")
        self.machine, self.from_state, self.to_state = machine, from_state, to_state


class LeaseLost(OutboxError):
    """Another worker took the delivery over while the call was under way; the late result is not recorded."""


class IllegalOperation(OutboxError):
    """An operator's verb does not fit the state the row is in by now."""


class SagaError(OutboxError):
    """A saga was asked for something that its definition or its state forbids."""
