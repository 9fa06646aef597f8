"""The verbs of `manage.py outbox`, a module per subject: what operators see and do in the admin, from a terminal."""
