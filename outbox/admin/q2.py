"""django-q2's own pages are taken away: they unpickle what they list, and the queue is not in its tables."""

from django.contrib import admin
from django_q.admin import Failure, OrmQ, Schedule, Success  # its admin module: registered first, to be removed here

for _model in (Failure, OrmQ, Schedule, Success):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
