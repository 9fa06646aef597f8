"""django-q2's own pages are taken away: they unpickle what they list, and the queue is not in its tables."""

from django.contrib import admin
from django_q import admin as shipped

for _model in [model for model in admin.site._registry if model.__module__.partition(".")[0] == "django_q"]:
    admin.site.unregister(_model)

__all__ = ["shipped"]
