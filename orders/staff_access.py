"""Who may come in at the staff's door, and who is noted as the actor of what follows."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

from outbox.context import scope

CANCEL = "orders.change_order"
RETURNS = "fulfillment.change_return"

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def staff_only(view: "View[P]") -> "View[P]":
    """Let staff in, send everyone else to the sign-in page, and note the actor. Raises PermissionDenied."""

    @never_cache
    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not is_staff(request.user):
            raise PermissionDenied("This account is not a member of staff.")
        with scope(actor=f"staff:{request.user.get_username()}"):
            return view(request, *args, **kwargs)

    return guarded


def is_staff(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Tell whether `user` is an active member of staff."""
    return isinstance(user, User) and user.is_active and user.is_staff


def why_not(user: AbstractBaseUser | AnonymousUser, permission: str, others: str = "may cancel orders") -> str:
    """Return why `user` may not do what `permission` guards; an empty string when they may.

    `others` says who may: "Ask a colleague who …".
    """
    if isinstance(user, User) and user.has_perm(permission):
        return ""
    return f"Your account may look but not change. Ask a colleague who {others}."
