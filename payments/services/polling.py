"""How long to wait before looking again at what somebody else has to finish."""

from datetime import timedelta

POLL_AFTER = timedelta(seconds=60)
"""Callbacks tell sooner; this is for those that never come."""

RECHECK_AFTER = timedelta(seconds=1)
"""A call of ours is under way and ends within seconds."""

CALL_LIMIT = timedelta(seconds=90)
"""A call ends within 10 s and its lease within 30; what has no answer after this has lost its worker."""

KEY_LIFE = timedelta(hours=20)
"""Providers forget idempotency keys after 24 hours; past this a key is not trusted any more."""
