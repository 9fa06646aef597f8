"""What must always be true of orders with their money and goods, as queries that return nothing when it is."""

from outbox.invariants import invariant

invariant(
    "orders.total_is_the_sum_of_lines",
    meaning="An order's total is the sum of its lines (I23).",
    sql="""
    SELECT o.id::text AS subject FROM orders_order o
    LEFT JOIN (SELECT order_id, sum(unit_price * quantity) AS lines FROM orders_orderline GROUP BY 1) l
           ON l.order_id = o.id
    WHERE o.total IS DISTINCT FROM l.lines
    """,
)
invariant(
    "orders.lines_are_reserved",
    meaning="A line of a living order holds its quantity of stock, or waits for what is missing of it, and no more; "
    "a line of a dead one does neither (I07).",
    sql="""
    SELECT o.id::text || ' ' || l.sku AS subject
    FROM orders_orderline l
    JOIN orders_order o ON o.id = l.order_id
    JOIN outbox_saga s ON s.definition = 'orders.place_order' AND s.key = o.id
    LEFT JOIN (
        SELECT line_id, sum(quantity) AS pieces FROM fulfillment_reservation
        WHERE status IN ('held', 'backordered', 'allocated', 'consumed') GROUP BY 1
    ) r ON r.line_id = l.id
    WHERE coalesce(r.pieces, 0) <> CASE WHEN o.status IN ('rejected', 'cancelled') THEN 0 ELSE l.quantity END
      AND (o.status IN ('rejected', 'cancelled', 'completed') OR s.status IN ('running', 'forward_stuck'))
    """,
)
invariant(
    "orders.waiting_is_shown",
    meaning="An order of which something waits for stock says so.",
    sql="""
    SELECT DISTINCT o.id::text AS subject FROM fulfillment_reservation r JOIN orders_order o ON o.id = r.order_id
    WHERE r.status = 'backordered' AND o.fulfillment_status <> 'backordered'
    """,
)
invariant(
    "orders.money_fits_goods",
    meaning="Nothing is taken before a parcel left; a completed order is paid in full; a dead one keeps nothing (I01).",
    sql="""
    SELECT o.id::text AS subject
    FROM orders_order o
    LEFT JOIN (
        SELECT order_id, sum(captured_amount) AS captured, sum(captured_amount - refunded_amount) AS kept
        FROM payments_payment GROUP BY 1
    ) p ON p.order_id = o.id
    WHERE (o.status IN ('rejected', 'cancelled') AND coalesce(p.kept, 0) <> 0)
       OR (o.status = 'completed' AND p.captured IS DISTINCT FROM o.total)
       OR (o.status NOT IN ('rejected', 'cancelled', 'cancelling') AND p.captured > 0 AND NOT EXISTS (
            SELECT FROM fulfillment_shipment f WHERE f.order_id = o.id AND f.handed_over_at IS NOT NULL))
    """,
)
invariant(
    "orders.parcels_leave_paid",
    meaning="A parcel only leaves when the whole amount is held or taken (I18).",
    sql="""
    SELECT DISTINCT o.id::text AS subject
    FROM fulfillment_shipment f
    JOIN orders_order o ON o.id = f.order_id
    JOIN payments_payment p ON p.id = o.payment_id
    WHERE f.handed_over_at IS NOT NULL AND p.authorised_amount < o.total
    """,
)
invariant(
    "orders.dead_orders_leave_nothing",
    meaning="A cancelled or rejected order has no money held and no parcel that may leave (I19).",
    sql="""
    SELECT o.id::text AS subject FROM orders_order o
    WHERE o.status IN ('rejected', 'cancelled') AND (
        EXISTS (SELECT FROM payments_payment p WHERE p.order_id = o.id
                AND p.status NOT IN ('voided', 'declined', 'expired', 'refunded'))
        OR EXISTS (SELECT FROM fulfillment_shipment f WHERE f.order_id = o.id AND f.status NOT IN ('voided', 'failed')))
    """,
)
invariant(
    "orders.intended_payment_is_the_total",
    meaning="Every order has its payment, over its total in its currency.",
    sql="""
    SELECT o.id::text AS subject FROM orders_order o
    LEFT JOIN payments_payment p ON p.id = o.payment_id AND p.order_id = o.id
    WHERE (p.amount, p.currency) IS DISTINCT FROM (o.total, o.currency)
    """,
)
invariant(
    "orders.carried_by_a_saga",
    meaning="Every order has its saga; it is over exactly when the order is, and otherwise waits with a deadline, "
    "for the cancellation, or for a person (I09).",
    sql="""
    SELECT o.id::text AS subject FROM orders_order o
    LEFT JOIN outbox_saga s ON s.definition = 'orders.place_order' AND s.key = o.id
    LEFT JOIN outbox_saga c ON c.definition = 'orders.cancel_order' AND c.key = o.id
    WHERE s.id IS NULL
       OR (o.status IN ('completed', 'rejected', 'cancelled')) <> (s.status IN ('completed', 'compensated'))
       OR (s.status IN ('running', 'compensating') AND s.deadline_at IS NULL)
       OR (s.status = 'suspended' AND (c.id IS NULL OR c.status IN ('completed', 'compensated')))
    """,
)
invariant(
    "orders.no_hold_outlives_its_order",
    meaning="Stock is held only for an order that is still on its way, however long its payment takes.",
    sql="""
    SELECT DISTINCT o.id::text AS subject FROM fulfillment_reservation r JOIN orders_order o ON o.id = r.order_id
    WHERE r.status = 'held' AND o.status IN ('rejected', 'cancelled', 'completed')
    """,
)
invariant(
    "orders.status_is_the_last_transition",
    meaning="An order stands where its last recorded transition led (I15).",
    sql="""
    SELECT o.id::text AS subject FROM orders_order o
    LEFT JOIN LATERAL (
        SELECT to_state FROM outbox_transition t
        WHERE t.machine = 'order' AND t.entity_id = o.id ORDER BY seq DESC LIMIT 1
    ) last ON true
    WHERE last.to_state IS DISTINCT FROM o.status
    """,
)
invariant(
    "orders.transitions_are_told",
    meaning="Each transition of an order has its event, each event its transition, both of one transaction (I11); "
    "transitions outlive events, whose months are dropped.",
    sql="""
    SELECT coalesce(t.entity_id, m.aggregate_id)::text AS subject
    FROM (
        SELECT entity_id, xid, count(*) AS steps, max(at) AS at FROM outbox_transition WHERE machine = 'order'
        GROUP BY 1, 2
    ) t
    FULL JOIN (
        SELECT aggregate_id, xid, count(*) AS steps FROM outbox_message
        WHERE name LIKE 'orders.order\\_%' AND kind = 'event' GROUP BY 1, 2
    ) m ON m.aggregate_id = t.entity_id AND m.xid = t.xid
    WHERE t.steps IS DISTINCT FROM m.steps AND (m.steps IS NOT NULL OR t.at >= outbox_history_begins())
    """,
)
invariant(
    "orders.one_key_one_order",
    meaning="Every remembered answer to a placed order names an order that exists, and no two name the same (I16).",
    sql="""
    SELECT min(answer.key) AS subject
    FROM (
        SELECT key, convert_from(response_body, 'UTF8')::jsonb ->> 'id' AS public_id
        FROM outbox_idempotencyrecord WHERE scope LIKE '% POST /api/v1/orders'
    ) answer
    LEFT JOIN orders_order o ON o.id = substring(answer.public_id FROM 5)::uuid
    GROUP BY answer.public_id HAVING count(*) > 1 OR count(o.id) = 0
    """,
)
invariant(
    "orders.events_are_numbered_without_gaps",
    meaning="The events of an order count up from 1, those of a customer's feed too, without gaps (I12).",
    sql="""
    SELECT order_id::text AS subject FROM orders_publicevent GROUP BY order_id
    HAVING count(*) <> max(sequence) OR min(sequence) <> 1
    UNION ALL
    SELECT f.customer_id::text FROM orders_customerfeed f
    LEFT JOIN orders_publicevent e ON e.customer_id = f.customer_id
    GROUP BY f.customer_id, f.last_position
    HAVING count(e.id) <> f.last_position OR max(e.position) IS DISTINCT FROM f.last_position
    """,
)
invariant(
    "orders.events_are_told_or_pending",
    meaning="Whatever the feed's consumer has finished is in its customer's feed, and nothing is told before it.",
    sql="""
    SELECT r.message_id::text AS subject FROM outbox_receipt r
    LEFT JOIN orders_publicevent e ON e.id = r.message_id
    WHERE r.consumer = 'orders.public_events' AND r.outcome = 'done' AND e.id IS NULL
    UNION ALL
    SELECT e.id::text FROM orders_publicevent e
    JOIN outbox_delivery d ON d.message_id = e.id AND d.consumer = 'orders.public_events'
    WHERE NOT EXISTS (SELECT FROM outbox_formerreceipt f WHERE f.message_id = e.id AND f.consumer = d.consumer)
    """,
)
invariant(
    "orders.events_are_offered",
    meaning="Every event that a working webhook endpoint wants is on its way there, or it is known what became of it "
    "(I21); of endpoints that changed within the last minute nothing is said, nor of what retention has forgotten.",
    sql="""
    SELECT e.id::text AS subject FROM outbox_webhookendpoint w
    JOIN orders_publicevent e ON e.customer_id = w.owner_id AND e.created_at > w.offers_since + interval '1 minute'
     AND (w.events @> ARRAY['*'] OR w.events @> ARRAY[e.type::text])
     AND e.created_at > now() - interval '1 day'
    WHERE w.enabled AND w.deleted_at IS NULL AND NOT EXISTS (
        SELECT FROM outbox_webhookdelivery d
        WHERE d.endpoint_id = w.id AND d.event_id = e.id AND d.cause = 'event')
    """,
)
invariant(
    "orders.refunds_fit_returns",
    meaning="A return is paid back the price of what was taken back, once: none before the inspection, all of it when "
    "it is closed; and a completed order is paid back for its returns only (I01).",
    sql="""
    SELECT coalesce(r.id, paid.id)::text AS subject
    FROM (
        SELECT r.id, r.order_id, r.status, sum(coalesce(line.sellable + line.damaged, 0) * l.unit_price) AS price
        FROM fulfillment_return r
        JOIN fulfillment_returnline line ON line.return_id = r.id
        JOIN orders_orderline l ON l.id = line.line_id
        GROUP BY r.id
    ) r
    FULL JOIN (
        SELECT op.id, op.amount, op.status FROM payments_paymentoperation op
        JOIN payments_payment p ON p.id = op.payment_id
        JOIN orders_order o ON o.id = p.order_id
        WHERE op.kind = 'refund' AND (o.status = 'completed' OR op.id IN (SELECT id FROM fulfillment_return))
    ) paid ON paid.id = r.id
    WHERE r.id IS NULL
       OR (paid.id IS NOT NULL AND paid.amount <> r.price)
       OR (paid.id IS NOT NULL AND r.status NOT IN ('inspected', 'refund_granted', 'closed'))
       OR (r.status = 'refund_granted' AND paid.id IS NULL)
       OR (r.status = 'closed' AND paid.status IS DISTINCT FROM 'succeeded')
    """,
)
invariant(
    "orders.returns_are_carried_by_a_saga",
    meaning="Every return has its saga; it is over exactly when the return is, and otherwise waits with a deadline or "
    "for a person.",
    sql="""
    SELECT r.id::text AS subject FROM fulfillment_return r
    LEFT JOIN outbox_saga s ON s.definition = 'orders.return_order' AND s.key = r.id
    WHERE s.id IS NULL
       OR (r.status = 'closed') <> (s.status = 'completed')
       OR (s.status = 'compensated' AND r.status <> 'rejected')
       OR (s.status = 'running' AND s.deadline_at IS NULL)
    """,
)
invariant(
    "orders.returned_is_shown",
    meaning="An order that says it is returned was taken back whole.",
    sql="""
    SELECT o.id::text AS subject FROM orders_order o
    LEFT JOIN (
        SELECT r.order_id, sum(line.sellable + line.damaged) AS pieces
        FROM fulfillment_return r JOIN fulfillment_returnline line ON line.return_id = r.id
        WHERE r.status IN ('inspected', 'refund_granted', 'closed') GROUP BY 1
    ) back ON back.order_id = o.id
    WHERE o.fulfillment_status = 'returned'
      AND back.pieces IS DISTINCT FROM (SELECT sum(quantity) FROM orders_orderline l WHERE l.order_id = o.id)
    """,
)
