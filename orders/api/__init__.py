"""The customers' door: REST under /api/v1."""
