"""What must always be true of payments; each query names the payments that break the rule."""

from outbox.invariants import invariant

_SUMS = """
    SELECT p.id, p.status, p.authorised_amount, p.captured_amount, p.refunded_amount,
           coalesce(sum(o.settled_amount) FILTER (WHERE o.kind = 'authorise'), 0) AS authorised,
           coalesce(sum(o.settled_amount) FILTER (WHERE o.kind = 'capture'), 0) AS captured,
           coalesce(sum(o.settled_amount) FILTER (WHERE o.kind = 'refund'), 0) AS refunded
    FROM payments_payment p LEFT JOIN payments_paymentoperation o ON o.payment_id = p.id AND o.status = 'succeeded'
    GROUP BY p.id
"""
_NO_DELIVERY = """
    NOT EXISTS (SELECT 1 FROM outbox_message m JOIN outbox_delivery d ON d.message_id = m.id
                WHERE m.aggregate_id = p.id AND m.kind = 'command')
"""

invariant(
    "payments.refunds_within_captures",
    meaning="No more is refunded than captured, and no more captured than authorised (I02)",
    sql=f"SELECT id FROM ({_SUMS}) s WHERE refunded > captured OR captured > authorised",  # noqa: S608 - constants
)
invariant(
    "payments.amounts_are_sums",
    meaning="The amounts of a payment are the sums of its succeeded operations",
    sql=f"""SELECT id FROM ({_SUMS}) s
    WHERE (authorised_amount, captured_amount, refunded_amount) <> (authorised, captured, refunded)""",  # noqa: S608
)
invariant(
    "payments.status_fits_amounts",
    meaning="The status of a payment says what its amounts say",
    sql=f"""SELECT id FROM ({_SUMS}) s WHERE NOT CASE status
        WHEN 'authorised' THEN authorised > 0 AND captured = 0
        WHEN 'partially_captured' THEN captured > 0 AND captured < authorised AND refunded = 0
        WHEN 'captured' THEN captured > 0 AND captured = authorised AND refunded = 0
        WHEN 'partially_refunded' THEN refunded > 0 AND refunded < captured
        WHEN 'refunded' THEN refunded > 0 AND refunded = captured
        WHEN 'voided' THEN captured = 0
        WHEN 'expired' THEN captured = 0
        ELSE authorised = 0 AND captured = 0 END""",  # noqa: S608
)
invariant(
    "payments.one_live_per_order",
    meaning="An order has at most one live payment (I03)",
    sql="""SELECT order_id FROM payments_payment WHERE status NOT IN ('declined', 'voided', 'expired', 'refunded')
    GROUP BY order_id HAVING count(*) > 1""",
)
invariant(
    "payments.reference_booked_once",
    meaning="Each reference of the provider is booked once per kind of operation (I04)",
    sql="""SELECT kind || ' ' || provider_reference FROM payments_paymentoperation
    WHERE status = 'succeeded' AND provider_reference IS NOT NULL GROUP BY kind, provider_reference
    HAVING count(*) > 1""",
)
invariant(
    "payments.calls_are_owned",
    meaning="An operation that was sent has a delivery that will settle it",
    sql=f"""SELECT p.id FROM payments_payment p JOIN payments_paymentoperation o ON o.payment_id = p.id
    WHERE o.status IN ('in_flight', 'unknown') AND o.called_at < now() - interval '2 minutes'
      AND {_NO_DELIVERY}""",  # noqa: S608
)
invariant(
    "payments.voids_end",
    meaning="A payment that is to be voided is clear of money, or work on it is under way",
    sql=f"""SELECT p.id FROM payments_payment p
    WHERE p.void_requested_at < now() - interval '2 minutes'
      AND p.status NOT IN ('voided', 'refunded', 'declined', 'expired') AND {_NO_DELIVERY}""",  # noqa: S608
)
invariant(
    "payments.history_is_complete",
    meaning="Payments and operations stand where their last recorded transition led (I15)",
    sql="""SELECT e.id FROM (
        SELECT 'payment' AS machine, id, status FROM payments_payment
        UNION ALL SELECT 'payment_operation', id, status FROM payments_paymentoperation
    ) e JOIN LATERAL (
        SELECT to_state FROM outbox_transition t WHERE t.machine = e.machine AND t.entity_id = e.id
        ORDER BY seq DESC LIMIT 1
    ) last ON true WHERE last.to_state <> e.status""",
)
