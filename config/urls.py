"""The one map."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from config import api, health, views
from fulfillment.urls import callback_urls as carrier_callback_urls
from payments.urls import callback_urls as payment_callback_urls

admin.site.index_title = "What needs a person"

urlpatterns = [
    path("api/v1/", include(api.api_urls)),
    *api.docs_urls,
    *payment_callback_urls,
    *carrier_callback_urls,
    path("", views.home),
    path("staff/", include("config.staff_urls")),
    path("admin/login/", RedirectView.as_view(pattern_name="staff:sign_in", query_string=True)),  # one way in for all
    path("admin/", admin.site.urls),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("health/workers", health.workers),
    path("metrics", health.metrics),
]

handler400 = api.bad_request
handler404 = api.page_not_found
handler500 = api.server_error
