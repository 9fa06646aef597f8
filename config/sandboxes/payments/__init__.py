"""The payment sandbox: a strict front, speaking Stripe's wire format, before localstripe in a process of its own."""
