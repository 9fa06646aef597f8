"""Writes. Every function is keyword-only and refuses to run outside a unit of work.

Locks are taken in one order: the order's consignment, then stock by (sku, warehouse).
"""
