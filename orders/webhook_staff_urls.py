"""Addresses of the staff's pages on webhook endpoints."""

from django.urls import path

from orders import webhook_views as views

urlpatterns = [
    path("", views.endpoint_list, name="webhooks"),
    path("<str:public_id>/", views.endpoint_detail, name="webhook"),
    path("<str:public_id>/state/", views.switch, name="webhook_state"),
    path("<str:public_id>/replay/", views.replay, name="webhook_replay"),
    path("<str:public_id>/deliveries/<str:delivery_id>/redelivery/", views.redelivery, name="webhook_redelivery"),
]
