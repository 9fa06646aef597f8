"""`create_staff NAME --role …`: an account for the staff pages and the admin."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.customers import ROLES, create_staff
from outbox.publishing import unit_of_work


class Command(BaseCommand):
    """Create a staff account and print its password, this once."""

    help = "Create a staff account and print its password, this once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=list(ROLES))

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the account."""
        name = options["name"]
        if User.objects.filter(username=name).exists():
            raise CommandError(f"There is an account {name!r} already. Choose another name.")
        with unit_of_work():
            password = create_staff(username=name, role=options["role"])
        self.stdout.write(f"username  {name}")
        self.stdout.write(f"password  {password}")
