"""`manage.py set_stock SKU WAREHOUSE N`: write down a stock count."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fulfillment.errors import FulfillmentError
from fulfillment.services.stock import set_stock
from outbox.context import scope
from outbox.publishing import unit_of_work


class Command(BaseCommand):
    """Sets what is on hand of one product in one warehouse."""

    help = "Set how many pieces of SKU are on hand in WAREHOUSE; the difference is kept as a stock movement."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare SKU, WAREHOUSE, N and the reason."""
        parser.add_argument("sku", metavar="SKU")
        parser.add_argument("warehouse", metavar="WAREHOUSE")
        parser.add_argument("on_hand", metavar="N", type=int)
        parser.add_argument("--reason", default="counted", help="why, for the records (default: counted)")

    def handle(self, *args: Any, sku: str, warehouse: str, on_hand: int, reason: str, **options: Any) -> None:
        """Set it and say what changed."""
        if on_hand < 0:
            raise CommandError("N is a number of pieces: 0 or more.")
        try:
            with scope(actor=f"command:{getpass.getuser()}"), unit_of_work():
                delta = set_stock(sku=sku, warehouse=warehouse, on_hand=on_hand, reason=reason)
        except FulfillmentError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{sku} in {warehouse}: {on_hand} on hand ({delta:+d}).")
