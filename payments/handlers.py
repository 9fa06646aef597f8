"""Messages in, services out. The calls are the provider's; they touch no database."""

from datetime import timedelta
from uuid import UUID

from outbox.consumers import Incoming, consumer, external_consumer
from outbox.destinations import Destination
from outbox.fairness import by_actor
from outbox.outcomes import Failure, NotDone, permanent
from payments import services
from payments.commands import (
    AuthorisePayment,
    CapturePayment,
    ConfirmAuthorisation,
    GrantRefund,
    RefundPayment,
    SynchronisePayment,
    VoidPayment,
)
from payments.gateways import payment_gateway
from payments.gateways.base import CANCELABLE, Answer, Declined, IntentState, IntentStatus, RefundState, act_once
from payments.services import CreatePlan, IntentPlan, RefundPlan, SynchronisePlan

Seen = tuple[IntentState, dict[UUID, RefundState]]

PROVIDER = Destination("payments", concurrency=50)
REFUNDS = Destination("payments.refunds", concurrency=20)
"""A destination of its own: when only refunds fail, their breaker opens and payments go on."""


@external_consumer(AuthorisePayment, name="payments.create_intent", destination=PROVIDER, fair_by=by_actor)
class CreateIntent:
    """Registers the intent. Its failures leave nothing behind that moves money, so there is nothing to note."""

    def prepare(self, command: AuthorisePayment, message: Incoming) -> CreatePlan | None:
        """See ExternalHandler."""
        return services.begin_authorisation(payment_id=command.payment_id)

    def call(self, plan: CreatePlan) -> Answer:
        """Create it, or find the one created under a key that the provider may have forgotten."""
        gateway = payment_gateway()
        if plan.look_since is not None:
            found = gateway.find_intent(plan.payment_id, since=plan.look_since - timedelta(minutes=10))
            if found is not None:
                return found
        return gateway.create_intent(
            payment_id=plan.payment_id,
            order_id=plan.order_id,
            amount=plan.amount,
            payment_method=plan.payment_method,
            key=plan.key,
        )

    def record(self, command: AuthorisePayment, message: Incoming, plan: CreatePlan, result: Answer) -> None:
        """See ExternalHandler."""
        services.record_intent(payment_id=command.payment_id, answer=result)


@external_consumer(ConfirmAuthorisation, name="payments.confirm_authorisation", destination=PROVIDER, fair_by=by_actor)
class Confirm:
    """Holds the amount. An authorisation whose attempts are used up stays unknown and publishes nothing: the saga's
    deadline voids it, which looks first; a retry of the dead letter looks first, too."""

    def prepare(self, command: ConfirmAuthorisation, message: Incoming) -> IntentPlan | None:
        """See ExternalHandler."""
        return services.begin_confirmation(payment_id=command.payment_id)

    def call(self, plan: IntentPlan) -> Answer:
        """See ExternalHandler."""
        gateway = payment_gateway()
        return act_once(
            gateway,
            plan.reference,
            ready=frozenset({IntentStatus.REQUIRES_CONFIRMATION}),
            look_first=plan.look_first,
            act=lambda: gateway.confirm(plan.reference, key=plan.key),
        )

    def record(self, command: ConfirmAuthorisation, message: Incoming, plan: IntentPlan, result: Answer) -> None:
        """See ExternalHandler."""
        services.record_confirmation(payment_id=command.payment_id, answer=result)

    def failed(self, command: ConfirmAuthorisation, message: Incoming, plan: IntentPlan, failure: Failure) -> None:
        """See ExternalHandler."""
        services.lose_track(operation_id=plan.operation_id, error=str(failure.error))


@external_consumer(CapturePayment, name="payments.capture_payment", destination=PROVIDER, fair_by=by_actor)
class Capture:
    """Takes what is held."""

    def prepare(self, command: CapturePayment, message: Incoming) -> IntentPlan | None:
        """See ExternalHandler."""
        return services.begin_capture(payment_id=command.payment_id)

    def call(self, plan: IntentPlan) -> Answer:
        """See ExternalHandler."""
        gateway = payment_gateway()
        return act_once(
            gateway,
            plan.reference,
            ready=frozenset({IntentStatus.REQUIRES_CAPTURE}),
            look_first=plan.look_first,
            act=lambda: gateway.capture(plan.reference, key=plan.key),
        )

    def record(self, command: CapturePayment, message: Incoming, plan: IntentPlan, result: Answer) -> None:
        """See ExternalHandler."""
        services.record_capture(payment_id=command.payment_id, answer=result)

    def failed(self, command: CapturePayment, message: Incoming, plan: IntentPlan, failure: Failure) -> None:
        """See ExternalHandler."""
        services.lose_track(operation_id=plan.operation_id, error=str(failure.error))


@external_consumer(VoidPayment, name="payments.void_payment", destination=PROVIDER, fair_by=by_actor)
class Void:
    """Releases what is held, or finds that it was taken."""

    def prepare(self, command: VoidPayment, message: Incoming) -> IntentPlan | NotDone | None:
        """See ExternalHandler."""
        return services.begin_void(payment_id=command.payment_id, reason=command.reason)

    def call(self, plan: IntentPlan) -> IntentState | NotDone:
        """See ExternalHandler."""
        gateway = payment_gateway()
        answer = act_once(
            gateway,
            plan.reference,
            ready=CANCELABLE,
            look_first=plan.look_first,
            act=lambda: gateway.cancel(plan.reference, key=plan.key),
        )
        if isinstance(answer, Declined):
            return permanent(f"The provider answered the release of {plan.reference} with a decline: {answer.code}")
        return answer

    def record(self, command: VoidPayment, message: Incoming, plan: IntentPlan, result: IntentState) -> None:
        """See ExternalHandler."""
        services.record_void(payment_id=command.payment_id, seen=result)

    def failed(self, command: VoidPayment, message: Incoming, plan: IntentPlan, failure: Failure) -> None:
        """See ExternalHandler."""
        services.lose_track(operation_id=plan.operation_id, error=str(failure.error))


@consumer(GrantRefund, name="payments.grant_refund")
def grant_refund(command: GrantRefund, message: Incoming) -> NotDone | None:
    """Set a refund's amount aside."""
    return services.grant_refund(
        refund_id=command.refund_id,
        payment_id=command.payment_id,
        amount=command.amount,
        currency=command.currency,
        reason=command.reason,
    )


@external_consumer(RefundPayment, name="payments.refund_payment", destination=REFUNDS, fair_by=by_actor)
class Refund:
    """Gives money back."""

    def prepare(self, command: RefundPayment, message: Incoming) -> RefundPlan | NotDone | None:
        """See ExternalHandler."""
        return services.begin_refund(
            refund_id=command.refund_id,
            payment_id=command.payment_id,
            amount=command.amount,
            currency=command.currency,
            reason=command.reason,
        )

    def call(self, plan: RefundPlan) -> RefundState | NotDone:
        """Refund, unless the provider knows this refund already."""
        gateway = payment_gateway()
        found = gateway.find_refund(plan.reference, plan.refund_id) if plan.look_first else None
        if found is not None:
            return found
        if not plan.may_send:
            return permanent(
                f"Refund {plan.refund_id} of {plan.reference} is not at the provider, and its idempotency key is too "
                "old to send it again safely. Look it up at the provider, then request a new refund."
            )
        return gateway.refund(plan.reference, refund_id=plan.refund_id, amount=plan.amount, key=plan.key)

    def record(self, command: RefundPayment, message: Incoming, plan: RefundPlan, result: RefundState) -> None:
        """See ExternalHandler."""
        services.record_refund(payment_id=command.payment_id, refund_id=command.refund_id, seen=result)

    def failed(self, command: RefundPayment, message: Incoming, plan: RefundPlan, failure: Failure) -> None:
        """See ExternalHandler."""
        services.lose_track(operation_id=plan.refund_id, error=str(failure.error))


@external_consumer(SynchronisePayment, name="payments.synchronise", destination=PROVIDER, fair_by=by_actor)
class Synchronise:
    """Fetches the provider's view."""

    def prepare(self, command: SynchronisePayment, message: Incoming) -> SynchronisePlan | None:
        """See ExternalHandler."""
        return services.begin_synchronisation(payment_id=command.payment_id, reference=command.reference)

    def call(self, plan: SynchronisePlan) -> Seen:
        """See ExternalHandler."""
        gateway = payment_gateway()
        found = {refund_id: gateway.find_refund(plan.reference, refund_id) for refund_id in plan.refund_ids}
        return gateway.retrieve(plan.reference), {key: state for key, state in found.items() if state is not None}

    def record(
        self,
        command: SynchronisePayment,
        message: Incoming,
        plan: SynchronisePlan,
        result: Seen,
    ) -> None:
        """See ExternalHandler."""
        intent, refunds = result
        services.record_synchronisation(
            payment_id=command.payment_id, intent=intent, refunds=refunds, poll=command.poll
        )
