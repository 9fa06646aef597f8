"""Customers, staff and the catalogue: the writes behind the management commands."""

import secrets
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet

from orders.api_keys import issue_key
from orders.demo_catalogue import CATALOGUE, TAX_CLASSES, Item
from orders.errors import NotFound
from orders.models import ApiKey, Customer, Product, ProductPrice, TaxClass
from outbox import audit
from outbox.publishing import require_unit_of_work

_SEE = Q(codename__startswith="view_")
_ACT = Q(
    codename__in=[
        "retry_deadletter",
        "discard_deadletter",
        "operate_breaker",
        "change_order",
        "change_product",
        "change_apikey",
        "change_return",
        "change_stockitem",
    ]
)

ROLES = {
    "viewer": _SEE,
    "operator": _SEE | _ACT,
    "approver": _SEE | _ACT,
}
"""What each role may do. `staff` accounts of the demo are operators."""
APPS = ("outbox", "orders", "payments", "fulfillment")
DOLLARS_PER_EURO = Decimal("1.10")


@require_unit_of_work
def create_customer(*, name: str, email: str = "") -> tuple[Customer, str]:
    """Create a customer with one key of all scopes; return both. The key cannot be shown again."""
    customer = Customer.objects.create(name=name, email=email)
    return customer, issue_key(customer=customer, name="First key")


@require_unit_of_work
def set_rate_limit(*, customer_id: UUID, per_second: int | None, reason: str, prefix: str = "") -> None:
    """Let a customer, or with `prefix` one of its keys, make `per_second` requests a second; None for the usual.

    It holds from the next request on. `reason` is for the audit log. Raises NotFound.
    """
    rows: QuerySet[Customer] | QuerySet[ApiKey] = (
        ApiKey.objects.filter(customer_id=customer_id, prefix=prefix)
        if prefix
        else Customer.objects.filter(id=customer_id)
    )
    row = rows.select_for_update(no_key=True).first()
    if row is None:
        raise NotFound(f"This customer has no key {prefix}." if prefix else "There is no such customer.")
    before, row.rate_limit = row.rate_limit, per_second
    row.save(update_fields=["rate_limit"])
    audit.record(
        "set_rate_limit", row.public_id, reason=reason, before={"rate_limit": before}, after={"rate_limit": per_second}
    )


@require_unit_of_work
def create_staff(*, username: str, role: str, password: str | None = None) -> str:
    """Create a staff account with a role's permissions, or give an existing one that role; return its password.

    Without `password` one is generated. Raises ValueError for an unknown role.
    """
    if role not in ROLES:
        raise ValueError(f"There is no role {role!r}; there are {', '.join(ROLES)}.")
    password = password or secrets.token_urlsafe(12)
    user, _ = User.objects.get_or_create(username=username)
    user.is_staff = True
    user.set_password(password)
    user.save()
    user.groups.set([_role(role)])
    return password


def _role(role: str) -> Group:
    group, _ = Group.objects.get_or_create(name=role)
    group.permissions.set(Permission.objects.filter(ROLES[role], content_type__app_label__in=APPS))
    return group


@require_unit_of_work
def allow_backorders(*, skus: Iterable[str], allowed: bool, reason: str) -> list[str]:
    """Let products be ordered beyond what is in stock, or not any more; return the SKUs of those that changed.

    Orders that wait already go on waiting. `reason` is for the audit log.
    """
    products = Product.objects.select_for_update().filter(sku__in=list(skus)).exclude(backorder=allowed).order_by("sku")
    changed = [product.sku for product in products]
    Product.objects.filter(sku__in=changed).update(backorder=allowed)
    for sku in changed:
        before, after = {"backorder": not allowed}, {"backorder": allowed}
        audit.record("allow_backorders", f"product:{sku}", reason=reason, before=before, after=after)
    return changed


@require_unit_of_work
def load_catalogue() -> None:
    """Write the demo's tax classes, products and prices; what is there already is brought up to date."""
    TaxClass.objects.bulk_create(
        [TaxClass(code=code, name=name, rate=rate) for code, name, rate in TAX_CLASSES],
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name", "rate"],
    )
    Product.objects.bulk_create(
        [_product(item, tax_class) for item, tax_class in CATALOGUE],
        update_conflicts=True,
        unique_fields=["sku"],
        update_fields=["name", "description", "category", "tax_class", "weight_grams"],
    )
    products = {product.sku: product for product in Product.objects.all()}
    ProductPrice.objects.bulk_create(
        [price for item, _ in CATALOGUE for price in _prices(products[item.sku], item)],
        update_conflicts=True,
        unique_fields=["product", "currency"],
        update_fields=["amount"],
    )


def _product(item: Item, tax_class: str) -> Product:
    return Product(
        sku=item.sku,
        name=item.name,
        description=item.description,
        category=item.category,
        tax_class_id=tax_class,
        weight_grams=item.grams,
    )


def _prices(product: Product, item: Item) -> Iterable[ProductPrice]:
    euros = Decimal(item.euros)
    dollars = (euros * DOLLARS_PER_EURO).quantize(Decimal("0.1"), ROUND_HALF_UP)
    yield ProductPrice(product=product, currency="EUR", amount=euros)
    yield ProductPrice(product=product, currency="USD", amount=dollars)
