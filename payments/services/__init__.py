"""Writes. Each service runs inside the caller's unit of work and takes the payment's lock first.

A call to the provider is a pair: `begin_…` decides and persists what will be asked and returns the plan of the call,
or None when there is nothing to ask; `record_…` books what came of it. Booking is `settle` alone, so that our own
answers and the provider's callbacks may arrive in any order, any number of times.
"""

from payments.services.authorisation import (
    begin_authorisation,
    begin_confirmation,
    record_confirmation,
    record_intent,
)
from payments.services.callbacks import accept_callback
from payments.services.capture import begin_capture, record_capture
from payments.services.intention import intend_payment
from payments.services.plans import CreatePlan, IntentPlan, RefundPlan, SynchronisePlan
from payments.services.refund import begin_refund, grant_refund, record_refund
from payments.services.settlement import lose_track, settle
from payments.services.synchronisation import begin_synchronisation, record_synchronisation
from payments.services.void import begin_void, record_void

__all__ = [
    "CreatePlan",
    "IntentPlan",
    "RefundPlan",
    "SynchronisePlan",
    "accept_callback",
    "begin_authorisation",
    "begin_capture",
    "begin_confirmation",
    "begin_refund",
    "begin_synchronisation",
    "begin_void",
    "grant_refund",
    "intend_payment",
    "lose_track",
    "record_capture",
    "record_confirmation",
    "record_intent",
    "record_refund",
    "record_synchronisation",
    "record_void",
    "settle",
]
