"""`load_demo`: the catalogue, stock, customers and accounts of the demo. Running it again changes nothing."""

import json
import os
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand

from fulfillment import facade as fulfillment
from orders.callers import caller_of
from orders.customers import create_customer, create_staff, load_catalogue
from orders.demo_catalogue import CATALOGUE, WAREHOUSES
from orders.errors import InvalidKey
from outbox.publishing import unit_of_work

CUSTOMERS = {
    "api_key": ("Quay & Sons, Grocers", "orders@quay.example"),
    "second_customer_api_key": ("The Corner Reading Room", "kitchen@corner.example"),
}
STAFF = {"staff": "operator", "viewer": "viewer", "operator": "operator", "approver": "approver"}


class Command(BaseCommand):
    """Load the demo; keys and passwords go to the file that TANDEM_DEMO_FILE names, readable by its owner only."""

    help = "Load the demo's catalogue, stock, customers and accounts."

    def handle(self, *args: Any, **options: Any) -> None:
        """Load what is missing."""
        file = os.environ.get("TANDEM_DEMO_FILE")
        known = _read(Path(file)) if file else {}
        with unit_of_work():
            load_catalogue()
            _load_stock()
            accounts = {**_keys(known), **_staff(known)}
        if file:
            _write(Path(file), {**known, **accounts})
        self.stdout.write(f"The demo is loaded: {len(CATALOGUE)} products in {len(WAREHOUSES)} warehouses.")


def _load_stock() -> None:
    for code, name, country in WAREHOUSES:
        fulfillment.define_warehouse(code=code, name=name, country=country)
    stocked = {(level.sku, level.warehouse) for level in fulfillment.stock_levels([item.sku for item, _ in CATALOGUE])}
    for item, _ in CATALOGUE:
        for warehouse, pieces in item.stock.items():
            if (item.sku, warehouse) not in stocked:
                fulfillment.set_stock(sku=item.sku, warehouse=warehouse, on_hand=pieces, reason="Opening stock")


def _keys(known: dict[str, Any]) -> dict[str, Any]:
    """Return a key for each demo customer: the known one while the database accepts it, else a new one."""
    keys = {name: known.get(name, "") for name in CUSTOMERS}
    for name, (customer, email) in CUSTOMERS.items():
        if not _works(keys[name]):
            _, keys[name] = create_customer(name=customer, email=email)
    return keys


def _works(key: str) -> bool:
    try:
        caller_of(key)
    except InvalidKey:
        return False
    return True


def _staff(known: dict[str, Any]) -> dict[str, Any]:
    """Return the demo's accounts: those whose password is known are left alone, so that nobody is signed out."""
    there = set(User.objects.filter(username__in=STAFF).values_list("username", flat=True))
    accounts = {}
    for name, role in STAFF.items():
        password = known.get(name, {}).get("password")
        if name not in there or not password:
            password = create_staff(username=name, role=role, password=password)
        accounts[name] = {"username": name, "password": password}
    return accounts


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text())) if file.exists() else {}


def _write(file: Path, accounts: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        json.dump(accounts, stream, indent=2)
    part.replace(file)
