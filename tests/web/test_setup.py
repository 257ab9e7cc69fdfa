"""/setup: each page saves what was typed, refuses at the field, keeps before and after, and shows the fresh truth."""

import datetime as dt
import re
import uuid

import pytest

from spa_app import clock
from tests import factories
from tests.factories import TIMEZONE, login, make_booking, tomorrow_at
from tests.services.checks import rows

WEEK = {f"day_{day}-from": ["08:00", "14:00"] for day in range(7)} | {
    f"day_{day}-to": ["12:00", "20:00"] for day in range(7)
}
POLICIES = {
    "late_cancel_minutes": "180",
    "late_cancel_policy": "fee",
    "late_cancel_percent": "50",
    "no_show_policy": "forfeit",
    "waiver_limit_amount": "100.000",
    "extend_limit_days": "45",
    "refund_limit_amount": "300.000",
}


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


def post(client, address, /, **fields):
    return client.post(f"/setup{address}", data={"idempotency_key": uuid.uuid4(), **fields})


def seen(client, address):
    found = re.search(r'name="seen" value="([0-9a-f]{16})"', client.get(f"/setup{address}").text)
    return found[1] if found else ""


def audit(action):
    return rows(f"SELECT before, after FROM audit_log WHERE action = '{action}' ORDER BY id")


def facial(spa, **changes):
    return {
        "name": "Basic Facial",
        "duration_minutes": "60",
        "buffer_before_minutes": "0",
        "buffer_after_minutes": "10",
        "price_amount": "450.000",
        "vat_percent": "8",
        "types": [spa.room_type],
        "is_active": "y",
        **changes,
    }


def test_every_page_of_the_frame_opens_and_names_the_others(manager):
    html = manager.get("/setup/", follow_redirects=True).text
    links = re.findall(r'class="setup__link" href="([^"]+)"', html)
    assert len(links) == 12
    for link in links:
        answer = manager.get(link.replace("&amp;", "&"))
        assert answer.status_code == 200
        assert 'aria-current="page"' in answer.text


def test_hours_of_the_week_with_several_periods(manager, spa):
    assert (
        post(manager, "/hours", seen=seen(manager, "/hours"), **{**WEEK, "day_6-from": "", "day_6-to": ""}).status_code
        == 303
    )
    query = f"SELECT weekday, count(*) FROM branch_hours WHERE branch_id = {spa.branch} GROUP BY 1 ORDER BY 1"
    assert rows(query) == [(day, 2) for day in range(6)]
    ((before, after),) = audit("branch_hours_set")
    assert before["week"][0] == [["08:00", "21:00"]]
    assert after["week"][0] == [["08:00", "12:00"], ["14:00", "20:00"]]
    assert after["week"][6] == []


def test_hours_that_overlap_are_refused_at_their_day(manager, spa):
    wrong = {**WEEK, "day_2-from": ["08:00", "11:00"]}
    answer = post(manager, "/hours", seen=seen(manager, "/hours"), **wrong)
    assert answer.status_code == 422
    assert re.search(r'id="day_2-error".{0,200}Two of these periods overlap', answer.text, re.DOTALL)
    assert audit("branch_hours_set") == []


@pytest.mark.parametrize(
    ("address", "fields", "shown"),
    [
        ("/hours", WEEK, 'value="08:00"'),
        ("/policies", POLICIES, 'value="180"'),
        ("/branch", {"name": "Other", "timezone": TIMEZONE}, 'value="Other"'),
    ],
)
def test_two_managers_do_not_overwrite_each_other(manager, address, fields, shown):
    old = seen(manager, address)
    assert post(manager, address, seen=old, **fields).status_code == 303
    changed = {**fields, "name": "Mine", "late_cancel_minutes": "60", "day_0-from": ["09:00"], "day_0-to": ["10:00"]}

    answer = post(manager, address, seen=old, **changed)

    assert answer.status_code == 409
    assert "Somebody else has just changed this" in answer.text
    assert shown in answer.text
    # What is shown can be changed from there.
    fresh = re.search(r'name="seen" value="([0-9a-f]{16})"', answer.text)[1]
    assert post(manager, address, seen=fresh, **changed).status_code == 303


def test_special_days_come_and_go(manager, spa):
    day = clock.today(TIMEZONE) + dt.timedelta(days=3)
    fields = {"happens_on": day.isoformat(), "kind": "hours", "periods-from": ["10:00"], "periods-to": ["14:00"]}
    assert post(manager, "/special-days", **fields, reason="Tết").status_code == 303
    assert "10–14" in manager.get("/setup/special-days").text
    stamp = seen(manager, f"/special-days?date={day}")
    assert post(manager, "/special-days", seen=stamp, happens_on=day.isoformat(), kind="closed").status_code == 303
    assert post(manager, "/special-days", seen=stamp, happens_on=day.isoformat(), kind="closed").status_code == 409
    assert rows("SELECT opens_at FROM branch_exceptions") == [(None,)]
    assert post(manager, "/special-days", happens_on=day.isoformat(), kind="closed", usual="1").status_code == 303
    assert rows("SELECT count(*) FROM branch_exceptions") == [(0,)]
    assert post(manager, "/special-days", happens_on="x").status_code == 422
    assert len(audit("branch_exception_set")) == 3


def test_policies_are_said_in_plain_words_before_they_are_saved(manager, spa):
    words = manager.get("/setup/policies/preview", query_string=POLICIES).text
    assert "Cancelled 180 min or less before its start: a fee of ₫250,000 is charged" in re.sub(r"\s+", " ", words)
    assert "Not complete yet" in manager.get("/setup/policies/preview?late_cancel_policy=fee").text

    assert post(manager, "/policies", seen=seen(manager, "/policies"), **POLICIES).status_code == 303
    query = (
        "SELECT late_cancel_minutes, late_cancel_policy, late_cancel_fee_bp, no_show_policy, waiver_limit_amount"
        f" FROM branches WHERE id = {spa.branch}"
    )
    assert rows(query) == [(180, "fee", 5000, "forfeit", 100_000)]
    ((before, after),) = audit("branch_policies_set")
    assert (before["late_cancel_policy"], after["late_cancel_policy"]) == ("none", "fee")


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"late_cancel_percent": ""}, "late_cancel_percent", "Give either a percentage or an amount."),
        ({"late_cancel_fee_amount": "5"}, "late_cancel_percent", "Give either a percentage or an amount."),
        ({"late_cancel_minutes": "-1"}, "late_cancel_minutes", "Number must be between"),
        ({"late_cancel_percent": "101"}, "late_cancel_percent", "Number must be between"),
        ({"extend_limit_days": "3651"}, "extend_limit_days", "Number must be between 0 and 3650."),
        ({"waiver_limit_amount": "many"}, "waiver_limit_amount", "This is not an amount."),
        ({"no_show_policy": "x"}, "no_show_policy", "Not a valid choice."),
    ],
)
def test_policies_that_cannot_be_are_refused_at_the_field(manager, changes, field, says):
    answer = post(manager, "/policies", seen=seen(manager, "/policies"), **{**POLICIES, **changes})
    assert answer.status_code == 422
    assert re.search(rf'id="{field}-error".{{0,250}}{says}', answer.text, re.DOTALL)


def test_usual_shifts_are_added_changed_and_taken_away(manager, spa):
    fields = {"name": "Early", "periods-from": ["08:00"], "periods-to": ["15:00"]}
    assert post(manager, "/shifts", **fields).status_code == 303
    assert post(manager, "/shifts", **fields).status_code == 409  # the name
    ((one,),) = rows("SELECT id FROM shift_templates")
    old = seen(manager, f"/shifts/{one}")
    assert post(manager, f"/shifts/{one}", seen=old, **{**fields, "name": "Sớm"}).status_code == 303
    assert post(manager, f"/shifts/{one}", seen=old, **fields).status_code == 409
    assert rows("SELECT name FROM shift_templates") == [("Sớm",)]
    assert post(manager, "/shifts", name="None").status_code == 422
    assert post(manager, f"/shifts/{one}/delete", branch=spa.other_branch).status_code == 404
    assert post(manager, f"/shifts/{one}/delete").status_code == 303
    assert rows("SELECT count(*) FROM shift_template_periods") == [(0,)]


def test_a_therapist_is_added_and_can_be_booked_for_their_skills(manager, spa):
    fields = {"full_name": "Mỹ Duyên", "skills": [spa.facial], "is_active": "y"}
    assert post(manager, "/therapists", **fields).status_code == 303
    ((one,),) = rows("SELECT id FROM staff WHERE full_name = 'Mỹ Duyên'")
    assert rows(f"SELECT service_id FROM staff_skills WHERE staff_id = {one}") == [(spa.facial,)]
    assert post(manager, "/therapists", full_name=" ").status_code == 422
    assert post(manager, "/therapists", full_name="A", skills=[999]).status_code == 422
    assert post(manager, f"/therapists/{spa.other_therapist}", **fields).status_code == 404
    assert manager.get(f"/setup/therapists/{spa.other_therapist}").status_code == 404


def test_who_leaves_with_visits_ahead_is_asked_about_and_the_visits_are_listed(app, manager, spa):
    with app.app_context():
        booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    one = spa.therapists[0]
    address = f"/therapists/{one}"
    fields = {"full_name": "Hồng", "skills": [spa.facial], "seen": seen(manager, address)}

    answer = post(manager, address, **fields)

    assert answer.status_code == 409
    assert f"/bookings/{booking}" in answer.text
    assert "/affected?staff_id=" in answer.text
    assert 'name="despite"' in answer.text
    assert rows(f"SELECT is_active FROM staff WHERE id = {one}") == [(True,)]
    assert post(manager, address, **fields, despite="y").status_code == 303
    assert rows(f"SELECT is_active FROM staff WHERE id = {one}") == [(False,)]
    assert rows("SELECT status FROM bookings") == [("confirmed",)]
    ((before, after),) = audit("therapist_saved")
    assert (before["is_active"], after["is_active"], after["skills"]) == (True, False, [spa.facial])


def test_a_room_goes_out_of_use(app, manager, spa):
    with app.app_context():
        make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    address = f"/rooms/{spa.rooms[0]}"
    fields = {"name": "Room 1", "type_id": spa.room_type}
    assert post(manager, address, seen=seen(manager, address), **fields).status_code == 409
    assert post(manager, address, seen=seen(manager, address), **fields, despite="y").status_code == 303
    assert post(manager, "/rooms", name="Room 2", type_id=spa.room_type, is_active="y").status_code == 409  # the name
    assert post(manager, "/rooms", name="Room 9", type_id=spa.room_type, is_active="y").status_code == 303
    assert post(manager, f"/rooms/{spa.other_room}", **fields).status_code == 404
    assert len(audit("room_saved")) == 2


def test_a_new_price_leaves_what_is_booked_and_sold_alone(app, manager, spa):
    with app.app_context():
        make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
        done = make_booking(spa, status="completed", customer_id=factories.make_customer())
    before = rows("SELECT price_amount FROM booking_items ORDER BY id"), rows("SELECT total_amount FROM invoices")
    address = f"/services/{spa.facial}"

    answer = post(
        manager, address, seen=seen(manager, address), **facial(spa, price_amount="600.000", duration_minutes="75")
    )

    assert answer.status_code == 303
    after = rows("SELECT price_amount FROM booking_items ORDER BY id"), rows("SELECT total_amount FROM invoices")
    assert after == before
    assert rows("SELECT ends_at - starts_at FROM booking_items") == [(dt.timedelta(minutes=60),)] * 2
    assert rows(f"SELECT price_amount FROM services WHERE id = {spa.facial}") == [(600_000,)]
    assert done


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"duration_minutes": "4"}, "duration_minutes"),
        ({"buffer_after_minutes": "121"}, "buffer_after_minutes"),
        ({"price_amount": ""}, "price_amount"),
        ({"price_amount": "9" * 20}, "price_amount"),
        ({"vat_percent": "101"}, "vat_percent"),
    ],
)
def test_a_service_that_cannot_be_is_refused_at_the_field(manager, spa, changes, field):
    answer = post(manager, "/services", **facial(spa, **{"name": "New", **changes}))
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert post(manager, "/services", **facial(spa)).status_code == 409  # the name is in use


def test_another_time_zone_is_refused_while_visits_lie_ahead(app, manager, spa):
    fields = {"name": "Spa", "timezone": "Europe/Berlin", "address": "", "phone": "0912 345 678"}
    with app.app_context():
        make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    answer = post(manager, "/branch", seen=seen(manager, "/branch"), **fields)
    assert answer.status_code == 409
    assert 'id="timezone-error"' in answer.text
    assert post(manager, "/branch", seen=seen(manager, "/branch"), **{**fields, "timezone": "Mars"}).status_code == 422


@pytest.mark.parametrize("address", ["/hours", "/policies", "/branch", "/special-days", "/shifts", "/therapists"])
def test_a_branch_of_others_is_not_there(manager, spa, address):
    assert manager.get(f"/setup{address}?branch={spa.other_branch}").status_code == 404
    assert post(manager, address, branch=spa.other_branch).status_code == 404


def package(spa, **changes):
    return {
        "name": "Ten and two",
        "lines-0-service": spa.facial,
        "lines-0-sessions": "10",
        "lines-0-bonus_sessions": "2",
        "lines-1-service": "any",
        "lines-1-sessions": "1",
        "lines-1-bonus_sessions": "",
        "lines-2-service": "",
        "lines-2-sessions": "",
        "price_amount": "4.000.000",
        "vat_percent": "8",
        "validity": "6",
        "unit": "months",
        "begins": "visit",
        "is_active": "y",
        **changes,
    }


def test_a_package_is_added_changed_and_retired(manager, spa):
    assert post(manager, "/plans", **package(spa)).status_code == 303
    ((plan,),) = rows("SELECT id FROM plans WHERE name = 'Ten and two'")
    items = f"SELECT service_id, sessions, bonus_sessions FROM plan_items WHERE plan_id = {plan} ORDER BY id"
    assert rows(items) == [(spa.facial, 10, 2), (None, 1, 0)]
    page = manager.get("/setup/plans").text
    assert "10 × Basic Facial and 2 free" in re.sub(r"\s+", " ", page).replace("  ", " ")

    address = f"/plans/{plan}"
    fields = package(spa, unit="days", validity="90", begins="purchase", **{"lines-1-service": ""})
    stale = seen(manager, address)
    assert post(manager, address, seen=stale, **fields).status_code == 303
    assert rows(items) == [(spa.facial, 10, 2)]
    columns = "validity_days, validity_months, from_first_visit, is_active"
    assert rows(f"SELECT {columns} FROM plans WHERE id = {plan}") == [(90, None, False, True)]
    refused = post(manager, address, seen=stale, **fields)
    assert refused.status_code == 409
    assert "Somebody else has just changed this" in refused.text
    assert post(manager, address, seen=seen(manager, address), **{**fields, "is_active": ""}).status_code == 303
    assert rows(f"SELECT {columns} FROM plans WHERE id = {plan}") == [(90, None, False, False)]
    assert [before is None for before, _after in audit("plan_saved")] == [True, False, False]


def test_a_new_price_of_a_package_leaves_sold_cards_alone(manager, spa):
    factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    before = rows("SELECT * FROM customer_treatments"), rows("SELECT * FROM invoice_lines")
    ((plan,),) = rows("SELECT plan_id FROM customer_treatments")
    address = f"/plans/{plan}"

    answer = post(manager, address, seen=seen(manager, address), **package(spa, price_amount="9.000.000", name="New"))

    assert answer.status_code == 303
    assert (rows("SELECT * FROM customer_treatments"), rows("SELECT * FROM invoice_lines")) == before
    assert "Cards that are sold keep their price" in manager.get(f"/setup{address}").text
    assert rows(f"SELECT price_amount FROM plans WHERE id = {plan}") == [(9_000_000,)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"lines-0-service": "", "lines-1-service": ""}, "lines"),
        ({"lines-0-service": "any"}, "lines"),
        ({"lines-0-service": "4711"}, "lines"),
        ({"lines-0-service": "x"}, "lines"),
        ({"lines-0-sessions": ""}, "lines"),
        ({"lines-0-sessions": "999"}, "lines"),
        ({"lines-0-sessions": "0"}, "lines-0-sessions"),
        ({"price_amount": ""}, "price_amount"),
        ({"vat_percent": "101"}, "vat_percent"),
        ({"validity": "0"}, "validity"),
        ({"validity": "121"}, "validity"),
    ],
)
def test_a_package_that_cannot_be_is_refused_at_the_field(manager, spa, changes, field):
    answer = post(manager, "/plans", **package(spa, **changes))
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert rows("SELECT count(*) FROM plans WHERE name = 'Ten and two'") == [(0,)]


def test_two_packages_do_not_have_one_name(manager, spa):
    assert post(manager, "/plans", **package(spa)).status_code == 303
    answer = post(manager, "/plans", **package(spa))
    assert answer.status_code == 409
    assert "already has this name" in answer.text


def test_a_package_is_limited_to_branches_and_says_so(manager, spa):
    assert post(manager, "/plans", **package(spa, branch_ids=[spa.other_branch])).status_code == 303
    ((plan,),) = rows("SELECT id FROM plans WHERE name = 'Ten and two'")
    assert rows("SELECT plan_id, branch_id FROM plan_branches") == [(plan, spa.other_branch)]
    assert "only in Spa Q7" in manager.get("/setup/plans").text
    page = manager.get(f"/setup/plans/{plan}").text
    ticked = re.findall(r"<input[^>]*\bchecked\b[^>]*>", page)
    assert [re.search(r'value="(\d+)"', one)[1] for one in ticked if "branch_ids" in one] == [str(spa.other_branch)]

    login(manager, "reception")
    assert "Ten and two" not in manager.get(f"/customers/{spa.customer}/treatments").text
    sale = {"idempotency_key": uuid.uuid4(), "plan_id": plan}
    assert manager.post(f"/customers/{spa.customer}/treatments", data=sale).status_code == 422
    login(manager, "reception7")
    assert "Ten and two" in manager.get(f"/customers/{spa.customer}/treatments").text
    assert manager.post(f"/customers/{spa.customer}/treatments", data=sale).status_code == 303
    assert "only in Spa Q7" in manager.get(f"/customers/{spa.customer}/treatments").text

    login(manager, "reception")
    draft = {"customer_id": spa.customer, "items-0-service_id": spa.facial}
    form = manager.get("/bookings/new", query_string=draft).text
    assert "is only good in Spa Q7." in form
    assert "Card #" in form


def test_a_package_for_a_branch_that_is_none_is_refused(manager, spa):
    answer = post(manager, "/plans", **package(spa, branch_ids=[4711]))
    assert answer.status_code == 422
    assert 'id="branch_ids-error"' in answer.text
