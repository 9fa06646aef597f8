"""`allow_backorders SKU … [--stop]`: let products be ordered beyond what is in stock, or not any more."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.customers import allow_backorders
from orders.models import Product
from outbox.context import scope
from outbox.publishing import unit_of_work


class Command(BaseCommand):
    """Marks products."""

    help = "Let products be ordered beyond what is in stock; with --stop, up to what is in stock only."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the products and the reason."""
        parser.add_argument("skus", metavar="SKU", nargs="+")
        parser.add_argument("--stop", action="store_true", help="refuse orders beyond stock from now on")
        parser.add_argument("--reason", default="decided", help="why, for the records (default: decided)")

    def handle(self, *args: Any, skus: list[str], stop: bool, reason: str, **options: Any) -> None:
        """Mark them and say which were not marked so already."""
        known = set(Product.objects.filter(sku__in=skus).values_list("sku", flat=True))
        if unknown := sorted(set(skus) - known):
            raise CommandError(f"There is no product {', '.join(unknown)} in the catalogue.")
        with scope(actor=f"command:{getpass.getuser()}"), unit_of_work():
            changed = allow_backorders(skus=skus, allowed=not stop, reason=reason)
        how = "up to what is in stock only" if stop else "beyond what is in stock"
        self.stdout.write(f"{', '.join(changed) or 'Nothing'} changed: ordered {how} from now on.")
