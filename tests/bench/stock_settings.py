"""Stock django-q2 with its ORM broker, tuned: several tasks per look, no results kept, no idle pauses."""

from config.settings import DATABASES as DATABASES
from config.settings import SECRET_KEY as SECRET_KEY

USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django_q", "tests.bench"]
Q_CLUSTER = {
    "name": "stock",
    "orm": "default",
    "workers": 2,
    "queue_limit": 100,
    "bulk": 50,
    "poll": 0.02,
    "save_limit": -1,
    "timeout": 60,
    "retry": 600,
    "guard_cycle": 0.5,
    "scheduler": False,
    "log_level": "ERROR",
}
