"""The operators' console: the engine's tables to read, and dead letters to retry or discard."""

from outbox.admin import dead_letters, destinations, flow, messages, q2, records, sagas

__all__ = ["dead_letters", "destinations", "flow", "messages", "q2", "records", "sagas"]
