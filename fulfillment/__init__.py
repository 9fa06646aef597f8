"""Goods: stock, reservations and shipments. A leaf domain; it knows orders by their id only."""
