"""Payment intents and refunds, strict where localstripe is gullible.

Every change of one intent happens under that intent's lock: look, decide, tell the provider, remember.
"""

import asyncio
import json
from sqlite3 import Row
from weakref import WeakValueDictionary

from config.sandboxes.payments import errors, shapes
from config.sandboxes.payments.calls import Call
from config.sandboxes.payments.events import Events
from config.sandboxes.payments.methods import PaymentMethods
from config.sandboxes.payments.provider import Document, Pairs, Provider
from config.sandboxes.payments.records import Records
from config.sandboxes.store import Store

CREATABLE = ("amount", "currency", "customer", "metadata", "capture_method", "payment_method_options")
CANCELLABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")
MARKED = f"metadata[{shapes.MARKER}]"


class Front:
    """What callers may do to payments; refusals are StripeErrors."""

    def __init__(
        self, store: Store, provider: Provider, records: Records, methods: PaymentMethods, events: Events
    ) -> None:
        self._store = store
        self._provider = provider
        self._records = records
        self._methods = methods
        self._events = events
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, call: Call) -> Document:
        call.whole("amount")
        call.require(("amount", "currency"))
        raw = await self._made_by(call) if call.resumed else None
        if raw is None:
            pairs = [*call.only(*CREATABLE), (MARKED, call.marker)]
            if method := call.get("payment_method"):
                pairs.append(("payment_method", await self._methods.resolve(method)))
            raw = await self._tell("/v1/payment_intents", pairs)
        self._records.keep_payment(raw, description=call.get("description"))
        shown = self._show(raw, call)
        if call.truth("confirm") and raw["status"] == "requires_confirmation":
            return await self.confirm(str(raw["id"]), Call([], marker=call.marker))
        return shown

    async def retrieve(self, intent: str, call: Call) -> Document:
        return self._show(await self._look(intent), call)

    async def update(self, intent: str, call: Call) -> Document:
        async with self._lock(intent):
            raw = await self._current(intent)
            if pairs := call.only("metadata"):
                self._records.begin(intent)
                raw = self._settle(await self._tell(f"/v1/payment_intents/{intent}", pairs))
            return self._show(raw, call)

    async def confirm(self, intent: str, call: Call) -> Document:
        async with self._lock(intent):
            raw = await self._current(intent)
            if not (call.resumed and raw["status"] != "requires_confirmation"):
                raw = await self._confirm(raw, call)
            shown = self._show(raw, call)
            error = shown.get("last_payment_error")
            if isinstance(error, dict) and "decline_code" in error:
                raise errors.declined(str(error["decline_code"]), shown, error.get("charge"))
            return shown

    async def _confirm(self, raw: Document, call: Call) -> Document:
        intent = str(raw["id"])
        untried = raw["status"] in ("requires_confirmation", "requires_payment_method") and not raw["latest_charge"]
        if untried and (method := call.get("payment_method")):
            pairs = [("payment_method", await self._methods.resolve(method))]
            self._records.begin(intent)
            raw = await self._tell(f"/v1/payment_intents/{intent}", pairs)
        if raw["status"] != "requires_confirmation":
            raise errors.unexpected_state("confirmed", self._show(raw, call))
        self._records.begin(intent)
        status, document = await self._provider.call("POST", f"/v1/payment_intents/{intent}/confirm")
        if status not in (200, 402):
            raise errors.of_provider(status, document)
        return self._settle(document if status == 200 else await self._look(intent))

    async def authenticate(self, intent: str, call: Call) -> Document:
        """The customer's side of 3-D Secure: `client_secret` and `success`."""
        async with self._lock(intent):
            self._records.begin(str((await self._look(intent))["id"]))
            path = f"/v1/payment_intents/{intent}/_authenticate"
            status, document = await self._provider.call("POST", path, call.only("client_secret", "success"))
            raw = self._settle(await self._look(intent))
            if status not in (200, 402):
                raise errors.of_provider(status, document)
            return self._show(raw, call)

    async def capture(self, intent: str, call: Call) -> Document:
        async with self._lock(intent):
            raw = await self._current(intent)
            if call.resumed and raw["status"] == "succeeded":
                return self._show(raw, call)
            if raw["status"] != "requires_capture":
                raise errors.unexpected_state("captured", self._show(raw, call))
            amount = call.whole("amount_to_capture")
            if amount is not None and amount > int(str(raw["amount"])):
                message = "amount_to_capture is more than the amount that can be captured."
                raise errors.invalid(message, code="amount_too_large", param="amount_to_capture")
            if self._methods.capture_fails(raw["payment_method"]):
                shown = self._show(raw, call)
                raise errors.declined("generic_decline", shown, shown["latest_charge"])
            self._records.begin(intent, amount_to_capture=amount)
            raw = await self._tell(f"/v1/payment_intents/{intent}/capture", call.only("amount_to_capture"))
            return self._show(self._settle(raw), call)

    async def cancel(self, intent: str, call: Call) -> Document:
        async with self._lock(intent):
            raw = await self._current(intent)
            if call.resumed and raw["status"] == "canceled":
                return self._show(raw, call)
            if raw["status"] not in CANCELLABLE:
                raise errors.unexpected_state("canceled", self._show(raw, call))
            self._records.begin(intent, reason=call.get("cancellation_reason"))
            raw = await self._tell(f"/v1/payment_intents/{intent}/cancel", [])
            return self._show(self._settle(raw), call)

    async def refund(self, call: Call) -> Document:
        amount = call.whole("amount")
        intent = self._refunded_intent(call)
        async with self._lock(intent):
            await self._current(intent)
            made = await self._recovered_refund(intent, call) if call.resumed else None
            if made is not None:
                return made
            payment = self._known(intent)
            amount = self._refundable(payment, amount)
            self._records.begin(intent)
            pairs = [*call.only("metadata"), ("payment_intent", intent), ("amount", str(amount)), (MARKED, call.marker)]
            raw = await self._tell("/v1/refunds", pairs)
            after = await self._look(intent)
            with self._store.transaction():
                shown = self._keep_refund(raw, after, call.get("reason"))
                self._settle(after)
            return shown

    def snapshot(self, raw: Document) -> Document:
        """An intent as it was at some moment, for an event; nothing is remembered of it."""
        decline = self._methods.decline_code(raw["payment_method"])
        return shapes.intent(raw, self._known(str(raw["id"])), decline=decline)

    async def recover(self, *, search: bool) -> None:
        """After a crash: look again at what was changing; `search` for intents whose creation broke off."""
        if search:
            for raw in await self._all_intents():
                if self._records.payment(str(raw["id"])) is None:
                    self._records.keep_payment(raw)
                    self._show(raw, Call([]))
        for intent in self._records.unsettled():
            async with self._lock(intent):
                await self._keep_refunds(intent)
                self._settle(await self._look(intent))

    def _refunded_intent(self, call: Call) -> str:
        if intent := call.get("payment_intent"):
            return intent
        call.require(("charge",))
        charge = str(call.get("charge"))
        payment = self._records.payment_of_charge(charge)
        if payment is None:
            raise errors.missing("charge", charge, "charge")
        return str(payment["intent"])

    def _refundable(self, payment: Row, asked: int | None) -> int:
        """The amount to give back; raises StripeError unless that much was captured and is left."""
        if not payment["captured"]:
            raise errors.invalid("This PaymentIntent has no captured charge to refund.", param="payment_intent")
        left = payment["captured"] - self._records.refunded(payment["intent"])
        if left <= 0:
            raise errors.invalid("This charge has been refunded in full already.", code="charge_already_refunded")
        if asked is not None and asked > left:
            raise errors.invalid(f"Refund amount {asked} is more than the {left} left to refund.", param="amount")
        return int(left) if asked is None else asked

    async def _recovered_refund(self, intent: str, call: Call) -> Document | None:
        for raw in await self._keep_refunds(intent):
            if shapes.marker(raw) == call.marker:
                return self._records.stored("refund", str(raw["id"]))
        return None

    async def _keep_refunds(self, intent: str) -> list[Document]:
        """The provider's refunds of an intent that came through the front, all of them remembered."""
        raw_intent = await self._look(intent)
        if not raw_intent["latest_charge"]:
            return []
        found = await self._read("/v1/refunds", [("payment_intent", intent), ("limit", "1000")])
        made = [raw for raw in _data(found) if shapes.marker(raw)]
        for raw in made:
            if self._records.stored("refund", str(raw["id"])) is None:
                self._keep_refund(raw, raw_intent, None)
        return made

    async def _made_by(self, call: Call) -> Document | None:
        return next((raw for raw in await self._all_intents() if shapes.marker(raw) == call.marker), None)

    async def _all_intents(self) -> list[Document]:
        return _data(await self._read("/v1/payment_intents", [("limit", "1000000")]))

    def _lock(self, intent: str) -> asyncio.Lock:
        return self._locks.setdefault(intent, asyncio.Lock())

    async def _current(self, intent: str) -> Document:
        """The intent as it was last settled; when a change broke off, or it is not known, as the provider has it.

        All changes go through the front, so what was settled is what the provider has, and one call less is made.
        """
        payment = self._records.payment(intent)
        if payment is None or payment["unsettled"]:
            return self._settle(await self._look(intent))
        raw: Document = json.loads(payment["raw"])
        return raw

    async def _look(self, intent: str) -> Document:
        """The intent as the provider has it; raises StripeError 404 for one that is not there."""
        status, raw = await self._provider.call("GET", f"/v1/payment_intents/{intent}")
        if status == 404:
            raise errors.missing("payment_intent", intent, "intent")
        if status != 200:
            raise errors.of_provider(status, raw)
        if self._records.payment(intent) is None:
            self._records.keep_payment(raw)
        return raw

    def _settle(self, raw: Document) -> Document:
        """Remember what the provider made of an intent; announce a new status where the provider does not."""
        intent = str(raw["id"])
        before = self._known(intent)["status"]
        with self._store.transaction():
            self._records.keep_payment(raw)
            if raw["status"] == "canceled":
                self._records.mark_canceled(intent)
            shown = self._show(raw, Call([]))
            if raw["status"] != before:
                self._events.status_changed(shown)
        return raw

    def _keep_refund(self, raw: Document, raw_intent: Document, reason: str | None) -> Document:
        """Remember a refund and announce it, both or neither."""
        intent = str(raw_intent["id"])
        payment = self._known(intent)
        shown = shapes.refund(raw, payment, reason)
        charge = raw_intent["latest_charge"]
        assert isinstance(charge, dict)
        with self._store.transaction():
            self._records.store_object(shown, kind="refund", parent=intent)
            subject = shapes.charge(charge, payment, self._records.refunded(intent))
            metadata = self.snapshot(raw_intent)["metadata"]
            self._events.announce("charge.refunded", subject | {"metadata": metadata})
        return shown

    def _show(self, raw: Document, call: Call) -> Document:
        """The intent as the caller sees it; its plain form is kept for listing."""
        payment = self._known(str(raw["id"]))
        decline = self._methods.decline_code(raw["payment_method"])
        shown = shapes.intent(raw, payment, decline=decline)
        self._records.store_object(shown, kind="payment_intent")
        return shapes.intent(raw, payment, decline=decline, expand=True) if call.expands("latest_charge") else shown

    def _known(self, intent: str) -> Row:
        payment = self._records.payment(intent)
        assert payment is not None, intent
        return payment

    async def _tell(self, path: str, pairs: Pairs) -> Document:
        status, document = await self._provider.call("POST", path, pairs)
        if status != 200:
            raise errors.of_provider(status, document)
        return document

    async def _read(self, path: str, pairs: Pairs) -> Document:
        status, document = await self._provider.call("GET", path, pairs)
        if status != 200:
            raise errors.of_provider(status, document)
        return document


def _data(found: Document) -> list[Document]:
    data = found["data"]
    assert isinstance(data, list)
    return data
