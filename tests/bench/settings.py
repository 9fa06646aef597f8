"""Tandem as it is, and the tables of the benchmarks."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.bench"]
