"""Why a card was declined, in words for the customer. Pure.

Reasons that would tell a thief something (lost, stolen, fraud suspected) are worded like the general one.
"""

_GENERAL = "The card was declined by the bank that issued it. Please use another card or ask your bank."

_REASONS = {
    "insufficient_funds": "The card has insufficient funds. Please use another card.",
    "expired_card": "The card has expired. Please use another card.",
    "incorrect_cvc": "The card's security code is not right. Please check it and order again.",
    "invalid_cvc": "The card's security code is not right. Please check it and order again.",
    "incorrect_number": "The card number is not right. Please check it and order again.",
    "invalid_number": "The card number is not right. Please check it and order again.",
    "card_velocity_exceeded": "The card's limit is used up. Please use another card.",
    "withdrawal_count_limit_exceeded": "The card's limit is used up. Please use another card.",
    "currency_not_supported": "The card cannot be charged in this currency. Please use another card.",
    "card_not_supported": "The card cannot be used for this purchase. Please use another card.",
    "authentication_required": "The bank asks for a confirmation by the card holder, which was not given.",
    "payment_intent_authentication_failure": "The card holder's confirmation with the bank failed.",
    "processing_error": "The card could not be processed. Please order again in a while.",
    "payment_method_unknown": "The payment provider does not know this means of payment. Please use another one.",
}


def reason_for(decline_code: str, code: str) -> str:
    """Return the sentence for a decline; the more exact `decline_code` is tried first."""
    return _REASONS.get(decline_code) or _REASONS.get(code) or _GENERAL
