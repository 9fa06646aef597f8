"""The catalogue, and the caller itself."""

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from fulfillment import facade as fulfillment
from orders.api.door import Door, base_url, caller_of, show
from orders.api.filters import PRODUCT_FILTERS, filters_of
from orders.api.pagination import Listing
from orders.api.schema import IF_NONE_MATCH, PAGING, documented, path, query
from orders.errors import NotFound
from orders.models import ApiKey, Product
from orders.representations import AccountObject, ProductList, ProductObject
from orders.serializers import account_object, product_object

BY_SKU = Listing[Product](name="products", columns=("sku",), parsers=(str,))


class ProductsView(Door):
    """The products that can be ordered."""

    @documented(
        "List products",
        operation="list_products",
        tag="Catalogue",
        shows=ProductList,
        parameters=[
            query("category", "Only products of this category.", minLength=1, maxLength=200),
            *PAGING,
            IF_NONE_MATCH,
        ],
        problems=["invalid_cursor", "validation_failed"],
    )
    def get(self, request: Request) -> HttpResponse:
        """List what can be ordered, by SKU, with prices and availability."""
        rows = Product.objects.filter(filters_of(request, PRODUCT_FILTERS), active=True)
        page = BY_SKU.page(
            request, rows.select_related("tax_class").prefetch_related("prices"), f"{base_url(request)}/products"
        )
        available = fulfillment.availability([product.sku for product in page.rows])
        data = [product_object(product, available.get(product.sku, 0)) for product in page.rows]
        return show(request, ProductList(data=data, next=page.next, previous=page.previous))


class ProductView(Door):
    """One product."""

    @documented(
        "Read a product",
        operation="get_product",
        tag="Catalogue",
        shows=ProductObject,
        parameters=[path("sku", "The product's SKU."), IF_NONE_MATCH],
        problems=["not_found"],
    )
    def get(self, request: Request, sku: str) -> HttpResponse:
        """Show a product with its prices and how many can be ordered now."""
        rows = Product.objects.filter(active=True).select_related("tax_class").prefetch_related("prices")
        product = None if "\0" in sku else rows.filter(sku=sku).first()
        if product is None:
            raise NotFound(f"There is no product {sku[:40]!r} in the catalogue.")
        return show(request, product_object(product, fulfillment.availability([sku]).get(sku, 0)))


class AccountView(Door):
    """The caller itself."""

    @documented(
        "Read your account",
        operation="get_account",
        tag="Account",
        shows=AccountObject,
        parameters=[IF_NONE_MATCH],
    )
    def get(self, request: Request) -> HttpResponse:
        """Show the account that calls, and the key of this very call with its scopes."""
        caller = caller_of(request)
        key = ApiKey.objects.get(id=caller.key_id)
        limit = caller.customer_rate_limit or settings.RATE_LIMIT_PER_SECOND
        return show(request, account_object(caller, key, limit))
