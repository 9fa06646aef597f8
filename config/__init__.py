"""The top of the house: start-up, settings, the map of addresses, the sandboxes. Only this room sees every app."""
