"""Health, notes, family, files, timeline and forgetting, through the pages: who may, what is logged and refused."""

import io
import re
import shutil
import uuid

import pytest
from PIL import Image
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from spa_app.services import customer_files
from spa_app.services.customer_records import set_health
from spa_app.services.customers import create_customer
from tests import factories
from tests.factories import login
from tests.pictures import photo
from tests.services.checks import rows
from tests.services.test_customer_records import PNG

HTMX = {"HX-Request": "true", "HX-Target": "main"}


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


@pytest.fixture(autouse=True)
def _no_files_left(app):
    yield
    shutil.rmtree(app.config["SETTINGS"].data_dir / "customer-files", ignore_errors=True)


def post(client, address, headers=None, **fields):
    return client.post(address, data={"idempotency_key": uuid.uuid4(), **fields}, headers=headers)


def upload(client, customer_id, content, headers=None, name="photo.png", **fields):
    file = FileStorage(io.BytesIO(content), name, content_type="image/png")
    # Encoded here: of a large body the test client would leave a temporary file open.
    boundary, body = encode_multipart({"idempotency_key": str(uuid.uuid4()), "kind": "photo", **fields, "file": file})
    kind = f"multipart/form-data; boundary={boundary}"
    return client.post(f"/customers/{customer_id}/files", data=body, content_type=kind, headers=headers)


def seen(what=None):
    return [one for (one,) in rows("SELECT what FROM record_accesses ORDER BY id") if what in (None, one)]


def stored_files(app):
    return [path for path in (app.config["SETTINGS"].data_dir / "customer-files").rglob("*") if path.is_file()]


def test_each_look_at_what_is_private_is_logged_for_managers(desk, spa):
    assert desk.get(f"/customers/{spa.customer}").status_code == 200
    assert seen() == []
    saved = post(desk, f"/customers/{spa.customer}/health", allergies="nuts", medical_note="pacemaker")
    assert (saved.status_code, saved.location) == (303, f"/customers/{spa.customer}/health")
    page = desk.get(saved.location).text
    assert ("pacemaker" in page, "Who looked at it" in page) == (True, False)
    assert "pacemaker" not in desk.get(f"/customers/{spa.customer}").text
    desk.get(f"/customers/{spa.customer}/files", headers=HTMX)
    assert seen() == ["health", "allergies", "files"]

    login(desk, "manager")
    assert "Who looked at it" in desk.get(f"/customers/{spa.customer}/health").text
    assert post(desk, f"/customers/{spa.customer}/health", allergies="x" * 5000).status_code == 422


def test_a_therapist_reads_and_writes_for_visits_of_their_own(app, client, spa):
    with app.app_context():
        mine = factories.make_booking(spa)
        item = factories.bookings.ItemRequest(spa.consultation, spa.therapists[1])
        others = factories.make_booking(spa, item, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    login(client, "therapist")
    address = f"/customers/visits/{mine}/notes"
    assert address in client.get(f"/bookings/{mine}").text

    written = post(client, address, body="Calm skin")

    assert (written.status_code, written.location) == (303, address)
    assert "Calm skin" in client.get(address).text
    assert seen() == ["notes"]
    assert post(client, address, body=" ").status_code == 422
    for answer in (
        client.get(f"/customers/visits/{others}/notes"),
        post(client, f"/customers/visits/{others}/notes", body="x"),
    ):
        assert answer.status_code == 403
    assert client.get(f"/customers/{spa.customer}/health").status_code == 403
    login(client, "reception7")
    assert client.get(address).status_code == 404


def test_a_photo_is_served_as_nothing_but_a_photo(app, desk, spa):
    added = upload(desk, spa.customer, PNG, name='../../evil"><script>.html', caption="before")
    assert (added.status_code, added.location) == (303, f"/customers/{spa.customer}/files")
    page = desk.get(added.location).text
    address = re.search(r'src="(/customers/\d+/files/\d+)"', page)[1]

    photo = desk.get(address)

    assert (photo.status_code, photo.data, photo.mimetype) == (200, PNG, "image/png")
    assert re.fullmatch(r"inline; filename=photo-\d+\.png", photo.headers["Content-Disposition"])
    assert photo.headers["X-Content-Type-Options"] == "nosniff"
    assert photo.headers["Content-Security-Policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    assert photo.headers["Cache-Control"] == "no-store"
    assert seen("file") == ["file"]
    assert "evil" not in page
    (path,) = stored_files(app)
    assert re.fullmatch(r"[0-9a-f]{32}", path.name)
    assert str(app.static_folder) not in str(path)
    other = create(app, spa)
    assert desk.get(f"/customers/{other}/files/{address.rsplit('/', 1)[1]}").status_code == 404
    login(desk, "therapist")
    assert desk.get(address).status_code == 403
    assert app.test_client().get(address).status_code in (302, 401)


def create(app, spa):
    with app.app_context():
        return create_customer(full_name="Somebody", actor=spa.manager)


def test_a_consent_form_is_downloaded_never_shown(desk, spa):
    upload(desk, spa.customer, b"%PDF-1.7\n%" + bytes(30), name="x.png", kind="consent")
    address = re.search(r'href="(/customers/\d+/files/\d+)"', desk.get(f"/customers/{spa.customer}/files").text)[1]

    form = desk.get(address)

    assert form.mimetype == "application/pdf"
    assert form.headers["Content-Disposition"].startswith("attachment; filename=consent-")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"<html><script>alert(1)</script></html>", 422),
        (b"\x89PNG <script>alert(1)</script>", 422),
        (b"", 422),
        (PNG + bytes(customer_files.BIGGEST_FILE), 422),
        (PNG + bytes(customer_files.BIGGEST_FILE + 100_000), 413),
    ],
    ids=["html", "html in a png name", "nothing", "too large", "far too large"],
)
@pytest.mark.parametrize("headers", [None, HTMX])
def test_what_is_no_photo_is_refused_and_nothing_stays(app, desk, spa, content, status, headers):
    answer = upload(desk, spa.customer, content, headers)

    assert answer.status_code == status
    assert status == 413 or 'id="file-error"' in answer.text
    assert stored_files(app) == []
    assert rows("SELECT count(*) FROM customer_files") == [(0,)]


def test_only_uploads_may_be_large(desk, spa):
    assert desk.post(f"/customers/{spa.customer}", data={"note": "x" * 2_200_000}).status_code == 413
    assert upload(desk, spa.customer, PNG + bytes(3_000_000)).status_code == 303
    assert post(desk, f"/customers/{spa.customer}/files", kind="photo").status_code == 422
    assert upload(desk, spa.customer, PNG, kind="page").status_code == 422


def test_a_manager_deletes_a_file_with_a_reason(app, desk, spa):
    upload(desk, spa.customer, PNG)
    (file_id,) = rows("SELECT id FROM customer_files")[0]
    address = f"/customers/{spa.customer}/files/{file_id}"
    assert post(desk, f"{address}/delete", reason="x").status_code == 403
    login(desk, "manager")
    assert post(desk, f"{address}/delete", reason="").status_code == 422
    assert stored_files(app) != []

    assert post(desk, f"{address}/delete", reason="the wrong person").status_code == 303

    assert desk.get(address).status_code == 404
    assert stored_files(app) == []
    assert rows("SELECT reason FROM audit_log WHERE action = 'file_deleted'") == [("the wrong person",)]


def test_family_is_found_linked_and_seen_on_both_pages(app, desk, spa):
    child = create(app, spa)
    page = desk.get(f"/customers/{spa.customer}/family?q=somebody").text
    assert f'name="relative_id" value="{child}"' in page

    linked = post(desk, f"/customers/{spa.customer}/family?q=x", relative_id=child, relation="child")

    assert (linked.status_code, linked.location) == (303, f"/customers/{spa.customer}/family")
    assert "Somebody" in desk.get(f"/customers/{spa.customer}").text
    assert "mother or father" in desk.get(f"/customers/{child}").text
    again = post(desk, f"/customers/{child}/family", relative_id=spa.customer, relation="other")
    assert (again.status_code, "linked already" in again.text) == (409, True)
    for wrong in ({}, {"relative_id": "x", "relation": "child"}, {"relative_id": child, "relation": "x"}):
        assert post(desk, f"/customers/{spa.customer}/family", **wrong).status_code == 422
    remove = re.search(r'action="(/customers/\d+/family/\d+/delete)"', desk.get(linked.location).text)[1]
    assert post(desk, remove).status_code == 303
    assert "Nobody is linked yet" in desk.get(linked.location).text


def test_the_family_is_offered_first_where_a_card_is_shared(app, desk, spa):
    child = create(app, spa)
    with app.app_context():
        card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    address = f"/treatments/{card}?do=share"
    assert f'name="customer_id" value="{child}"' not in desk.get(address).text

    post(desk, f"/customers/{spa.customer}/family", relative_id=child, relation="child")

    assert f'name="customer_id" value="{child}"' in desk.get(address).text


def test_tags_and_the_timeline(desk, spa):
    assert post(desk, f"/customers/{spa.customer}/tags", tags="VIP").location == f"/customers/{spa.customer}"
    assert "VIP" in desk.get(f"/customers/{spa.customer}").text
    assert "Tags changed" in desk.get(f"/customers/{spa.customer}/timeline").text
    assert desk.get(f"/customers/{spa.customer}/timeline?before=1.1.1").status_code == 200
    assert post(desk, f"/customers/{spa.customer}/tags", tags="x" * 40).status_code == 422


def test_a_manager_forgets_a_customer_who_asks_for_it(app, manager, spa):
    customer = create(app, spa)
    address = f"/customers/{customer}/anonymise"
    assert "This cannot be undone." in manager.get(address).text
    for wrong in ({}, {"reason": "asked", "confirmed_name": "Some"}):
        assert post(manager, address, **wrong).status_code == 422

    gone = post(manager, address, reason="asked", confirmed_name="Somebody")

    assert (gone.status_code, gone.location) == (303, f"/customers/{customer}")
    assert "This customer is anonymised" in manager.get(gone.location).text
    assert "Nobody found" in manager.get("/customers?q=somebody").text
    assert post(manager, f"/customers/{customer}/tags", tags="x").status_code == 409
    login(manager, "reception")
    assert manager.get(address).status_code == 403
    with app.app_context():
        factories.make_booking(spa)
    login(manager, "manager")
    open_visit = post(manager, f"/customers/{spa.customer}/anonymise", reason="asked", confirmed_name="Lê Thị Mai")
    assert (open_visit.status_code, "A visit is still open" in open_visit.text) == (409, True)


def test_the_words_of_an_allergy_are_logged_wherever_they_are_read_and_a_badge_is_not(app, desk, spa):
    lan = factories.make_customer("Vũ Lan")
    with app.app_context():
        for customer in (spa.customer, lan):
            set_health(customer, allergies=f"nuts {customer}", medical_note=f"{customer}", actor=spa.receptionist)
        factories.make_booking(spa)
        visit = factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
        day = factories.tomorrow_at(spa.branch, "10:00").date()
        for hour in ("14:00", "16:00"):
            factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, hour), customer_id=lan)
        entry = factories.make_entry(spa, customer_id=lan)

    def looks(address, headers=None):
        before = rows("SELECT coalesce(max(id), 0) FROM record_accesses")[0][0]
        page = desk.get(address, headers=headers)
        assert page.status_code == 200, address
        kept = "SELECT what, customer_id, actor_id FROM record_accesses WHERE id > :before ORDER BY id"
        found = rows(kept, before=before)
        assert bool(found) == ("nuts" in page.text), address
        return found

    for badge in (
        f"/calendar?date={day}",
        f"/calendar?date={day}&view=list",
        "/calendar?view=week",
        "/customers?q=lan",
    ):
        assert "Allergy" in desk.get(badge).text
        assert looks(badge) == []
    user = spa.receptionist.user_id
    mai = [("allergies", spa.customer, user)]
    assert looks(f"/bookings/{visit}") == mai
    assert looks(f"/bookings/{visit}", {**HTMX, "HX-Target": "panel"}) == mai
    for form in ("bookings/new", "bookings/series", "walk-ins/new"):
        assert looks(f"/{form}?customer_id={spa.customer}") == mai
    assert looks(f"/waitlist/{entry}") == [("allergies", lan, user)]
    assert looks(f"/calendar/sheet?date={day}") == [*mai, ("allergies", lan, user)], "each once, in one statement"
    assert looks(f"/customers/{spa.customer}/merge/{lan}") == [
        (what, customer, user) for customer in (spa.customer, lan) for what in ("allergies", "health")
    ]


def test_a_photo_is_kept_without_its_place_and_a_broken_one_is_refused_at_the_field(app, desk, spa):
    taken = photo("JPEG")
    assert upload(desk, spa.customer, taken).status_code == 303
    (path,) = stored_files(app)
    with Image.open(path) as kept:
        assert kept.getexif().get_ifd(0x8825) == {}
    assert rows("SELECT size_bytes FROM customer_files") == [(path.stat().st_size,)]

    for content in (taken[: len(taken) // 2], b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(40)):
        refused = upload(desk, spa.customer, content)
        assert refused.status_code == 422
        assert "This picture cannot be read." in refused.text
        assert 'id="file-error"' in refused.text
    assert len(stored_files(app)) == 1
