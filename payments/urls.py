"""Where the payment provider calls us."""

from django.urls import path

from payments import api

callback_urls = [path("callbacks/payments", api.payment_callback, name="payment-callback")]
