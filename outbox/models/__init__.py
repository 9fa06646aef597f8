"""The engine's tables. Writers are the modules of this app; everything else reads."""

from outbox.models.archive import DroppedPartition, FormerReceipt
from outbox.models.flow import Breaker, BreakerChange, BreakerState, ConsumerControl
from outbox.models.queue import (
    Attempt,
    DeadLetter,
    Delivery,
    DeliveryState,
    Message,
    OrderingKey,
    Receipt,
    Worker,
)
from outbox.models.records import AuditEntry, IdempotencyRecord, Rollup, Transition
from outbox.models.sagas import Saga, SagaStatus, SagaStep, StepStatus
from outbox.models.webhooks import (
    DisabledReason,
    WebhookAttempt,
    WebhookCause,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookState,
)

__all__ = [
    "Attempt",
    "AuditEntry",
    "Breaker",
    "BreakerChange",
    "BreakerState",
    "ConsumerControl",
    "DeadLetter",
    "Delivery",
    "DeliveryState",
    "DisabledReason",
    "DroppedPartition",
    "FormerReceipt",
    "IdempotencyRecord",
    "Message",
    "OrderingKey",
    "Receipt",
    "Rollup",
    "Saga",
    "SagaStatus",
    "SagaStep",
    "StepStatus",
    "Transition",
    "WebhookAttempt",
    "WebhookCause",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookState",
    "Worker",
]
