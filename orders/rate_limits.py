"""How much a customer, a key or an address may ask for: token buckets in the database, spent from in portions.

A process takes a tenth of a second's worth out of the shared bucket at a time and spends that from memory, so that the
bucket costs ten statements a second however many requests come. What it does not spend within a second is given up,
which can only make the limit narrower. (docs/decisions/0020)
"""

import ipaddress
import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection

from orders.callers import PREFIX_SHOWN, Caller, prefix_of
from orders.errors import RateLimited

PORTION_SECONDS = 0.1
PORTION_LASTS_SECONDS = 1.0
MOST_REMEMBERED = 10_000
FAILURES_PER_MINUTE = {"address": 60, "prefix": 30}
"""Wrong keys, from one address and for one key's prefix."""

_PREFIX = re.compile(f"tdm_[A-Za-z0-9]{{{PREFIX_SHOWN}}}")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Something that fills up with `rate` tokens a second, up to `capacity`."""

    name: str
    """What is limited, for those who are told: `customer`, `key`, `address`, `prefix`."""
    subject: str
    rate: float
    capacity: int

    @property
    def portion(self) -> int:
        """How many tokens a process takes at a time."""
        return max(1, int(self.rate * PORTION_SECONDS))


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left in a bucket."""

    bucket: Bucket
    remaining: int
    allowed: bool
    wait: float
    """Seconds until there is something again, where nothing is."""

    @property
    def reset(self) -> int:
        """Seconds until the bucket is full, rounded up."""
        return math.ceil((self.bucket.capacity - self.remaining) / self.bucket.rate)


# The first row is written with the portion taken. Unlogged: no WAL, no wait for the disk; a crash fills every bucket.
_TAKE = """
INSERT INTO orders_ratebucket AS bucket (subject, tokens, taken, filled_at)
VALUES (%(subject)s, %(capacity)s::float8 - %(portion)s::int, %(portion)s::int, statement_timestamp())
ON CONFLICT (subject) DO UPDATE SET (tokens, taken, filled_at) = (
    SELECT level - portion, portion, greatest(bucket.filled_at, statement_timestamp())
    FROM (SELECT least(%(capacity)s::float8, bucket.tokens + %(rate)s::float8 * greatest(
              0, extract(epoch FROM statement_timestamp() - bucket.filled_at)::float8)) AS level) AS now,
         LATERAL (SELECT least(%(portion)s::int, floor(level)::int) AS portion) AS taken)
RETURNING taken, tokens
"""
_FORGET = "DELETE FROM orders_ratebucket WHERE filled_at < now() - interval '1 hour'"

Taken = tuple[int, float]
"""How many tokens were taken, and how many the shared bucket holds now."""


def take(bucket: Bucket) -> Taken:
    """Take a portion, or what there is, out of the shared bucket, in a statement of its own."""
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {"subject": bucket.subject, "capacity": bucket.capacity, "rate": bucket.rate, "portion": bucket.portion},
        )
        taken, tokens = cursor.fetchone()
    return taken, tokens


def forget_full_buckets() -> None:
    """Remove buckets that nobody took from for an hour: they are full. A periodic job."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET)


@dataclass(slots=True)
class _Purse:
    """What this process holds of one bucket."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    left: int = 0
    good_until: float = 0.0
    empty_until: float = 0.0
    shared: float = 0.0
    """Tokens in the shared bucket when it was last asked."""


class Meter:
    """Spends from buckets; one for all threads of a process."""

    def __init__(self, take: Callable[[Bucket], Taken] = take, clock: Callable[[], float] = time.monotonic) -> None:
        self._take, self._clock = take, clock
        self._purses: dict[str, _Purse] = {}

    def spend(self, bucket: Bucket) -> Allowance:
        """Spend one token, if there is one."""
        purse = self._purse(bucket.subject)
        with purse.lock:
            now = self._clock()
            if (purse.left == 0 or now >= purse.good_until) and now >= purse.empty_until:
                self._refill(purse, bucket, now)
            if purse.left == 0:
                return Allowance(bucket, 0, allowed=False, wait=max(0.0, purse.empty_until - now))
            purse.left -= 1
            remaining = min(bucket.capacity, int(purse.shared) + purse.left)
            return Allowance(bucket, remaining, allowed=True, wait=0.0)

    def _purse(self, subject: str) -> _Purse:
        if len(self._purses) > MOST_REMEMBERED:
            self._purses = {}
        return self._purses.setdefault(subject, _Purse())

    def _refill(self, purse: _Purse, bucket: Bucket, now: float) -> None:
        purse.left, purse.shared = self._take(bucket)
        purse.good_until = now + PORTION_LASTS_SECONDS
        if purse.left == 0:
            purse.empty_until = now + (bucket.portion - purse.shared) / bucket.rate


meter = Meter()


def spend(caller: Caller) -> list[Allowance]:
    """Count one request of the caller; return what is left in its buckets, the narrowest first."""
    spent: list[Allowance] = []
    for bucket in _buckets_of(caller):
        spent.insert(0, meter.spend(bucket))
        if not spent[0].allowed:
            return spent
    return sorted(spent, key=lambda allowance: allowance.remaining)


def check(allowances: Sequence[Allowance]) -> None:
    """Raise RateLimited when one of them is used up."""
    for left in allowances:
        if not left.allowed:
            words = f"This {left.bucket.name} may make {left.bucket.capacity} requests a second."
            raise RateLimited(f"{words} Wait, then go on more slowly.", seconds=left.wait)


def _buckets_of(caller: Caller) -> list[Bucket]:
    of_customer = caller.customer_rate_limit or settings.RATE_LIMIT_PER_SECOND
    buckets = [Bucket("customer", f"customer:{caller.customer_id}", of_customer, of_customer)]
    if caller.key_rate_limit:
        buckets.insert(0, Bucket("key", f"key:{caller.key_id}", caller.key_rate_limit, caller.key_rate_limit))
    return buckets


def count_wrong_key(*, address: str, key: str) -> None:
    """Count a key that was not good. Raises RateLimited when there were too many of them lately.

    A good key is never refused for others' wrong ones: nobody can lock a customer out by guessing.
    """
    prefix = prefix_of(key)
    subjects = {"address": _network_of(address)} | ({"prefix": prefix} if _PREFIX.fullmatch(prefix) else {})
    for name, subject in subjects.items():
        most = FAILURES_PER_MINUTE[name]
        taken, tokens = take(Bucket(name, f"wrong:{name}:{subject}", most / 60, most))
        if taken == 0:
            seconds = (1 - tokens) * 60 / most
            raise RateLimited("Too many wrong API keys. Wait, and look for what sends them.", seconds=seconds)


def _network_of(address: str) -> str:
    """Return the address, of IPv6 the network that one caller has for itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 6 and not parsed.ipv4_mapped:
        return str(ipaddress.ip_network(f"{parsed}/64", strict=False))
    return str(parsed.ipv4_mapped if parsed.version == 6 else parsed)
