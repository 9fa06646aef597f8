"""Who is calling: `Authorization: Bearer <key>`."""

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from orders.api_keys import Caller, caller_of
from orders.errors import AuthenticationRequired


class ApiKeyAuthentication(BaseAuthentication):
    """Authenticates a customer by an API key."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller]:
        """Return the caller. Raises AuthenticationRequired without a key, InvalidKey with a wrong one."""
        scheme, _, key = request.headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise AuthenticationRequired("Send your API key in the header Authorization: Bearer tdm_….")
        caller = caller_of(key.strip())
        return caller, caller

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge that goes with 401."""
        return 'Bearer realm="api"'
