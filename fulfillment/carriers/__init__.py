"""Carriers: what is needed of one, and the adapter to the one that is configured."""
