"""Who is calling: `Authorization: Bearer <key>`."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from orders import rate_limits
from orders.callers import Caller, caller_of
from orders.errors import AuthenticationRequired, InvalidKey


def presented_key(request: Request) -> str:
    """Return the key that the request carries, whether it is a good one or not; empty without one."""
    scheme, _, key = request.headers.get("Authorization", "").strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


class ApiKeyAuthentication(BaseAuthentication):
    """Authenticates a customer by an API key."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller]:
        """Return the caller.

        Raises AuthenticationRequired without a key, InvalidKey with a wrong one, RateLimited with the next of many.
        """
        key = presented_key(request)
        if not key:
            raise AuthenticationRequired("Send your API key in the header Authorization: Bearer tdm_….")
        try:
            caller = caller_of(key)
        except InvalidKey:
            rate_limits.count_wrong_key(address=request.META.get("REMOTE_ADDR", ""), key=key)
            raise
        return caller, caller

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge that goes with 401."""
        return 'Bearer realm="api"'
