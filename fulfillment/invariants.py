"""What must always be true of goods, as queries that return nothing when it is."""

from outbox.invariants import invariant

invariant(
    "fulfillment.stock_within_bounds",
    meaning="Nothing is on hand, or reserved, below zero, and no more is reserved than is on hand.",
    sql="""
    SELECT sku || '@' || warehouse_id AS subject FROM fulfillment_stockitem
    WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand
    """,
)
invariant(
    "fulfillment.reserved_is_what_orders_hold",
    meaning="What a stock item counts as reserved is the sum of the held and allocated reservations.",
    sql="""
    SELECT coalesce(item.place, promised.place) AS subject
    FROM (SELECT sku || '@' || warehouse_id AS place, reserved FROM fulfillment_stockitem) item
    FULL JOIN (
        SELECT sku || '@' || warehouse_id AS place, sum(quantity) AS pieces
        FROM fulfillment_reservation WHERE status IN ('held', 'allocated') GROUP BY 1
    ) promised USING (place)
    WHERE coalesce(item.reserved, 0) <> coalesce(promised.pieces, 0)
    """,
)
invariant(
    "fulfillment.on_hand_is_the_sum_of_movements",
    meaning="What is on hand is the sum of all movements.",
    sql="""
    SELECT coalesce(item.place, moved.place) AS subject
    FROM (SELECT sku || '@' || warehouse_id AS place, on_hand FROM fulfillment_stockitem) item
    FULL JOIN (
        SELECT sku || '@' || warehouse_id AS place, sum(delta) AS pieces FROM fulfillment_stockmovement GROUP BY 1
    ) moved USING (place)
    WHERE coalesce(item.on_hand, 0) <> coalesce(moved.pieces, 0)
    """,
)
invariant(
    "fulfillment.one_live_parcel",
    meaning="An order has at most one parcel per warehouse that left or may leave.",
    sql="""
    SELECT order_id::text AS subject FROM fulfillment_shipment
    WHERE status NOT IN ('voided', 'failed') GROUP BY order_id, warehouse_id HAVING count(*) > 1
    """,
)
invariant(
    "fulfillment.what_left_is_consumed",
    meaning="An order's reservations in a warehouse are consumed exactly when its parcel from there was handed over.",
    sql="""
    SELECT reservation.order_id::text AS subject
    FROM fulfillment_reservation reservation
    LEFT JOIN fulfillment_shipment parcel
        ON parcel.order_id = reservation.order_id AND parcel.warehouse_id = reservation.warehouse_id
        AND parcel.status IN ('handed_over', 'in_transit', 'delivered', 'exception', 'lost', 'returned')
    WHERE (reservation.status = 'consumed') <> (parcel.id IS NOT NULL)
    """,
)
invariant(
    "fulfillment.what_left_is_moved",
    meaning="What an order consumed in a warehouse left its shelves, once.",
    sql="""
    SELECT coalesce(consumed.place, moved.place) AS subject
    FROM (
        SELECT order_id || ' ' || sku || '@' || warehouse_id AS place, sum(quantity) AS pieces
        FROM fulfillment_reservation WHERE status = 'consumed' GROUP BY 1
    ) consumed
    FULL JOIN (
        SELECT order_id || ' ' || sku || '@' || warehouse_id AS place, -sum(delta) AS pieces
        FROM fulfillment_stockmovement WHERE kind = 'hand_over' GROUP BY 1
    ) moved USING (place)
    WHERE coalesce(consumed.pieces, 0) <> coalesce(moved.pieces, 0)
    """,
)
invariant(
    "fulfillment.cancelled_leaves_nothing",
    meaning="An order whose goods were cancelled or given back has no parcel that left or may leave.",
    sql="""
    SELECT consignment.order_id::text AS subject
    FROM fulfillment_consignment consignment JOIN fulfillment_shipment parcel USING (order_id)
    WHERE consignment.status IN ('cancelled', 'released') AND parcel.status NOT IN ('voided', 'failed')
    """,
)
invariant(
    "fulfillment.status_fits_reservations",
    meaning="An order's reservations are held before it is allocated, but for what it waited for; only those of a "
    "backordered one wait; none is left after it gave them back, and all are consumed once everything was handed over.",
    sql="""
    SELECT consignment.order_id::text AS subject
    FROM fulfillment_consignment consignment LEFT JOIN fulfillment_reservation reservation USING (order_id)
    WHERE reservation.id IS NULL
       OR (consignment.status IN ('reserved', 'backordered') AND reservation.status NOT IN ('held', 'backordered')
           AND (reservation.status, reservation.expires_at IS NULL) <> ('allocated', true))
       OR (consignment.status <> 'backordered' AND reservation.status = 'backordered')
       OR (consignment.status = 'released' AND reservation.status NOT IN ('released', 'expired'))
       OR (consignment.status = 'shipped' AND reservation.status <> 'consumed')
       OR (consignment.status NOT IN ('reserved', 'backordered', 'cancelled', 'released')
           AND reservation.status NOT IN ('allocated', 'consumed'))
    """,
)
invariant(
    "fulfillment.nothing_is_free_while_somebody_waits",
    meaning="No product that an order waits for has a piece that is promised to nobody.",
    sql="""
    SELECT DISTINCT item.sku || '@' || item.warehouse_id AS subject
    FROM fulfillment_stockitem item JOIN fulfillment_reservation waiting USING (sku)
    WHERE waiting.status = 'backordered' AND item.on_hand > item.reserved
    """,
)
invariant(
    "fulfillment.nobody_overtakes",
    meaning="While an order waits for a product, no order that came to it later has any of it.",
    sql="""
    SELECT DISTINCT later.order_id || ' ' || later.sku AS subject
    FROM fulfillment_reservation waiting JOIN fulfillment_reservation later USING (sku)
    WHERE waiting.status = 'backordered' AND later.status IN ('held', 'allocated', 'consumed')
      AND later.place > waiting.place AND later.order_id <> waiting.order_id
    """,
)
invariant(
    "fulfillment.filled_backorders_go_on",
    meaning="A backordered order waits for something, or is about to notice that all of it is there.",
    sql="""
    SELECT consignment.order_id::text AS subject FROM fulfillment_consignment consignment
    WHERE consignment.status = 'backordered'
      AND NOT EXISTS (
          SELECT FROM fulfillment_reservation r WHERE r.order_id = consignment.order_id AND r.status = 'backordered')
      AND NOT EXISTS (
          SELECT FROM outbox_message m JOIN outbox_delivery d ON d.message_id = m.id
          WHERE m.aggregate_id = consignment.order_id AND m.name = 'fulfillment.check_backorder')
    """,
)
invariant(
    "fulfillment.no_more_comes_back_than_left",
    meaning="No more pieces of an order are in returns than were sent to the customer.",
    sql="""
    SELECT back.order_id || ' ' || back.sku AS subject
    FROM (
        SELECT r.order_id, line.sku, sum(line.quantity) AS pieces
        FROM fulfillment_return r JOIN fulfillment_returnline line ON line.return_id = r.id
        WHERE r.status <> 'rejected' GROUP BY 1, 2
    ) back
    LEFT JOIN (
        SELECT order_id, sku, sum(quantity) AS pieces
        FROM fulfillment_reservation WHERE status = 'consumed' GROUP BY 1, 2
    ) sent USING (order_id, sku)
    WHERE back.pieces > coalesce(sent.pieces, 0)
    """,
)
invariant(
    "fulfillment.only_sellable_returns_are_restocked",
    meaning="What an inspection found sellable went back onto the shelf, once; nothing else did.",
    sql="""
    SELECT coalesce(found.place, moved.place) AS subject
    FROM (
        SELECT line.return_id || ' ' || line.sku || '@' || r.warehouse_id AS place, line.sellable AS pieces
        FROM fulfillment_returnline line JOIN fulfillment_return r ON r.id = line.return_id WHERE line.sellable > 0
    ) found
    FULL JOIN (
        SELECT return_id || ' ' || sku || '@' || warehouse_id AS place, sum(delta) AS pieces
        FROM fulfillment_stockmovement WHERE kind = 'return' GROUP BY 1
    ) moved USING (place)
    WHERE coalesce(found.pieces, 0) <> coalesce(moved.pieces, 0)
    """,
)
invariant(
    "fulfillment.findings_fit_the_return",
    meaning="A return has findings exactly when it was inspected, and goes on only when something was taken back.",
    sql="""
    SELECT r.id::text AS subject
    FROM fulfillment_return r
    LEFT JOIN (
        SELECT return_id, bool_and(sellable IS NOT NULL) AS inspected, sum(sellable + damaged) AS accepted
        FROM fulfillment_returnline GROUP BY 1
    ) line ON line.return_id = r.id
    WHERE line.return_id IS NULL
       OR (r.status IN ('requested', 'approved', 'received') AND line.inspected)
       OR (r.status IN ('inspected', 'refund_granted', 'closed') AND (NOT line.inspected OR line.accepted = 0))
       OR (r.status = 'rejected' AND line.accepted > 0)
    """,
)
