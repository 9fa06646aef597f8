"""The top of the house: start-up, settings, the map of addresses, and the sandboxes; the only room that sees every app."""
