"""Settings, read from the environment. Every default is safe: production unless TANDEM_ENV says otherwise.

`./tandem` sets the environment up (database, generated secrets); docs/reference/settings.md lists every name.
"""

from datetime import timedelta
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from config.admin_theme import UNFOLD as UNFOLD
from config.logs import LOGGING as LOGGING
from outbox.conf import ENGINE_JOBS, NETWORK_LIMITS, SERVER_NETWORK_LIMITS, q_cluster

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DEVELOPMENT = env.str("TANDEM_ENV", default="production") == "development"
DEBUG = False

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. Run through ./tandem, or set SECRET_KEY to 50 random characters."
    )
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
RELEASE = env.str("TANDEM_RELEASE", default="dev")

INSTALLED_APPS = [
    "outbox",  # first: it replaces the qcluster command
    "orders",
    "payments",
    "fulfillment",
    "config",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_prometheus",
    "axes",
    "csp",
    "django_q",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "config.middleware.CorrelationMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.admin_policy.AdminPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://tandem@127.0.0.1:5432/tandem")}
DATABASES["default"].update(
    ENGINE="outbox.postgresql",
    CONN_MAX_AGE=env.int("CONN_MAX_AGE", default=60),
    CONN_HEALTH_CHECKS=True,
    DISABLE_SERVER_SIDE_CURSORS=True,
)
DATABASE_LISTEN_URL = env.str("DATABASE_LISTEN_URL", default="")
POOLED = bool(DATABASE_LISTEN_URL)  # behind a pooler in transaction mode: no session settings, no prepared statements
DATABASE_ANSWER_SECONDS = env.float("DATABASE_ANSWER_SECONDS", default=25.0)
DATABASES["default"].setdefault("OPTIONS", {}).update(
    **NETWORK_LIMITS,
    application_name="tandem",
    server_side_binding=True,
    prepare_threshold=None if POOLED else 3,
)
if not POOLED:
    DATABASES["default"]["OPTIONS"]["options"] = (
        "-c timezone=UTC -c lock_timeout=5s -c statement_timeout=20s -c idle_in_transaction_session_timeout=30s "
        + SERVER_NETWORK_LIMITS
    )

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/staff/sign-in/"
LOGIN_REDIRECT_URL = "/staff/"
LOGOUT_REDIRECT_URL = "/staff/sign-in/"
AXES_VERBOSE = False
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = timedelta(minutes=5)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "staff/locked_out.html"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = env.path("STATIC_ROOT", default=str(BASE_DIR / "var" / "static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

# Plain http on loopback is for development only; everything else insists on https.
SECURE_SSL_REDIRECT = not DEVELOPMENT
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("TRUST_PROXY", default=False) else None
SECURE_HSTS_SECONDS = 0 if DEVELOPMENT else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEVELOPMENT
SECURE_HSTS_PRELOAD = not DEVELOPMENT
SESSION_COOKIE_SECURE = not DEVELOPMENT
CSRF_COOKIE_SECURE = not DEVELOPMENT
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 65_536

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["orders.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.errors.problem_details",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tandem API",
    "DESCRIPTION": "Place orders and follow them. Answers are immediate; what takes time is reported as progress.\n\n"
    "[Calls](/docs/calls) shows each with curl and in Python, "
    "[Problems](/docs/problems) explains every refusal, [Changelog](/docs/changelog) every version of the form.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVERS": [{"url": "/", "description": "Production, or wherever this document comes from.", "x-internal": False}],
    "LICENSE": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["config.openapi.complete"],
}

# django-q2 supervises the workers; the queue itself is outbox_delivery (docs/decisions/0003).
Q_CLUSTER = q_cluster("tandem", workers=env.int("TANDEM_WORKERS", default=2))
PERIODIC_JOBS = {**ENGINE_JOBS, "orders.rate_limits.forget_full_buckets": 60}
CONTRACTS_FOLDER = BASE_DIR / "docs" / "reference" / "contracts"
RUN_DIR = env.str("TANDEM_RUN_DIR", default="")

LEASE_SECONDS = env.int("LEASE_SECONDS", default=30)
POLL_SECONDS = env.float("POLL_SECONDS", default=1.0)
MAX_ATTEMPTS = env.int("MAX_ATTEMPTS", default=8)
MAX_PENDING = env.int("MAX_PENDING", default=10_000)
BACKOFF_CAP_SECONDS = env.int("BACKOFF_CAP_SECONDS", default=3600)
RESERVATION_SECONDS = env.int("RESERVATION_SECONDS", default=900)
IDEMPOTENCY_HOURS = env.int("IDEMPOTENCY_HOURS", default=24)
MESSAGES_KEPT_DAYS = env.int("MESSAGES_KEPT_DAYS", default=400)
RECEIPTS_KEPT_DAYS = env.int("RECEIPTS_KEPT_DAYS", default=430)
ATTEMPTS_KEPT_DAYS = env.int("ATTEMPTS_KEPT_DAYS", default=400)
DEAD_LETTERS_WAIT_DAYS = env.int("DEAD_LETTERS_WAIT_DAYS", default=90)
RATE_LIMIT_PER_SECOND = env.int("RATE_LIMIT_PER_SECOND", default=200)
RETURN_DAYS = env.int("RETURN_DAYS", default=30)
WEBHOOK_ALLOWED_NETWORKS = env.list("WEBHOOK_ALLOWED_NETWORKS", default=[])
WEBHOOK_DISABLE_HOURS = env.int("WEBHOOK_DISABLE_HOURS", default=72)
WEBHOOK_ENDPOINTS = env.int("WEBHOOK_ENDPOINTS", default=50)
WEBHOOK_LOG_DAYS = env.int("WEBHOOK_LOG_DAYS", default=30)
STREAMS_PER_CUSTOMER = env.int("STREAMS_PER_CUSTOMER", default=100)
REVIEW_ABOVE = env.str("REVIEW_ABOVE", default="10000.00")

PAYMENT_API_BASE = env.str("PAYMENT_API_BASE", default="https://api.stripe.com")
PAYMENT_API_KEY = env.str("PAYMENT_API_KEY", default="")
PAYMENT_WEBHOOK_SECRET = env.str("PAYMENT_WEBHOOK_SECRET", default="")
CARRIER_API_BASE = env.str("CARRIER_API_BASE", default="")
CARRIER_API_KEY = env.str("CARRIER_API_KEY", default="")
CARRIER_WEBHOOK_SECRET = env.str("CARRIER_WEBHOOK_SECRET", default="")
