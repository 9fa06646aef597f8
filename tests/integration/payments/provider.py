"""A strict provider in memory: what a real one would refuse, it refuses; what it is told to lose, it loses."""

import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from outbox.outcomes import Transient
from outbox.publishing import no_transaction_open
from payments.gateways.base import (
    CANCELABLE,
    Declined,
    IntentState,
    IntentStatus,
    RefundState,
    RefundStatus,
    StateConflict,
)

DECLINED = Declined("card_declined", "insufficient_funds", "The card has insufficient funds.")


class Provider:
    def __init__(self) -> None:
        self.intents: dict[str, IntentState] = {}
        self.refunds: dict[str, tuple[str, RefundState]] = {}
        self.calls: list[tuple[str, str]] = []
        self.methods: dict[str, str] = {}
        self.refund_status = RefundStatus.SUCCEEDED
        self.refuse_capture = 0
        self.before: dict[str, Callable[[], None]] = {}
        """Run at the start of a call of that name, once."""
        self._answers: dict[str, object] = {}
        self._faults: dict[str, list[Exception | None]] = defaultdict(list)
        self._numbers = itertools.count(1)

    # what a test arranges

    def lose_answer(self, call: str, times: int = 1) -> None:
        """Do the work of the next calls, and withhold the answer."""
        self._faults[call] += [None] * times

    def fail(self, call: str, error: Exception, times: int = 1) -> None:
        """Fail the next calls before any work is done."""
        self._faults[call] += [error] * times

    def count(self, call: str) -> int:
        return sum(name == call for name, _ in self.calls)

    @property
    def only(self) -> IntentState:
        (state,) = self.intents.values()
        return state

    def change(self, **changes: object) -> IntentState:
        """Let something happen at the provider that we did not ask for."""
        state = replace(self.only, **changes)
        self.intents[state.reference] = state
        return state

    @property
    def kept(self) -> Decimal:
        """What the customer has paid and not got back."""
        refunded = sum(r.amount.amount for _, r in self.refunds.values() if r.status is RefundStatus.SUCCEEDED)
        return sum((state.captured for state in self.intents.values()), Decimal(0)) - refunded

    # the Gateway

    def create_intent(self, *, payment_id, order_id, amount, payment_method, key):
        def create():
            reference = f"pi_{next(self._numbers)}"
            self.methods[reference] = payment_method
            return IntentState(
                reference,
                IntentStatus.REQUIRES_CONFIRMATION,
                amount,
                Decimal(0),
                None,
                payment_id,
                datetime.now(UTC),
            )

        return self._do("create_intent", key, create)

    def confirm(self, reference, *, key):
        def confirm():
            state = self._in(reference, {IntentStatus.REQUIRES_CONFIRMATION})
            match self.methods[reference]:
                case "pm_declined":
                    return replace(state, status=IntentStatus.FAILED, declined=DECLINED)
                case "pm_action":
                    return replace(state, status=IntentStatus.REQUIRES_ACTION)
            return replace(state, status=IntentStatus.REQUIRES_CAPTURE)

        answer = self._do("confirm", key, confirm)
        return answer.declined or answer

    def capture(self, reference, *, key):
        def capture():
            state = self._in(reference, {IntentStatus.REQUIRES_CAPTURE})
            if self.refuse_capture:
                self.refuse_capture -= 1
                return DECLINED
            return replace(state, status=IntentStatus.SUCCEEDED, captured=state.amount.amount)

        return self._do("capture", key, capture)

    def cancel(self, reference, *, key):
        def cancel():
            return replace(self._in(reference, CANCELABLE), status=IntentStatus.CANCELED)

        return self._do("cancel", key, cancel)

    def retrieve(self, reference):
        return self._do("retrieve", "", lambda: self.intents[reference])

    def find_intent(self, payment_id, *, since):
        found = [state for state in self.intents.values() if state.payment_id == payment_id]
        return self._do("find_intent", "", lambda: found[0] if found else None)

    def refund(self, reference, *, refund_id, amount, key):
        def refund():
            return RefundState(f"re_{next(self._numbers)}", self.refund_status, amount, refund_id, "")

        state = self._do("refund", key, refund)
        self.refunds.setdefault(state.reference, (reference, state))
        return state

    def find_refund(self, reference, refund_id):
        ours = (state for intent, state in self.refunds.values() if intent == reference)
        found = next((state for state in ours if state.refund_id == refund_id), None)
        return self._do("find_refund", "", lambda: found)

    def _in(self, reference, allowed):
        state = self.intents[reference]
        if state.status not in allowed:
            raise StateConflict(f"{reference} is {state.status}")
        return state

    def _do(self, call, key, work):
        no_transaction_open()
        self.calls.append((call, key))
        self.before.pop(call, lambda: None)()
        faults = self._faults[call]
        error = faults[0] if faults else None
        if error is not None:
            raise faults.pop(0)
        answer = self._answers[key] if key in self._answers else work()
        self._keep(key, answer)
        if faults:
            faults.pop(0)
            raise Transient("the answer got lost", unknown=True)
        return answer

    def _keep(self, key, answer):
        if key:
            self._answers[key] = answer
        if isinstance(answer, IntentState) and key:
            self.intents[answer.reference] = answer
        if isinstance(answer, RefundState) and key:
            intent = next(iter(self.intents))
            self.refunds.setdefault(answer.reference, (intent, answer))
