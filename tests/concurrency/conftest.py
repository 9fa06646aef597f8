"""The shop."""

from tests.shop import busy_shop, shop, stranger

__all__ = ["busy_shop", "shop", "stranger"]
