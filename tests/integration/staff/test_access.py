"""Who may come in, and what a browser may do on the pages."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders.customers import create_staff
from outbox.publishing import unit_of_work

PAGES = ["/staff/", "/staff/orders/", "/staff/webhooks/"]


@pytest.mark.requirement("M45")
@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_the_sign_in_page(db, path):
    answer = Client().get(path)
    assert (answer.status_code, answer["Location"]) == (302, f"/staff/sign-in/?next={path}")


@pytest.mark.parametrize("path", PAGES)
def test_an_account_that_is_not_staff_is_refused(db, path):
    client = Client()
    client.force_login(User.objects.create_user("customer"), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(path).status_code == 403


def test_the_bare_address_leads_to_the_pulse(db):
    assert Client().get("/")["Location"] == "/staff/"


def test_the_admin_has_the_same_way_in(db):
    assert Client().get("/admin/login/?next=/admin/")["Location"] == "/staff/sign-in/?next=/admin/"


def test_the_right_password_opens_the_page_that_was_asked_for(db):
    with unit_of_work():
        password = create_staff(username="ada", role="operator")
    form = {"username": "ada", "password": password, "next": "/staff/orders/"}
    client = Client()
    assert client.post("/staff/sign-in/", form)["Location"] == "/staff/orders/"
    assert client.get("/staff/orders/").status_code == 200


def test_signing_in_never_leads_to_another_site(db):
    with unit_of_work():
        password = create_staff(username="ada", role="operator")
    form = {"username": "ada", "password": password, "next": "https://elsewhere.example/"}
    assert Client().post("/staff/sign-in/", form)["Location"] == "/staff/"


def test_a_wrong_password_is_told_without_saying_which_half_was_wrong(operator):
    known = Client().post("/staff/sign-in/", {"username": "ada", "password": "wrong"})
    unknown = Client().post("/staff/sign-in/", {"username": "nobody", "password": "wrong"})
    for answer in (known, unknown):
        assert "The username and password do not match." in answer.content.decode()


def test_too_many_wrong_passwords_lock_the_door_for_a_while_with_a_clear_message(operator):
    stranger = Client()
    for _ in range(9):
        answer = stranger.post("/staff/sign-in/", {"username": "ada", "password": "wrong"})
    assert answer.status_code == 429
    assert "Wait five minutes after the last try" in answer.content.decode()


def test_signing_out_takes_a_post(operator):
    assert operator.get("/staff/sign-out/").status_code == 405
    assert operator.post("/staff/sign-out/")["Location"] == "/staff/sign-in/"
    assert operator.get("/staff/").status_code == 302


@pytest.mark.parametrize("path", [*PAGES, "/staff/sign-in/"])
def test_pages_allow_no_inline_script_style_or_evaluation(operator, path):
    answer = operator.get(path)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    html = answer.content.decode()
    assert " style=" not in html
    assert "<style" not in html
    assert " onclick=" not in html


def test_the_looser_policy_of_the_admin_stays_there(operator):
    assert "'unsafe-eval'" in operator.get("/admin/")["Content-Security-Policy"]
    assert (
        "'unsafe-inline'" not in operator.get("/admin/")["Content-Security-Policy"].split("script-src")[1].split(";")[0]
    )


def test_pages_are_never_kept_by_a_cache(operator):
    assert "no-store" in operator.get("/staff/orders/")["Cache-Control"]
