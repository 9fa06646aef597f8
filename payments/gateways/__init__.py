"""The gateway in use, one per process: connections must not be shared over a fork."""

import functools
import os

from django.conf import settings

from payments.gateways.base import Gateway
from payments.gateways.stripe import StripeGateway


def payment_gateway() -> Gateway:
    """Return this process's gateway, made from the settings at first use."""
    return _gateway(os.getpid(), settings.PAYMENT_API_BASE, settings.PAYMENT_API_KEY)


@functools.lru_cache(maxsize=1)
def _gateway(_process: int, api_base: str, api_key: str) -> Gateway:
    return StripeGateway(api_base=api_base, api_key=api_key)
