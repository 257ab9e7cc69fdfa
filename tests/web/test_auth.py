"""Logging in and out, and the choices of the user menu."""

from dataclasses import replace

import pytest
import redis
from flask_login import login_user
from sqlalchemy import select, update

from spa_app import create_app
from spa_app.embedded.kept import free_port
from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError
from spa_app.extensions import db
from spa_app.models import AuditLog, User
from spa_app.queries.users import get_signed_in
from spa_app.services.actor import SYSTEM, Actor
from spa_app.services.users import authenticate, create_user
from spa_app.web.security import current_actor, safe_next

HTMX = {"HX-Request": "true"}


def test_login_leads_on_and_is_audited(app, client, user):
    answer = client.post("/login", data=user.credentials | {"username": " RECEPTION "})

    assert answer.status_code == 303
    with app.app_context():
        rows = db.session.execute(select(AuditLog.action).where(AuditLog.entity_id == user.id)).scalars().all()
    assert "login" in rows


def test_the_actor_is_the_user_with_their_branches(app, user):
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": "10.0.0.9"}):
        login_user(get_signed_in(user.id))

        assert current_actor() == Actor(user.id, "receptionist", frozenset(user.branch_ids[:2]), "10.0.0.9")


@pytest.mark.parametrize("wrong", [{"password": "something else"}, {"username": "nobody"}, {"password": ""}])
def test_a_wrong_login_says_so_and_keeps_the_name(client, user, wrong):
    answer = client.post("/login", data=user.credentials | wrong)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert client.get("/").status_code == 302


def test_a_user_who_left_cannot_log_in_and_is_out_at_once(app, client, user):
    client.post("/login", data=user.credentials)
    with app.app_context():
        db.session.execute(update(User).values(is_active=False))
        db.session.commit()

        assert authenticate("reception", user.password, None) is None
    assert client.post("/logout").headers["Location"].startswith("/login")
    assert client.get("/").status_code == 302


def test_login_ends_a_planted_session(client, user):
    with client.session_transaction() as planted:
        planted["branch_id"] = 42
        planted["mark"] = "planted"
    client.post("/login", data=user.credentials)

    with client.session_transaction() as kept:
        assert "mark" not in kept
        assert "branch_id" not in kept
        assert kept.permanent


def test_logout_ends_the_session(client, user):
    client.post("/login", data=user.credentials)
    assert client.post("/logout").status_code == 303
    assert client.get("/").headers["Location"].startswith("/login")


def test_the_cookie_is_closed_to_scripts_other_sites_and_plain_http(client, user):
    plain = client.post("/login", data=user.credentials).headers["Set-Cookie"]
    secure = client.post("/login", data=user.credentials, base_url="https://localhost").headers["Set-Cookie"]

    for cookie in (plain, secure):
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
    assert "Secure" not in plain
    assert "Secure" in secure


def test_pages_need_a_login_and_lead_back(client):
    plain = client.get("/?date=2026-01-01")
    partial = client.get("/", headers=HTMX | {"HX-Current-URL": "http://localhost/calendar?date=2026-01-01"})

    assert (plain.status_code, plain.headers["Location"]) == (302, "/login?next=/?date%3D2026-01-01")
    assert partial.status_code == 401
    assert partial.headers["HX-Redirect"] == "/login?next=/calendar?date%3D2026-01-01"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil",
        "/\t/evil",
        "javascript:evil",
        "x",
        "",
    ],
)
def test_login_leads_nowhere_else(client, user, target):
    assert safe_next(target) is None
    answer = client.post("/login", data=user.credentials | {"next": target})

    assert answer.status_code == 303
    assert "evil" not in answer.headers["Location"]


def test_login_leads_to_where_the_user_wanted(client, user):
    answer = client.post("/login", data=user.credentials | {"next": "/calendar?date=2026-01-01"})

    assert answer.headers["Location"] == "/calendar?date=2026-01-01"


def test_guessing_is_slowed_down(app, client, user, redis_url, monkeypatch):
    monkeypatch.setitem(app.config, "LOGIN_RATE_LIMIT", "3 per minute")
    wrong = user.credentials | {"password": "guess guess"}

    assert [client.post("/login", data=wrong).status_code for _ in range(4)] == [422, 422, 422, 429]
    assert client.post("/login", data=user.credentials | {"username": "other"}).status_code == 422
    with redis.Redis.from_url(redis_url) as store:
        assert store.keys("LIMITS*")  # all workers count together


def test_guessing_is_slowed_down_and_logins_go_on_without_redis(settings, user):
    app = create_app(replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    app.config.update(WTF_CSRF_ENABLED=False, LOGIN_RATE_LIMIT="2 per minute")
    client = app.test_client()

    answers = [client.post("/login", data=user.credentials | {"password": "guess"}).status_code for _ in range(3)]
    right = client.post("/login", data=user.credentials, environ_base={"REMOTE_ADDR": "10.0.0.9"})

    with app.app_context():
        db.engine.dispose()
    assert answers == [422, 422, 429]
    assert right.status_code == 303


def test_language_is_kept_with_the_user(app, client, user):
    client.post("/login", data=user.credentials)
    answer = client.post("/me/locale", data={"locale": "vi", "next": "/nowhere"})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/nowhere")
    client.delete_cookie("locale")
    page = client.get("/nowhere").text
    assert 'lang="vi"' in page
    assert "Đăng xuất" in page


def test_language_of_the_login_page(client):
    assert "Log in" in client.get("/login", headers={"Accept-Language": "fr"}).text
    assert "Đăng nhập" in client.get("/login", headers={"Accept-Language": "vi-VN,vi;q=0.9"}).text
    client.post("/me/locale", data={"locale": "vi"})
    assert "Đăng nhập" in client.get("/login").text
    assert client.post("/me/locale", data={"locale": "xx"}).status_code == 422


def test_theme_is_kept(client, user):
    assert "data-theme" not in client.get("/login").text
    client.post("/login", data=user.credentials)
    client.post("/me/theme", data={"theme": "dark"})
    client.delete_cookie("theme")

    assert 'data-theme="dark"' in client.get("/nowhere").text


def test_only_own_branches_can_be_chosen(client, user):
    client.post("/login", data=user.credentials)

    assert client.post("/me/branch", data={"branch_id": user.branch_ids[1]}).status_code == 303
    with client.session_transaction() as kept:
        assert kept["branch_id"] == user.branch_ids[1]
    for other in (user.branch_ids[2], "x", "99999999999999999999"):
        assert client.post("/me/branch", data={"branch_id": other}).status_code == 404


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"username": "RECEPTION"}, ConflictError),
        ({"username": " "}, InvalidError),
        ({"full_name": ""}, InvalidError),
        ({"role": "admin"}, InvalidError),
        ({"password": "short"}, InvalidError),
        ({"actor": Actor(user_id=1, role="receptionist")}, NotAllowedError),
        ({"actor": Actor(user_id=1, role="manager"), "role": "owner"}, InvalidError),
        ({"actor": Actor(user_id=1, role="manager"), "branch_ids": [999]}, NotFoundError),
    ],
)
def test_users_are_made_by_the_rules(app, user, change, error):
    wanted = {
        "username": "someone",
        "password": "a long password",
        "full_name": "Someone",
        "role": "therapist",
        "actor": SYSTEM,
    }
    with app.app_context():
        with pytest.raises(error):
            create_user(**(wanted | change))
        assert db.session.execute(select(User.id)).scalars().all() == [user.id]
