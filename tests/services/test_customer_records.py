"""Health, tags, treatment notes, family, files and who looked; and forgetting a customer while the books stay."""

import datetime as dt
import json
import stat

import pytest

from spa_app.errors import InvalidError, NotAllowedError, NotFoundError
from spa_app.queries import customer_records, timeline
from spa_app.queries.customers import find_by_phone, find_customers
from spa_app.services import bookings, customer_files, deposits, papers, payments
from spa_app.services.anonymising import anonymise_customer
from spa_app.services.customer_merging import merge_customers, undo_merge
from spa_app.services.customer_records import (
    add_treatment_note,
    link_customers,
    record_access,
    set_health,
    set_tags,
    unlink_customers,
)
from spa_app.services.customers import create_customer, update_customer
from tests import factories
from tests.books import assert_books_balance
from tests.pictures import picture
from tests.services.checks import audited, execute, invoice_of, refused, rows

PNG = picture("PNG")
SECRETS = ("Bí Mật", "bi mat", "0987123456", "+84987123456", "secret@", "1987-06-05", "hidden")


@pytest.fixture
def spa(spa, app):
    with app.app_context():
        yield spa


def test_health_and_tags_are_replaced_and_audited(spa):
    set_health(spa.customer, allergies=" nuts ", medical_note="pacemaker", actor=spa.receptionist)
    set_health(spa.customer, allergies="nuts", medical_note="pacemaker", actor=spa.receptionist)
    set_tags(spa.customer, tags="VIP, vip,  Nhật  Bản,,", actor=spa.receptionist)

    assert rows("SELECT allergies, medical_note, tags FROM customers WHERE id = :id", id=spa.customer) == [
        ("nuts", "pacemaker", ["Nhật Bản", "VIP"])
    ]
    assert audited("customer")[-2:] == ["customer_health_changed", "customer_tagged"]
    with refused("tags_many", InvalidError, "tags"):
        set_tags(spa.customer, tags=",".join(map(str, range(13))), actor=spa.manager)
    with refused("too_long", InvalidError, "tags"):
        set_tags(spa.customer, tags="x" * 31, actor=spa.manager)
    with refused("not_found", NotFoundError):
        set_health(999_999, allergies="", medical_note="", actor=spa.manager)


def test_a_therapist_notes_what_happened_in_visits_of_their_own(spa):
    mine = factories.make_booking(spa)
    others = factories.make_booking(
        spa,
        bookings.ItemRequest(spa.consultation, spa.therapists[1]),
        starts_at=factories.this_minute() - dt.timedelta(hours=2),
    )

    add_treatment_note(mine, body="Calm skin", actor=spa.therapist)
    add_treatment_note(others, body="By the desk", actor=spa.receptionist)

    assert [note.body for note in customer_records.list_notes(spa.customer)] == ["Calm skin", "By the desk"]
    with refused("booking_unknown", NotFoundError):
        add_treatment_note(others, body="x", actor=spa.therapist)
    with refused("not_found", NotFoundError):
        add_treatment_note(mine, body="x", actor=spa.other_receptionist)
    with refused("note_missing", InvalidError, "body"):
        add_treatment_note(mine, body="  ", actor=spa.therapist)


def test_who_looked_stays_on_record_through_a_merge(spa):
    other = factories.make_customer()
    record_access(other, "health", actor=spa.receptionist)
    merge_customers(spa.customer, other, actor=spa.manager)
    record_access(spa.customer, "notes", actor=spa.therapist)

    seen = customer_records.list_accesses(spa.customer)

    assert [(one.what, one.actor, one.ip) for one in seen] == [
        ("notes", "Therapist", "192.0.2.7"),
        ("health", "Reception", "192.0.2.7"),
    ]


def test_family_is_seen_from_both_sides_and_goes_with_a_merge(spa):
    child, aunt = factories.make_customer("Bé Na"), factories.make_customer("Cô Lan")
    link_customers(spa.customer, child, relation="child", actor=spa.manager)
    link_id = link_customers(spa.customer, aunt, relation="sibling", actor=spa.manager)

    def seen(customer_id):
        return [(one.id, one.relation) for one in customer_records.list_family(customer_id)]

    assert seen(spa.customer) == [(aunt, "sibling"), (child, "child")]
    assert seen(child) == [(spa.customer, "parent")]
    with refused("already_linked"):
        link_customers(child, spa.customer, relation="other", actor=spa.manager)
    with refused("relation_unknown", InvalidError, "relation"):
        link_customers(child, aunt, relation="x", actor=spa.manager)
    with refused("same_customer", InvalidError):
        link_customers(child, child, relation="other", actor=spa.manager)
    twin = factories.make_customer("Le Thi Mai")
    merge_id = merge_customers(twin, spa.customer, actor=spa.manager)
    assert seen(twin) == [(aunt, "sibling"), (child, "child")]
    undo_merge(merge_id, actor=spa.manager)
    assert seen(twin) == []
    unlink_customers(spa.customer, link_id, actor=spa.manager)
    unlink_customers(spa.customer, link_id, actor=spa.manager)
    assert seen(spa.customer) == [(child, "child")]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"\xff\xd8\xff\xe0" + bytes(20), "image/jpeg"),
        (PNG, "image/png"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(8), "image/webp"),
        (b"%PDF-1.7\n" + bytes(20), "application/pdf"),
        (b"<!doctype html><script>alert(1)</script>", None),
        (b"\x89PNG\r\n<script>", None),
        (b"GIF89a<script>", None),
        (b"  %PDF-1.7", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"RIFF\x10\x00\x00\x00WAVE", None),
        (b"", None),
    ],
)
def test_a_file_is_what_its_bytes_say(content, media_type):
    assert customer_files.sniff(content) == media_type


def test_a_file_is_kept_for_its_owner_alone_and_goes_for_good(spa, tmp_path):
    file_id = customer_files.add_file(
        spa.customer, kind="photo", content=PNG, caption="before", data_dir=tmp_path, actor=spa.receptionist
    )
    file = customer_records.get_file(spa.customer, file_id)
    path = customer_files.path_of(tmp_path, file.stored_as)

    assert (file.media_type, file.size_bytes, path.read_bytes()) == ("image/png", len(PNG), PNG)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent, path.parent.parent)] == [
        0o600,
        0o700,
        0o700,
    ]
    assert customer_records.get_file(factories.make_customer(), file_id) is None
    with refused("manager_only", NotAllowedError):
        customer_files.delete_file(spa.customer, file_id, reason="x", data_dir=tmp_path, actor=spa.receptionist)
    with refused("reason_missing", InvalidError, "reason"):
        customer_files.delete_file(spa.customer, file_id, reason="", data_dir=tmp_path, actor=spa.manager)
    assert path.exists()
    customer_files.delete_file(spa.customer, file_id, reason="wrong person", data_dir=tmp_path, actor=spa.manager)
    assert not path.exists()
    assert customer_records.list_files(spa.customer) == []
    with refused("not_found", NotFoundError):
        customer_files.delete_file(spa.customer, file_id, reason="x", data_dir=tmp_path, actor=spa.manager)
    assert audited("customer")[-2:] == ["file_added", "file_deleted"]


def test_nothing_is_left_of_a_file_that_was_refused(spa, tmp_path):
    add = {"data_dir": tmp_path, "actor": spa.receptionist}
    with refused("file_type", InvalidError, "file"):
        customer_files.add_file(spa.customer, kind="photo", content=b"<html>", **add)
    with refused("file_too_large", InvalidError, "file"):
        customer_files.add_file(spa.customer, kind="photo", content=PNG + bytes(customer_files.BIGGEST_FILE), **add)
    with refused("kind_unknown", InvalidError, "kind"):
        customer_files.add_file(spa.customer, kind="page", content=PNG, **add)
    with refused("not_found", NotFoundError):
        customer_files.add_file(999_999, kind="photo", content=PNG, **add)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_timeline_tells_everything_once_a_page_at_a_time(spa, monkeypatch):
    now = factories.this_minute()
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    visit = factories.make_booking(spa, card=card, status="completed")
    paid = factories.make_booking(spa, starts_at=now - dt.timedelta(hours=3), status="completed")
    payments.take_payment(invoice_of(paid), method="cash", amount=100_000, actor=spa.manager)
    add_treatment_note(visit, body="x", actor=spa.therapist)
    set_tags(spa.customer, tags="VIP", actor=spa.manager)
    other = factories.make_customer()
    set_tags(other, tags="Regular", actor=spa.manager)
    merge_customers(spa.customer, other, actor=spa.manager)
    begin = timeline.parse_cursor("")
    everything = timeline.list_events(spa.customer, branch_ids=[spa.branch], before=begin).events
    kinds = [event.kind for event in everything]

    # sold, held, released and punched; the card's sale and the visit's; tags of both and both sides of the merge
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "visit": 2,
        "entry": 4,
        "invoice": 2,
        "payment": 2,
        "note": 1,
        "message": kinds.count("message"),
        "change": 4,
    }
    assert [event.at for event in everything] == sorted((event.at for event in everything), reverse=True)
    monkeypatch.setattr(timeline, "PER_PAGE", 3)
    paged, cursor = [], ""
    while cursor is not None:
        page = timeline.list_events(spa.customer, branch_ids=[spa.branch], before=timeline.parse_cursor(cursor))
        paged += page.events
        cursor = page.older
    assert tuple(paged) == everything
    monkeypatch.undo()
    elsewhere = timeline.list_events(spa.customer, branch_ids=[], before=begin)
    assert {event.kind for event in elsewhere.events} == {"entry", "change"}


@pytest.mark.parametrize("cursor", ["", "x", "1.2", "9" * 19 + ".1.1", "1.99.9999999999999999999", "-1.1.1"])
def test_any_other_cursor_is_the_beginning_or_an_end(spa, cursor):
    timeline.list_events(spa.customer, branch_ids=[spa.branch], before=timeline.parse_cursor(cursor))


def _leaks():
    """Where anything personal is left, whichever table it is in."""
    tables = [name for (name,) in rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return [
        (table, row)
        for table in tables
        for (row,) in rows(f"SELECT to_jsonb(t)::text FROM {table} t")
        if any(secret in json.dumps(json.loads(row), ensure_ascii=False) for secret in SECRETS)
    ]


@pytest.fixture
def known(spa, tmp_path):
    """A customer of whom everything is known, and nothing is left to do; and who was merged into them."""
    other = create_customer(full_name="Bí Mật Hai", note="hidden", actor=spa.manager)
    customer = create_customer(
        full_name="Bí Mật",
        phone="0987123456",
        email="secret@example.com",
        birth_date=dt.date(1987, 6, 5),
        allergies="hidden",
        note="hidden",
        actor=spa.receptionist,
    )
    update_customer(customer, full_name="Bí Mật", phone="0987123456", email="secret@example.com", actor=spa.manager)
    set_health(customer, allergies="hidden", medical_note="hidden", actor=spa.receptionist)
    set_tags(customer, tags="hidden", actor=spa.receptionist)
    link_customers(customer, spa.customer, relation="spouse", actor=spa.manager)
    merge_customers(customer, other, reason="hidden", actor=spa.manager)
    now = factories.this_minute()
    visit = factories.make_booking(spa, customer_id=customer, starts_at=now - dt.timedelta(hours=3), status="completed")
    payments.take_payment(invoice_of(visit), method="cash", amount=None, actor=spa.manager)
    papers.mail_paper(
        invoice_of(visit), paper="a4", recipient="secret@example.com", locale="vi", actor=spa.receptionist
    )
    add_treatment_note(visit, body="hidden", actor=spa.therapist)
    factories.make_gift_card(spa, customer_id=customer, receiver_name="hidden")
    gone = factories.make_booking(spa, customer_id=customer, starts_at=now + dt.timedelta(hours=3))
    bookings.cancel(gone, reason="hidden", actor=spa.receptionist)
    execute("UPDATE bookings SET note = 'hidden', version = version + 1 WHERE id = :id", id=visit)
    customer_files.add_file(
        customer, kind="consent", content=PNG, caption="hidden", data_dir=tmp_path, actor=spa.manager
    )
    return customer, other


def anonymise(spa, customer, tmp_path, **changes):
    given = {"reason": "asked for it", "confirmed_name": "Bí Mật", "data_dir": tmp_path, "actor": spa.manager}
    return anonymise_customer(customer, **given | changes)


def test_nothing_personal_is_left_anywhere_and_the_books_balance(spa, known, tmp_path):
    customer = known[0]
    assert len({table for table, _ in _leaks()}) > 5
    kept = rows("SELECT count(*), sum(total_amount) FROM invoices WHERE customer_id = :id", id=customer)

    anonymise(spa, customer, tmp_path)

    assert _leaks() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert rows("SELECT count(*), sum(total_amount) FROM invoices WHERE customer_id = :id", id=customer) == kept
    assert rows("SELECT full_name FROM customers WHERE id = :id", id=customer) == [(f"#{customer}",)]
    assert [find_customers(q) for q in ("bi mat", "0987123456", str(customer))] == [[], [], []]
    assert find_by_phone("+84987123456") == []
    assert_books_balance()
    create_customer(full_name="New", phone="0987123456", actor=spa.manager)
    with refused("customer_gone", field="customer_id"):
        factories.make_booking(spa, customer_id=customer)
    with refused("customer_anonymised"):
        anonymise(spa, customer, tmp_path, confirmed_name=f"#{customer}")
    (merge_id,) = rows("SELECT max(id) FROM customer_merges")[0]
    with refused("customer_anonymised"):
        undo_merge(merge_id, actor=spa.manager)
    assert "customer_anonymised" in audited("customer")


def test_what_is_open_between_them_is_named(spa, tmp_path):
    customer = create_customer(full_name="Bí Mật", actor=spa.manager)
    with refused("manager_only", NotAllowedError):
        anonymise(spa, customer, tmp_path, actor=spa.receptionist)
    with refused("reason_missing", InvalidError, "reason"):
        anonymise(spa, customer, tmp_path, reason=" ")
    with refused("name_not_confirmed", InvalidError, "confirmed_name"):
        anonymise(spa, customer, tmp_path, confirmed_name="bi mat")
    with refused("not_found", NotFoundError):
        anonymise(spa, 999_999, tmp_path)
    entry = factories.make_entry(spa, customer_id=customer)
    with refused("still_waiting"):
        anonymise(spa, customer, tmp_path)
    execute("UPDATE waitlist_entries SET status = 'withdrawn', withdraw_reason = 'x' WHERE id = :id", id=entry)
    visit = factories.make_booking(spa, customer_id=customer)
    with refused("visit_to_come"):
        anonymise(spa, customer, tmp_path)
    bookings.start(visit, actor=spa.receptionist)
    bookings.complete(visit, actor=spa.receptionist)
    with refused("money_due"):
        anonymise(spa, customer, tmp_path)
    payments.take_payment(invoice_of(visit), method="cash", amount=None, actor=spa.manager)
    bookings.undo_complete(visit, actor=spa.manager)
    bookings.cancel(visit, reason="x", actor=spa.manager)
    with refused("credit_left"):
        anonymise(spa, customer, tmp_path)
    third = create_customer(full_name="Bí Mật", actor=spa.manager)
    given_up = factories.make_booking(spa, customer_id=third)
    deposits.take_deposit(given_up, method="cash", amount=50_000, actor=spa.manager)
    bookings.cancel(given_up, reason="x", actor=spa.manager)
    with refused("deposit_left"):
        anonymise(spa, third, tmp_path)
    another = create_customer(full_name="Bí Mật", actor=spa.manager)
    factories.make_card(another, spa.facial, branch_id=spa.branch)
    with refused("sessions_left"):
        anonymise(spa, another, tmp_path)
