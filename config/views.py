"""The staff's home, and the way in."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from config.pulse import take_pulse
from orders.console_links import console_list
from orders.staff_access import staff_only


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Send a visitor of the bare address to the staff's pages."""
    return redirect("staff:pulse")


@require_safe
@vary_on_headers("HX-Request")
@staff_only
def pulse(request: HttpRequest) -> HttpResponse:
    """Show how the system is doing."""
    template = "staff/pulse_body.html" if request.headers.get("HX-Request") else "staff/pulse.html"
    context = {"here": "pulse", "pulse": take_pulse(), "dead_letters_href": console_list("deadletter")}
    return render(request, template, context)


class SignInForm(AuthenticationForm):
    """The sign-in form; its refusal does not tell which half was wrong."""

    error_messages = {
        "invalid_login": "The username and password do not match. Both are case-sensitive.",
        "inactive": "This account is switched off. An administrator can switch it on.",
    }


class SignIn(LoginView):
    """Sign in; django-axes counts wrong tries and answers with its own page when there are too many."""

    form_class = SignInForm
    template_name = "staff/sign_in.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say so when somebody who is signed in was sent here: their account may not open what they asked for."""
        return super().get_context_data(**kwargs, not_staff=self.request.user.is_authenticated)
