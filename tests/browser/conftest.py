"""A real browser in front of the real pages."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from orders.customers import create_staff
from outbox.publishing import unit_of_work
from tests.reporting import needs
from tests.shop import Caller, busy_shop

__all__ = ["busy_shop"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def browser(django_db_setup) -> Iterator[Browser]:
    """Debian's Chromium; without it these tests are reported as not run.

    Playwright's loop runs in this thread as long as the browser is open; Django takes that for an async view.
    """
    if CHROMIUM is None:
        needs("chromium")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Desk:
    """Somebody of the staff at a screen."""

    page: Page
    base: str
    complaints: list[str]
    """What the browser wrote to its console: refused scripts, missing files, errors."""

    def open(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def row(self, public_id: str) -> Any:
        return self.page.locator(f'tr[data-key="{public_id}"]')


@pytest.fixture
def desk(browser: Browser, live_server, busy_shop: Caller) -> Iterator[Callable[..., Desk]]:
    """Return a function that signs somebody in: `desk(role=…, width=…, scheme=…)`."""
    contexts = []

    def sit_down(role: str = "operator", width: int = 1440, scheme: str = "light") -> Desk:
        with unit_of_work():
            password = create_staff(username=role, role=role)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page, complaints = context.new_page(), []
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{live_server.url}/staff/sign-in/")
        page.fill("[name=username]", role)
        page.fill("[name=password]", password)
        page.press("[name=password]", "Enter")
        page.wait_for_url(f"{live_server.url}/staff/")
        return Desk(page, live_server.url, complaints)

    yield sit_down
    for context in contexts:
        context.close()
