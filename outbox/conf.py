"""The engine's settings, with the value of each where a project's settings do not name it.

They stand in Django's settings under these names, and are read when they are needed, so that tests may override them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from django.conf import settings

T = TypeVar("T")

ENGINE_JOBS: Mapping[str, int] = {
    "outbox.housekeeping.create_partitions": 60 * 12,
    "outbox.housekeeping.prune": 60,
    "outbox.housekeeping.release_stranded": 1,
    "outbox.housekeeping.look_after_endpoints": 1,
}
"""The engine's own periodic jobs: function → minutes. A project that adds jobs of its own keeps these."""
NETWORK_LIMITS: Mapping[str, int] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Connection parameters by which a dead database is noticed within 25 s: limits to connecting, silence and
unacknowledged data."""
SERVER_NETWORK_LIMITS = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=20000"
)
"""The same the other way, for `options`: a host that is cut off loses row locks and session lock within 25 s."""


class Setting(Generic[T]):
    """A setting of Django's that may be missing."""

    def __init__(self, default: T) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> T:
        return cast("T", getattr(settings, self._name, self._default))


class Conf:
    """Every setting that the engine reads, and what it is worth when nobody sets it."""

    DATABASE_LISTEN_URL = Setting("")
    """A direct URL of the database where DATABASES goes through a pooler in transaction mode."""
    NETWORK_LIMITS = Setting(NETWORK_LIMITS)
    """Connection parameters for DATABASE_LISTEN_URL."""
    DATABASE_ANSWER_SECONDS = Setting(25.0)
    """How long an answer is awaited from a database that stands still, where ENGINE is "outbox.postgresql"; 0: for
    ever. Longer than the role's statement_timeout, so that the server's own limit comes first."""
    RELEASE = Setting("")
    """Which release this is; written into messages and shown beside workers."""
    LEASE_SECONDS = Setting(30)
    """How long a call outside belongs to a worker that no longer shows that it lives."""
    POLL_SECONDS = Setting(1.0)
    """How long a message may wait whose doorbell was lost."""
    MAX_ATTEMPTS = Setting(8)
    """Attempts for consumers that name no policy of their own."""
    BACKOFF_CAP_SECONDS = Setting(3600)
    """The longest wait between two attempts, for the same consumers."""
    MAX_PENDING = Setting(10_000)
    """How many messages may be ready for a consumer that names no bound of its own before bulk work waits for it."""
    IDEMPOTENCY_HOURS = Setting(24)
    """How long the answer to an idempotency key is kept."""
    MESSAGES_KEPT_DAYS = Setting(400)
    """How long messages are kept at least, those that something unfinished needs longer; whole months are dropped."""
    RECEIPTS_KEPT_DAYS = Setting(430)
    """How long it is known at least which message was finished by whom; always longer than the message is kept."""
    ATTEMPTS_KEPT_DAYS = Setting(400)
    """How long failed attempts are kept at least; those of what still waits stay with it."""
    DEAD_LETTERS_WAIT_DAYS = Setting(90)
    """How long a dead letter may be expected to wait for a person; the three above must leave that time."""
    WEBHOOK_ALLOWED_NETWORKS = Setting[Sequence[str]](())
    """Networks that webhook endpoints may be in though they are not public, over http and on any port, too."""
    WEBHOOK_DISABLE_HOURS = Setting(72)
    """How long every call of an endpoint has to fail until it is disabled, and only tried now and then."""
    WEBHOOK_ENDPOINTS = Setting(50)
    """Endpoints that one owner may have."""
    WEBHOOK_LOG_DAYS = Setting(30)
    """How long it is kept what became of a delivery to an endpoint."""
    PERIODIC_JOBS = Setting(ENGINE_JOBS)
    """What django-q2 may run besides shifts: function → minutes; nothing else is ever called from its tables."""
    RUN_DIR = Setting("")
    """Where worker processes note which role they play, for a supervisor; empty for nowhere."""
    CONTRACTS_FOLDER = Setting(Path("docs/reference/contracts"))
    """Where the published contracts are kept."""


conf = Conf()


def q_cluster(name: str, *, workers: int) -> dict[str, Any]:
    """Return django-q2's `Q_CLUSTER` as the engine needs it, for clusters that are called `name`.

    The broker hands out shifts, and `queue_limit` paces it by the workers (outbox/q2.py).
    """
    return {
        "name": name,
        "orm": "default",
        "broker_class": "outbox.q2.OutboxBroker",
        "workers": workers,
        "queue_limit": workers,
        "timeout": 60,
        "retry": 90,
        "recycle": 5_000,
        "guard_cycle": 0.5,
        "poll": 0.2,
        "save_limit": 0,
        "catch_up": False,
        "max_attempts": 3,
        "ack_failures": True,
        "label": "Periodic jobs",
    }
