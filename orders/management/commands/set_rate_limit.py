"""`set_rate_limit CUSTOMER N|usual [--key PREFIX]`: how many requests a second a customer, or a key, may make."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.customers import set_rate_limit
from orders.errors import NotFound
from orders.public_ids import CUSTOMER, parse_public_id
from outbox.context import scope
from outbox.publishing import unit_of_work

USUAL = "usual"


class Command(BaseCommand):
    """Sets a limit, which holds from the next request on."""

    help = "Let a customer, or one of its keys, make N requests a second; `usual` for what holds for all."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare whose limit, which, and the reason."""
        parser.add_argument("customer", metavar="CUSTOMER", help="cus_…")
        parser.add_argument("limit", metavar="N|usual")
        parser.add_argument("--key", metavar="PREFIX", default="", help="one of its keys: tdm_ and 8 characters")
        parser.add_argument("--reason", default="decided", help="why, for the records (default: decided)")

    def handle(self, *args: Any, customer: str, limit: str, key: str, reason: str, **options: Any) -> None:
        """Set it."""
        customer_id = parse_public_id(CUSTOMER, customer)
        if customer_id is None:
            raise CommandError(f"{customer!r} is no customer's id; they look like cus_0190….")
        if limit != USUAL and not (limit.isascii() and limit.isdigit() and 0 < int(limit) <= 1_000_000):
            raise CommandError("The limit is a number from 1 to 1000000, or `usual`.")
        per_second = None if limit == USUAL else int(limit)
        try:
            with scope(actor=f"command:{getpass.getuser()}"), unit_of_work():
                set_rate_limit(customer_id=customer_id, per_second=per_second, reason=reason, prefix=key)
        except NotFound as error:
            raise CommandError(str(error)) from error
        whose = f"The key {key}…" if key else "The customer"
        how = "what is usual" if per_second is None else f"{per_second} requests a second"
        self.stdout.write(f"{whose} may make {how} from now on.")
