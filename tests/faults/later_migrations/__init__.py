"""The laboratory's migrations with another one: what a later release would bring."""
