"""The content security policy of the admin, whose theme computes expressions in the browser.

Everywhere else no inline style and no evaluated script is allowed.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

LOOSER = {
    "script-src": ["'self'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
}


class AdminPolicyMiddleware:
    """Loosens the policy under /admin/, and there only. Stands behind django-csp's middleware, which writes it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/admin/"):
            response._csp_update = LOOSER  # type: ignore[attr-defined]  # how django-csp takes exceptions
        return response
