"""A transactional outbox and its engine: messages, deliveries, retries, breakers, sagas. It knows no domain."""
