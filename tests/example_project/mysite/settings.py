"""All that the engine needs; every setting of its own has a default (outbox/conf.py)."""

import os

from outbox.conf import NETWORK_LIMITS, q_cluster

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
ROOT_URLCONF = "mysite.urls"
INSTALLED_APPS = [
    "outbox",  # first: it replaces django-q2's qcluster command
    "newsletter",
    "editions",
    "django_q",
]
DATABASES = {
    "default": {
        "ENGINE": "outbox.postgresql",  # Django's own, on connections that do not wait for ever
        "NAME": os.environ["PGDATABASE"],
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
        "USER": os.environ["PGUSER"],
        "PASSWORD": os.environ["PGPASSWORD"],
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**NETWORK_LIMITS, "options": "-c lock_timeout=5s -c statement_timeout=20s"},
    }
}
Q_CLUSTER = q_cluster("mysite", workers=2)
MAIL_URL = os.environ["MAIL_URL"]
