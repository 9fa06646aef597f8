"""Addresses of the staff's pages on orders."""

from django.urls import path

from orders import views

urlpatterns = [
    path("", views.order_list, name="orders"),
    path("<str:public_id>/", views.order_detail, name="order"),
    path("<str:public_id>/cancellation/", views.cancellation, name="order_cancellation"),
    path("<str:public_id>/review/", views.review, name="order_review"),
]
