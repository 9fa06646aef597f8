"""The least that a DRF view needs; the same database, reached in the same way."""

from tests.bench.minimal_settings import *  # noqa: F403
from tests.bench.minimal_settings import INSTALLED_APPS as _APPS

ROOT_URLCONF = "tests.bench.door.minimal"
INSTALLED_APPS = [*_APPS, "tests.bench"]
