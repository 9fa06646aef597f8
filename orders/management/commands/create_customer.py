"""`create_customer NAME`: a customer with an API key, both printed once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from orders.customers import create_customer
from outbox.publishing import unit_of_work


class Command(BaseCommand):
    """Create a customer and print its id and API key. The key is shown this once."""

    help = "Create a customer and print its id and API key. The key is shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("name")
        parser.add_argument("--email", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the customer."""
        with unit_of_work():
            customer, key = create_customer(name=options["name"], email=options["email"])
        self.stdout.write(f"id   {customer.public_id}")
        self.stdout.write(f"key  {key}")
