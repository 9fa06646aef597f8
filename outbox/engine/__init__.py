"""The engine: claims deliveries, runs consumers, records what came of it. Private to the outbox."""
