"""Payments and what was asked of the provider for them. Only the mutators here write rows."""

from datetime import timedelta
from decimal import Decimal
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from moneyed import Money
from uuid_utils.compat import uuid7

from outbox.rows import insert
from payments.errors import PaymentNotFound
from payments.money import exact, money
from payments.states import CALLED, LIVE, OPERATION, PAYMENT, OperationKind, OperationStatus, PaymentStatus


class PaymentQuerySet(models.QuerySet["Payment"]):
    """Queries on payments."""

    def lock(self, payment_id: UUID) -> "Payment":
        """Return the payment with its row locked until the transaction ends. Raises PaymentNotFound."""
        payment = self.select_for_update(no_key=True).filter(id=payment_id).first()
        if payment is None:
            raise PaymentNotFound(f"No payment has the id {payment_id}")
        return payment


class Payment(models.Model):
    """The money side of one order. The three amounts are sums over its succeeded operations, kept by `settle`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.UUIDField()
    status = models.CharField(max_length=20, choices=PaymentStatus.choices, default=PaymentStatus.CREATED)
    amount = models.DecimalField(max_digits=14, decimal_places=3)
    currency = models.CharField(max_length=3)
    payment_method = models.CharField(max_length=255)
    """The provider's name for the customer's means of payment."""
    provider_reference = models.CharField(max_length=255, null=True, unique=True)
    """The provider's id of the intent; stored before anything that moves money is sent."""
    authorised_amount = models.DecimalField(max_digits=14, decimal_places=3, db_default=Decimal(0), default=Decimal(0))
    captured_amount = models.DecimalField(max_digits=14, decimal_places=3, db_default=Decimal(0), default=Decimal(0))
    refunded_amount = models.DecimalField(max_digits=14, decimal_places=3, db_default=Decimal(0), default=Decimal(0))
    decline_code = models.CharField(max_length=100, default="", db_default="", blank=True)
    decline_reason = models.TextField(default="", db_default="", blank=True)
    void_requested_at = models.DateTimeField(null=True)
    """A tombstone: no confirmation and no capture starts after it."""
    void_reason = models.TextField(default="", db_default="", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = PaymentQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = [models.Index(fields=["order_id"], name="payments_payment_order")]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=PaymentStatus.values), name="payments_payment_status"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payments_payment_amount"),
            models.CheckConstraint(
                condition=Q(captured_amount__lte=F("authorised_amount")), name="payments_captured_within_authorised"
            ),
            models.CheckConstraint(
                condition=Q(refunded_amount__lte=F("captured_amount")), name="payments_refunded_within_captured"
            ),
            models.CheckConstraint(
                condition=Q(authorised_amount__gte=0, captured_amount__gte=0, refunded_amount__gte=0),
                name="payments_amounts_not_negative",
            ),
            models.UniqueConstraint(
                fields=["order_id"],
                condition=~Q(status__in=["declined", "voided", "expired", "refunded"]),
                name="payments_one_live_per_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.total} {self.status}"

    # Factories

    @classmethod
    def intend(cls, *, payment_id: UUID, order_id: UUID, total: Money, payment_method: str) -> Self:
        """Insert the intention to take `total`; one statement."""
        payment = cls(
            id=payment_id,
            order_id=order_id,
            amount=total.amount,
            currency=total.currency.code,
            payment_method=payment_method,
        )
        insert([payment])
        return payment

    # Mutators; the caller holds the row's lock

    def advance(self, status: PaymentStatus) -> None:
        """Step to `status`. Raises IllegalTransition."""
        PAYMENT.check(self.status, status.value)
        self.status = status
        self.save(update_fields=["status"])

    def adopt(self, reference: str) -> None:
        """Remember the provider's id of the intent."""
        self.provider_reference = reference
        self.save(update_fields=["provider_reference"])

    def decline(self, code: str, reason: str) -> None:
        """Step to declined and keep why."""
        self.decline_code, self.decline_reason = code, reason
        self.save(update_fields=["decline_code", "decline_reason"])
        self.advance(PaymentStatus.DECLINED)

    def ask_to_void(self, reason: str) -> bool:
        """Set the tombstone; tell whether it is new."""
        if self.void_requested_at is not None:
            return False
        self.void_reason = reason
        type(self).objects.filter(id=self.id).update(void_requested_at=Now(), void_reason=reason)
        self.refresh_from_db(fields=["void_requested_at"])
        return True

    def add_up(self) -> None:
        """Recompute the three amounts from the succeeded operations."""
        sums = dict(
            self.operations.filter(status=OperationStatus.SUCCEEDED)
            .values_list("kind")
            .annotate(total=models.Sum("settled_amount"))
            .values_list("kind", "total")
        )
        self.authorised_amount = sums.get(OperationKind.AUTHORISE, Decimal(0))
        self.captured_amount = sums.get(OperationKind.CAPTURE, Decimal(0))
        self.refunded_amount = sums.get(OperationKind.REFUND, Decimal(0))
        self.save(update_fields=["authorised_amount", "captured_amount", "refunded_amount"])

    # Queries

    def live(self, kind: OperationKind) -> "PaymentOperation | None":
        """Return the operation of `kind` whose outcome is open; for refunds, the oldest."""
        return self.operations.filter(kind=kind, status__in=LIVE).order_by("id").first()

    def refundable(self) -> Decimal:
        """Return what is left to refund once every open refund has succeeded."""
        reserved = self.operations.filter(kind=OperationKind.REFUND, status__in=LIVE).aggregate(
            total=models.Sum("amount", default=Decimal(0))
        )["total"]
        left: Decimal = self.captured_amount - self.refunded_amount - reserved
        return left

    # Properties

    @property
    def total(self) -> Money:
        """What the payment is about."""
        return money(self.amount, self.currency)

    @property
    def is_void_requested(self) -> bool:
        """No confirmation and no capture may start any more."""
        return self.void_requested_at is not None

    def exact(self, amount: Decimal) -> Decimal:
        """Return `amount` with the digits of the payment's currency."""
        return exact(amount, self.currency)


class PaymentOperation(models.Model):
    """One thing asked of the provider: persisted before it is sent, settled once.

    The succeeded ones are the facts that all amounts are sums of, each under the provider's own reference.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    """Of a refund: the refund's id."""
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="operations")
    kind = models.CharField(max_length=10, choices=OperationKind.choices)
    status = models.CharField(max_length=10, choices=OperationStatus.choices, default=OperationStatus.REQUESTED)
    amount = models.DecimalField(max_digits=14, decimal_places=3)
    settled_amount = models.DecimalField(max_digits=14, decimal_places=3, null=True)
    """What the provider says came of it."""
    provider_reference = models.CharField(max_length=255, null=True)
    key_number = models.SmallIntegerField()
    idempotency_key = models.CharField(max_length=255, unique=True)
    reason = models.TextField(default="", db_default="", blank=True)
    error_code = models.CharField(max_length=100, default="", db_default="", blank=True)
    error = models.TextField(default="", db_default="", blank=True)
    requested_at = models.DateTimeField(db_default=Now())
    called_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("id",)
        indexes = [
            models.Index(
                fields=["called_at"],
                condition=Q(status__in=["in_flight", "unknown", "pending"]),
                name="payments_operation_open",
            )
        ]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=OperationKind.values), name="payments_operation_kind"),
            models.CheckConstraint(condition=Q(status__in=OperationStatus.values), name="payments_operation_status"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payments_operation_amount"),
            models.CheckConstraint(
                condition=~Q(status="succeeded") | Q(settled_amount__gte=0, settled_at__isnull=False),
                name="payments_operation_settled",
            ),
            models.UniqueConstraint(
                fields=["kind", "provider_reference"],
                condition=Q(status="succeeded", provider_reference__isnull=False),
                name="payments_reference_booked_once",
            ),
            models.UniqueConstraint(
                fields=["payment", "kind"],
                condition=Q(status__in=["requested", "in_flight", "unknown", "pending"]) & ~Q(kind="refund"),
                name="payments_one_live_operation",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.status}"

    # Factories

    @classmethod
    def request(cls, payment: Payment, kind: OperationKind, *, reason: str = "") -> "PaymentOperation":
        """Insert an operation over the payment's whole amount, under the next idempotency key of its kind."""
        last = cls.objects.filter(payment=payment, kind=kind).aggregate(n=models.Max("key_number", default=0))["n"]
        return cls.objects.create(
            payment=payment,
            kind=kind,
            amount=payment.amount,
            key_number=last + 1,
            idempotency_key=_key(payment.id, kind, last + 1),
            reason=reason,
        )

    @classmethod
    def request_refund(cls, payment: Payment, refund_id: UUID, amount: Decimal, reason: str) -> "PaymentOperation":
        """Insert a refund, which reserves its amount. Its key never changes: a second refund would pay out twice."""
        return cls.objects.create(
            id=refund_id,
            payment=payment,
            kind=OperationKind.REFUND,
            amount=amount,
            key_number=1,
            idempotency_key=_key(refund_id, OperationKind.REFUND, 1),
            reason=reason,
        )

    # Mutators; the caller holds the payment's lock

    def begin(self) -> bool:
        """Note that the provider is about to be called; tell whether it may know of the operation already."""
        if self.status in (OperationStatus.IN_FLIGHT, OperationStatus.UNKNOWN):
            return True
        self._step(OperationStatus.IN_FLIGHT, called_at=Now())
        return False

    def lose_track(self, error: str) -> None:
        """Note that the answer is missing.

        What moves money by the intent's id gets a new key for its next call: providers replay the stored answer of an
        old one, a server error included, and the intent's own state refuses a second effect. Refunds keep theirs.
        """
        if self.status not in CALLED:
            return
        if self.status == OperationStatus.IN_FLIGHT:
            self._step(OperationStatus.UNKNOWN, error=error)
        if self.kind != OperationKind.REFUND:
            self.key_number += 1
            self.idempotency_key = _key(self.payment_id, OperationKind(self.kind), self.key_number)
            self.save(update_fields=["key_number", "idempotency_key"])

    def wait(self, reference: str) -> None:
        """Note that the provider accepted it and waits for somebody else."""
        if self.status == OperationStatus.REQUESTED:
            self.begin()
        if self.status != OperationStatus.PENDING:
            self._step(OperationStatus.PENDING, provider_reference=reference)

    def succeed(self, reference: str | None, amount: Decimal) -> None:
        """Book it: a fact from now on."""
        self._step(
            OperationStatus.SUCCEEDED, provider_reference=reference, settled_amount=amount, settled_at=Now(), error=""
        )

    def fail(self, code: str, error: str) -> None:
        """Note that it will not happen."""
        self._step(OperationStatus.FAILED, error_code=code, error=error, settled_at=Now())

    def _step(self, status: OperationStatus, **changes: object) -> None:
        OPERATION.check(self.status, status.value)
        type(self).objects.filter(id=self.id).update(status=status, **changes)
        self.refresh_from_db(fields=["status", *changes])

    # Queries

    def is_older_than(self, age: timedelta) -> bool:
        """Tell by the database's clock whether the operation was requested longer ago than `age`."""
        return type(self).objects.filter(id=self.id, requested_at__lt=Now() - age).exists()

    def was_called_within(self, age: timedelta) -> bool:
        """Tell by the database's clock whether the provider was called for it less than `age` ago."""
        return type(self).objects.filter(id=self.id, called_at__gt=Now() - age).exists()


class ProviderEvent(models.Model):
    """A callback that was accepted. Its id is unique, so that a repeated callback changes nothing."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    event_id = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=100)
    reference = models.CharField(max_length=255, default="", blank=True)
    """The intent it speaks of, if any."""
    payment = models.ForeignKey(Payment, null=True, on_delete=models.PROTECT, related_name="provider_events")
    """Null when it speaks of nothing that we know."""
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


def _key(owner: UUID, kind: OperationKind, number: int) -> str:
    verb = "confirm" if kind is OperationKind.AUTHORISE else kind.value
    return f"{owner}:{verb}" if kind is OperationKind.REFUND else f"{owner}:{verb}:{number}"
