"""Where fulfilment's doors are; config.urls mounts them."""

from django.urls import path

from fulfillment.api import carrier_callback

callback_urls = [path("callbacks/carrier", carrier_callback, name="carrier-callback")]
