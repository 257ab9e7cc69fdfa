"""A card is good in every branch unless its plan says otherwise; a sold card keeps what its plan said."""

import pytest

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError
from spa_app.queries import setup
from spa_app.queries.booking_form import list_card_choices
from spa_app.queries.treatments import find_plans_for, get_card, list_plans_for_sale
from spa_app.services import billing, bookings, payments, plans, treatments
from spa_app.services.bookings import Guest, ItemRequest, SeriesRequest, Settlement
from tests import factories
from tests.factories import cards_of, make_booking, make_plan, tomorrow_at
from tests.services.checks import counters, execute, refused, rows

WAYS_OUT = ("choose_card", "pay_visit", "sell_plan")


@pytest.fixture
def plan(spa):
    """3 × facial, only in the other branch."""
    return make_plan([(spa.facial, 3)], name="Only in Q7", branch_ids=[spa.other_branch])


@pytest.fixture
def card(spa, plan):
    """A paid card of that plan."""
    return sell(spa, plan)


def sell(spa, plan):
    sale = {"customer_id": spa.customer, "plan_id": plan, "branch_id": spa.other_branch, "actor": spa.owner}
    invoice = billing.sell_plan(**sale)
    payments.take_payment(invoice, method="cash", amount=1_000_000, actor=spa.owner)
    return cards_of(invoice)[0]


def _item(spa, card):
    return ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0], card)


def version(visit):
    return rows("SELECT version FROM bookings WHERE id = :id", id=visit)[0][0]


def branches_of(card):
    return rows("SELECT branch_ids FROM customer_treatments WHERE id = :id", id=card)[0][0]


def save(spa, plan, **changes):
    """Save the plan as it is, but for the changes."""
    now = setup.list_plans(plan)[0]
    fields = {"values": now.values, "items": now.contents, "branch_ids": now.branch_ids, **changes}
    return plans.save_plan(plan_id=plan, seen=now.stamp, actor=spa.manager, **fields)


def test_a_card_pays_for_visits_to_its_branches(spa, card):
    item = ItemRequest(spa.facial, spa.other_therapist, spa.other_room, card)
    visit = bookings.book(
        customer_id=spa.customer,
        branch_id=spa.other_branch,
        starts_at=factories.this_minute(),
        items=[item],
        actor=spa.other_receptionist,
    )
    bookings.start(visit, actor=spa.other_receptionist)
    bookings.complete(visit, actor=spa.other_receptionist)
    assert counters(card)[:3] == (3, 1, 0)


def test_elsewhere_it_is_refused_and_named_with_its_branches(spa, card):
    with refused("card_wrong_branch", InvalidError, "items-0-treatment_id", WAYS_OUT) as caught:
        make_booking(spa, card=card)
    said = caught.value.message % caught.value.params
    assert said == f"Card #{card} Basic Facial is only good in Spa Q7."


def test_no_other_way_into_a_visit_takes_it(spa, card):
    starts_at = tomorrow_at(spa.branch, "10:00")
    guests = [
        Guest(factories.make_customer(), [ItemRequest(spa.facial)]),
        Guest(spa.customer, [ItemRequest(spa.facial, treatment_id=card)]),
    ]
    with refused("card_wrong_branch", InvalidError, "guests-0-items-0-treatment_id", WAYS_OUT):
        factories.make_party(spa, *guests, starts_at=starts_at)
    course = SeriesRequest(spa.customer, spa.branch, _item(spa, card), starts_at, every_weeks=1, count=2)
    with refused("card_wrong_branch", InvalidError, "items-0-treatment_id", WAYS_OUT):
        bookings.book_series(course, actor=spa.receptionist)

    visit = make_booking(spa, starts_at=starts_at)
    with refused("card_wrong_branch", InvalidError, "treatment_id", WAYS_OUT):
        bookings.add_item(
            visit, ItemRequest(spa.facial, treatment_id=card), version=version(visit), actor=spa.receptionist
        )
    (item,) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=visit)[0]
    with refused("card_wrong_branch", InvalidError, "treatment_id", WAYS_OUT):
        bookings.change_payment(visit, item, treatment_id=card, version=version(visit), actor=spa.receptionist)


def test_what_chooses_a_card_by_itself_leaves_it_aside(spa, card):
    visit_on = clock.today(factories.TIMEZONE)
    (there,) = list_card_choices(spa.customer, branch_id=spa.other_branch)
    (here,) = list_card_choices(spa.customer, branch_id=spa.branch)
    assert (there.elsewhere, here.elsewhere) == (None, ["Spa Q7"])
    assert there.fits(spa.facial, visit_on)
    assert not here.fits(spa.facial, visit_on)

    walk_in = bookings.take_walk_in(
        branch_id=spa.branch, service_id=spa.facial, customer_id=spa.customer, actor=spa.receptionist
    )
    entry = factories.make_entry(spa, customer_id=spa.customer)
    held = bookings.hold_place(
        entry, starts_at=tomorrow_at(spa.branch, "10:00"), staff_id=spa.therapists[0], actor=spa.receptionist
    )
    assert rows("SELECT DISTINCT treatment_id FROM booking_items WHERE booking_id IN (:a, :b)", a=walk_in, b=held) == [
        (None,)
    ]


def test_completing_asks_for_the_branch_again_and_settles_in_another_way(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    visit = make_booking(spa, card=card, status="in_progress")
    execute("UPDATE customer_treatments SET branch_ids = ARRAY[:id]", id=spa.other_branch)
    with refused("card_wrong_branch", ConflictError, "items-0-treatment_id", WAYS_OUT):
        bookings.complete(visit, actor=spa.receptionist)

    (item,) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=visit)[0]
    bookings.complete(visit, settlements={item: Settlement("desk")}, version=version(visit), actor=spa.receptionist)
    assert counters(card)[:3] == (10, 0, 0)


def test_a_plan_is_sold_in_its_branches_only(spa, plan):
    with refused("plan_elsewhere", InvalidError, "plan_id") as caught:
        billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist)
    assert caught.value.message % caught.value.params == "This package is only sold in Spa Q7."

    assert plan not in [one.id for one in list_plans_for_sale(spa.branch)]
    assert plan in [one.id for one in list_plans_for_sale(spa.other_branch)]
    assert plan not in [one.id for one in find_plans_for(spa.facial, 9, branch_id=spa.branch)]
    assert plan in [one.id for one in find_plans_for(spa.facial, 9, branch_id=spa.other_branch)]


def test_a_limited_package_cannot_settle_a_visit_elsewhere(spa, plan):
    visit = make_booking(spa, status="in_progress")
    (item,) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=visit)[0]
    with refused("plan_elsewhere", InvalidError, "items-0-treatment_id"):
        bookings.complete(
            visit, settlements={item: Settlement("plan", plan)}, version=version(visit), actor=spa.receptionist
        )


def test_a_sold_card_keeps_the_branches_that_it_was_sold_with(spa, plan, card):
    save(spa, plan, branch_ids=(spa.branch,))
    assert branches_of(card) == [spa.other_branch]
    assert get_card(card).good_in == ("Spa Q7",)

    everywhere = sell(spa, make_plan([(spa.facial, 3)]))
    (bought,) = rows("SELECT plan_id FROM customer_treatments WHERE id = :id", id=everywhere)[0]
    save(spa, bought, branch_ids=(spa.other_branch,))
    assert branches_of(everywhere) is None
    make_booking(spa, card=everywhere, status="completed")
    assert counters(everywhere)[:3] == (3, 1, 0)

    friend = factories.make_customer()
    twin = treatments.transfer_sessions(card, customer_id=friend, reason="a gift", actor=spa.owner)
    assert branches_of(twin) == [spa.other_branch]


def test_saving_a_plan_says_where_it_is_good_and_is_audited(spa, plan):
    save(spa, plan, branch_ids=())
    assert rows("SELECT count(*) FROM plan_branches") == [(0,)]
    save(spa, plan, branch_ids=(spa.other_branch, spa.branch))
    assert setup.list_plans(plan)[0].branch_ids == (spa.branch, spa.other_branch)
    changes = rows(
        "SELECT before -> 'branch_ids', after -> 'branch_ids' FROM audit_log WHERE action = 'plan_saved' ORDER BY id"
    )
    assert changes == [([spa.other_branch], []), ([], [spa.branch, spa.other_branch])]
    with refused("branch_unknown", InvalidError, "branch_ids"):
        save(spa, plan, branch_ids=(4711,))
