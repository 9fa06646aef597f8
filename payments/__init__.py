"""Payments: money held, taken, released and given back for an order, through a payment provider."""
