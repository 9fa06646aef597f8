"""How the admin looks: the same calm palette as the staff pages."""

from typing import Any

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Tandem",
    "SITE_HEADER": "Tandem console",
    "SITE_URL": "/staff/",
}
