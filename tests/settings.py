"""The settings of the tests: the real ones, a laboratory app for the engine, and nothing slow about passwords."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 40)
os.environ.setdefault("TANDEM_ENV", "development")
os.environ.setdefault("PAYMENT_API_KEY", "sk_test_12345")
os.environ.setdefault("PAYMENT_WEBHOOK_SECRET", "whsec_dGVzdHMtb25seS1wYXltZW50cw==")
os.environ.setdefault("CARRIER_API_KEY", "carrier-test-key")
os.environ.setdefault("RATE_LIMIT_PER_SECOND", "100000")  # tests of the limits set their own
os.environ.setdefault("CARRIER_WEBHOOK_SECRET", "whsec_dGVzdHMtb25seS1jYXJyaWVyLTEyMzQ=")

from config.settings import *  # noqa: F403 - the environment must be set first
from config.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.lab"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
