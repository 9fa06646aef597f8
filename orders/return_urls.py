"""Addresses of the staff's pages on returns."""

from django.urls import path

from orders import staff_returns

urlpatterns = [
    path("", staff_returns.return_list, name="returns"),
    path("<str:public_id>/", staff_returns.return_detail, name="return"),
    path("<str:public_id>/decision/", staff_returns.decision, name="return_decision"),
    path("<str:public_id>/reception/", staff_returns.reception, name="return_reception"),
    path("<str:public_id>/inspection/", staff_returns.inspection, name="return_inspection"),
]
