"""What every page carries: headers, the frame, error pages, cached assets."""

import re

import pytest
from flask import get_flashed_messages
from sqlalchemy import update
from sqlalchemy.exc import InternalError

from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError, WayOut, Word
from spa_app.extensions import db
from spa_app.models import Customer
from spa_app.money import Money
from spa_app.web import errors
from spa_app.web.auth.forms import LoginForm
from spa_app.web.errors import Way, add_to_form, register_way_out, translate, ways_out
from spa_app.web.htmx import toast

HTMX = {"HX-Request": "true"}


def test_every_answer_carries_a_strict_policy(client):
    for address in ("/login", "/nowhere", "/"):
        policy = client.get(address).headers["Content-Security-Policy"]

        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_no_page_has_inline_script_style_or_handlers(client, user):
    client.post("/login", data=user.credentials)
    for address in ("/login", "/nowhere"):
        html = client.get(address).text

        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on", html)
        assert not re.search(r"<script(?![^>]*\ssrc=)", html)


def test_hsts_only_over_tls(client):
    assert "Strict-Transport-Security" not in client.get("/login").headers
    assert "Strict-Transport-Security" in client.get("/login", base_url="https://localhost").headers


def test_pages_are_not_kept_and_vary_by_htmx(client):
    headers = client.get("/login").headers

    assert headers["Cache-Control"] == "no-store"
    assert "HX-Request" in headers["Vary"]


def test_assets_are_kept_for_ever_compressed_and_found(client):
    html = client.get("/login").text
    addresses = re.findall(r'(?:href|src)="(/static/[^"#]+)"', html)

    assert len(addresses) > 10
    for address in addresses:
        with client.get(address, headers={"Accept-Encoding": "br"}) as answer:
            assert answer.status_code == 200, address
            assert "immutable" in answer.headers["Cache-Control"], address
            assert address.endswith((".woff2", ".svg")) or answer.headers["Content-Encoding"] == "br", address


def test_an_unknown_address_has_a_page_and_a_partial(client):
    whole, partial = client.get("/nowhere"), client.get("/nowhere", headers=HTMX)

    assert (whole.status_code, partial.status_code) == (404, 404)
    assert "<!doctype html>" in whole.text
    assert "<!doctype html>" not in partial.text
    for answer in (whole, partial):
        assert "There is nothing here" in answer.text
        assert "Nothing was changed" in answer.text


def test_a_history_restore_gets_the_whole_page(client):
    answer = client.get("/nowhere", headers={**HTMX, "HX-History-Restore-Request": "true"})

    assert "<!doctype html>" in answer.text


def test_a_wrong_method_names_the_right_one(client, user):
    client.post("/login", data=user.credentials)

    answer = client.get("/logout")

    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


def test_a_missing_token_is_told_and_nothing_happens(app, client, user, monkeypatch):
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)

    whole = client.post("/login", data=user.credentials)
    partial = client.post("/login", data=user.credentials, headers=HTMX)

    assert (whole.status_code, partial.status_code) == (400, 400)
    assert "This page was open for too long" in whole.text
    assert partial.headers["HX-Reswap"] == "none"
    assert 'hx-swap-oob="beforeend:#toasts"' in partial.text
    assert client.get("/").headers["Location"].startswith("/login")


def test_nul_is_refused(client):
    assert client.get("/login?next=%00").status_code == 400


@pytest.mark.parametrize(
    ("error", "status"), [(InvalidError, 422), (ConflictError, 409), (NotAllowedError, 403), (NotFoundError, 404)]
)
def test_refusals_become_pages(app, error, status):
    with app.test_request_context("/", headers=HTMX):
        answer = app.handle_user_exception(error("code", "The slot is taken.", ways_out=(WayOut("other", "Another"),)))

        assert answer.status_code == status
        assert "The slot is taken." in answer.get_data(as_text=True)
        assert "Another" in answer.get_data(as_text=True)


def test_a_failure_becomes_a_page_that_asks_the_database_nothing(app, monkeypatch):
    with app.test_request_context("/"):
        monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
        answer = app.handle_exception(RuntimeError("x"))

        assert answer.status_code == 500
        assert "Nothing was half saved" in answer.get_data(as_text=True)


def test_messages_speak_the_readers_language(app):
    said = "This visit is %(status)s, so that is not possible. Nothing was changed."
    word = ConflictError("state", said, status=Word("completed"))
    due = "Only %(due)s is left to pay. Give change for cash; nothing was taken."
    amount = ConflictError("due", due, due=Money(9000))
    with app.test_request_context("/", headers={"Cookie": "locale=vi"}):
        assert translate(word) == "Lượt này đã hoàn tất nên không làm được. Chưa thay đổi gì."
        assert "9.000\xa0₫" in translate(amount)


def test_ways_out_lead_to_registered_pages(app, monkeypatch):
    monkeypatch.setattr(errors, "WAYS", {})
    register_way_out("way", "auth.login", "next")
    error = ConflictError(
        "x", "No.", ways_out=(WayOut("way", "There", {"next": "/a"}), WayOut("nowhere", "Talk to someone"))
    )
    with app.test_request_context("/"):
        assert ways_out(error) == [Way("There", url="/login?next=/a"), Way("Talk to someone")]


def test_a_refusal_stands_at_its_field(app):
    with app.test_request_context("/"):
        form = LoginForm()
        add_to_form(form, ConflictError("x", "Taken.", field="username"))
        add_to_form(form, ConflictError("x", "No.", field="elsewhere"))

        assert form.username.errors == ["Taken."]
        assert form.form_errors == ["No."]


def test_toasts_that_nobody_reads_do_not_fill_the_cookie(app):
    with app.test_request_context():
        for number in range(20):
            toast(f"number {number}")

        assert [one["message"] for one in get_flashed_messages()] == ["number 17", "number 18", "number 19"]


def test_a_request_writes_nothing_outside_a_transaction(app, spa):
    with app.test_request_context():
        app.preprocess_request()
        with pytest.raises(InternalError, match="read-only"):
            db.session.execute(update(Customer).values(note="slipped past"))
