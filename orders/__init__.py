"""The upper domain: customers, catalogue, orders, and the sagas that carry an order through."""
