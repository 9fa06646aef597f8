"""Every error of the payments domain.

PaymentError
├── PaymentNotFound        no payment has this id
├── CallbackRefused        a callback is not signed by the provider, or is too old
└── CallbackMalformed      a callback is signed, but is not an event that can be read
"""


class PaymentError(Exception):
    """Root of the payments domain's errors."""


class PaymentNotFound(PaymentError):
    """No payment has this id."""


class CallbackRefused(PaymentError):
    """A callback is not signed with the shared secret, or was signed more than five minutes ago."""


class CallbackMalformed(PaymentError):
    """A callback is signed as it should be, but is not an event that can be read."""
