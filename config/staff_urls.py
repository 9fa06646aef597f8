"""Addresses of the staff's pages."""

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from config import views

app_name = "staff"
urlpatterns = [
    path("", views.pulse, name="pulse"),
    path("sign-in/", views.SignIn.as_view(), name="sign_in"),
    path("sign-out/", LogoutView.as_view(), name="sign_out"),
    path("orders/", include("orders.staff_urls")),
    path("returns/", include("orders.return_urls")),
    path("webhooks/", include("orders.webhook_staff_urls")),
]
