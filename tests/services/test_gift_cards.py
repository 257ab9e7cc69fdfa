"""Gift cards: sold, issued, spent in parts, put back, expired, taken back; never below zero, never twice."""

import datetime as dt

import pytest

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError, WrongStateError
from spa_app.extensions import db
from spa_app.models import Branch, GiftCard
from spa_app.models.gift_card import LETTERS, new_code, read_code, show_code
from spa_app.services import billing, expiry, gift_card_desk, gift_cards, ledger, payments, reconciliation
from spa_app.services.billing import Line
from spa_app.services.customer_merging import merge_customers
from spa_app.services.ledger import Account, Posting
from spa_app.services.transaction import atomic
from tests.books import assert_books_balance
from tests.factories import (
    TIMEZONE,
    SoldGiftCard,
    Spa,
    make_booking,
    make_customer,
    make_gift_card,
    set_policy,
)
from tests.services.checks import execute, refused, rows

TODAY = clock.today(TIMEZONE)
YESTERDAY = TODAY - dt.timedelta(days=1)


@pytest.fixture
def card(spa: Spa) -> SoldGiftCard:
    """A card of 500,000 that is paid for."""
    return make_gift_card(spa)


@pytest.fixture
def bill(spa: Spa) -> int:
    """An invoice of 1,000,000 to be paid."""
    return billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)


def pay(spa: Spa, bill: int, amount: int | None, code: str) -> int:
    return payments.take_payment(bill, method="gift_card", amount=amount, gift_card_code=code, actor=spa.receptionist)


def history(card_id: int) -> list[tuple]:
    return rows("SELECT kind, amount FROM gift_card_entries WHERE gift_card_id = :id ORDER BY id", id=card_id)


def balance(card_id: int) -> tuple[int, int, str]:
    """What is on a card, what expired, and its status."""
    db.session.rollback()
    card = db.session.get_one(GiftCard, card_id, populate_existing=True)
    return card.balance_amount, card.expired_amount, card.status(TODAY)


def accounts(*events: str) -> dict[int, int]:
    """The sums of the journal by account, of these events or of all."""
    found = rows(
        "SELECT account_id, sum(l.amount)::bigint FROM journal_lines l JOIN journal_entries e ON e.id = l.entry_id"
        " WHERE e.event = ANY(:events) OR :events = '{}' GROUP BY account_id ORDER BY account_id",
        events=list(events),
    )
    return {account: amount for account, amount in found if amount}


def assert_all_is_well() -> None:
    assert_books_balance()
    assert reconciliation.list_faults() == []


def test_a_code_tells_every_mistyped_and_every_swapped_letter():
    for code in ("23456789ABCD", *(new_code() for _ in range(5))):
        code = code[:11] + next(letter for letter in LETTERS if read_code(code[:11] + letter))
        for place in range(12):
            others = [code[:place] + other + code[place + 1 :] for other in LETTERS if other != code[place]]
            assert not any(read_code(other) for other in others)
        swapped = [
            code[:i] + code[j] + code[i + 1 : j] + code[i] + code[j + 1 :]
            for i in range(12)
            for j in range(i + 1, 12)
            if code[i] != code[j]
        ]
        assert not any(read_code(other) for other in swapped)


def test_a_code_is_read_however_it_is_typed():
    code = new_code()
    shown = show_code(code)

    assert len(shown) == 14
    assert {read_code(typed) for typed in (code, shown, shown.lower(), f" {shown} ", shown.replace("-", " "))} == {code}
    assert not any(read_code(typed) for typed in ("", "ABC", code + "A", "ĐÂY LÀ MỘT MÃ", "1" * 12, "0OIL" * 3))


def test_a_sale_is_owed_without_vat_and_good_for_as_long_as_the_branch_says(spa):
    set_policy(spa.branch, gift_card_months=12)

    card = make_gift_card(spa, receiver_name=" Hồng ")

    stored = db.session.get_one(GiftCard, card.id)
    assert (stored.initial_amount, stored.balance_amount, stored.receiver_name) == (500_000, 500_000, "Hồng")
    assert stored.expires_on == clock.add_months(TODAY, 12)
    assert rows("SELECT total_amount, vat_amount, status FROM invoices") == [(500_000, 0, "paid")]
    assert accounts("sale_invoiced") == {Account.RECEIVABLE: 500_000, Account.GIFT_CARDS: -500_000}
    assert history(card.id) == [("issue", 500_000)]
    assert_all_is_well()


def test_a_card_is_good_for_ever_where_the_branch_sets_no_months(card):
    assert db.session.get_one(GiftCard, card.id).expires_on is None


@pytest.mark.parametrize("amount", [0, -1, 10**12 + 1])
def test_an_impossible_amount_is_refused_at_the_field(spa, amount):
    with refused("amount_impossible", InvalidError, field="amount"):
        make_gift_card(spa, amount=amount)


def test_texts_and_customers_that_cannot_be_are_refused(spa):
    def sell(**values):
        gift_card_desk.sell_gift_card(
            **{"customer_id": spa.customer, "amount": 1, "branch_id": spa.branch, "actor": spa.receptionist, **values}
        )

    with refused("too_long", InvalidError, field="receiver_name"):
        sell(receiver_name="x" * 121)
    with refused("too_long", InvalidError, field="greeting"):
        sell(greeting="x" * 301)
    with refused("customer_unknown", NotFoundError):
        sell(customer_id=99_999)
    with refused("not_found", NotFoundError):
        sell(branch_id=spa.other_branch)


def test_it_is_spent_in_parts_to_nothing(spa, card, bill):
    pay(spa, bill, 200_000, show_code(card.code).lower())
    assert balance(card.id) == (300_000, 0, "active")
    pay(spa, bill, 300_000, card.code)

    assert balance(card.id) == (0, 0, "used_up")
    assert history(card.id) == [("issue", 500_000), ("redeem", -200_000), ("redeem", -300_000)]
    assert rows("SELECT amount, reference FROM payments WHERE method = 'gift_card'") == [
        (200_000, f"…{card.code[-4:]}"),
        (300_000, f"…{card.code[-4:]}"),
    ]
    # Sold for 500,000 and spent: nothing is owed on cards, and the VAT is that of the package alone.
    assert accounts().get(Account.GIFT_CARDS, 0) == 0
    assert accounts()[Account.VAT] == -74_074
    with refused("gift_card_used_up", ConflictError, field="gift_card_code", ways_out=("open_gift_card",)):
        pay(spa, bill, 1, card.code)
    assert_all_is_well()


def test_more_than_is_on_it_is_refused_with_what_is(spa, card, bill):
    with refused("gift_card_too_small", ConflictError, field="amount", ways_out=("take_gift_card_balance",)) as refusal:
        pay(spa, bill, None, card.code)

    assert refusal.value.params["balance"].amount == 500_000


def test_a_card_of_another_branch_is_as_good(spa, card):
    bill = gift_card_desk.sell_gift_card(
        customer_id=spa.customer, amount=100_000, branch_id=spa.other_branch, actor=spa.other_receptionist
    )

    payments.take_payment(bill, method="gift_card", amount=None, gift_card_code=card.code, actor=spa.other_receptionist)

    assert balance(card.id) == (400_000, 0, "active")
    assert_all_is_well()


@pytest.mark.parametrize(
    ("code", "refusal"),
    [("", "gift_card_code_wrong"), ("NOT-A-CODE", "gift_card_code_wrong"), (None, "gift_card_unknown")],
)
def test_what_is_no_cards_code_is_refused_at_the_field(spa, bill, code, refusal):
    with refused(refusal, InvalidError, field="gift_card_code"):
        pay(spa, bill, 1, new_code() if code is None else code)


@pytest.mark.parametrize("paid", [0, 499_999])
def test_a_card_that_is_not_paid_in_full_cannot_be_used(spa, bill, paid):
    card = make_gift_card(spa, paid=paid)

    with refused("gift_card_unpaid", ConflictError, field="gift_card_code", ways_out=("open_invoice",)) as refusal:
        pay(spa, bill, 1, card.code)
    assert refusal.value.ways_out[0].params["invoice_id"] == card.invoice
    with refused("gift_card_unpaid", ConflictError, field="gift_card_code", ways_out=("open_invoice",)):
        pay(spa, card.invoice, 1, card.code)
    with refused("gift_card_unpaid", ConflictError, field="gift_card_code", ways_out=("open_invoice",)):
        gift_card_desk.cancel_gift_card(card.id, reason="x", actor=spa.manager)


def test_voiding_its_sale_takes_the_card_back(spa, bill):
    card = make_gift_card(spa, paid=0)

    billing.void_sale(card.invoice, reason="mistyped", actor=spa.receptionist)

    assert balance(card.id) == (0, 0, "cancelled")
    assert history(card.id) == [("issue", 500_000), ("cancel", -500_000)]
    with refused("gift_card_cancelled", ConflictError, field="gift_card_code"):
        pay(spa, bill, 1, card.code)
    assert_all_is_well()


def _visit_with_gift_card(spa: Spa) -> tuple[int, int, str]:
    """A completed visit whose bill also sells a gift card, as the bill's page will do it."""
    visit = make_booking(spa, status="in_progress", actor=spa.receptionist)
    with atomic() as session:
        branch = session.get_one(Branch, spa.branch)
        invoice, lines = billing.issue(
            branch=branch,
            customer_id=spa.customer,
            booking_id=visit,
            lines=[Line("service", "Basic Facial", 450_000, 800), Line("gift_card", "Gift card", 300_000, 0)],
            actor=spa.receptionist,
        )
        card = gift_cards.issue_for(lines[1], branch=branch, customer_id=spa.customer, actor=spa.receptionist)
        ledger.post(
            "visit_invoiced",
            branch=branch,
            actor=spa.receptionist,
            invoice_id=invoice.id,
            postings=[Posting(Account.RECEIVABLE, 750_000), *billing.credit_lines(lines)],
        )
        return visit, invoice.id, session.get_one(GiftCard, card).code


def test_a_card_on_a_visits_bill_goes_with_it(spa, bill):
    visit, invoice, code = _visit_with_gift_card(spa)
    payments.take_payment(invoice, method="cash", amount=None, actor=spa.receptionist)
    pay(spa, bill, 1, code)

    def withdraw() -> None:
        with atomic() as session:
            billing.withdraw_visit_invoice(
                visit, branch=session.get_one(Branch, spa.branch), reason="wrong customer", actor=spa.manager
            )

    with refused("gift_card_in_use", ConflictError, ways_out=("open_gift_card",)):
        withdraw()
    card = db.session.scalar(db.select(GiftCard.id).where(GiftCard.code == code))
    gift_card_desk.adjust_gift_card(card, amount=1, reason="make it whole", actor=spa.manager)
    withdraw()

    assert balance(card) == (0, 0, "cancelled")
    assert rows("SELECT credit_amount FROM customers WHERE id = :id", id=spa.customer) == [(750_000,)]
    assert reconciliation.list_faults() == []


def test_a_gift_of_the_house_is_goodwill_and_a_managers_act(spa, bill):
    with refused("manager_only", NotAllowedError):
        gift_card_desk.issue_gift_card(amount=1, branch_id=spa.branch, reason="x", actor=spa.receptionist)
    with refused("reason_missing", InvalidError, field="reason"):
        gift_card_desk.issue_gift_card(amount=1, branch_id=spa.branch, reason=" ", actor=spa.manager)

    card = gift_card_desk.issue_gift_card(amount=200_000, branch_id=spa.branch, reason="sorry", actor=spa.manager)
    pay(spa, bill, 150_000, db.session.get_one(GiftCard, card).code)
    gift_card_desk.cancel_gift_card(card, reason="raffle over", actor=spa.manager)

    assert balance(card) == (0, 0, "cancelled")
    assert accounts("gift_card_adjusted") == {Account.GIFT_CARDS: -150_000, Account.GOODWILL: 150_000}
    assert_all_is_well()


def test_a_manager_adjusts_within_what_is_on_it(spa, card):
    gift_card_desk.adjust_gift_card(card.id, amount=-200_000, reason="typo", actor=spa.manager)
    gift_card_desk.adjust_gift_card(card.id, amount=50_000, reason="typo", actor=spa.manager)

    assert balance(card.id) == (350_000, 0, "active")
    with refused("gift_card_too_small", ConflictError, field="amount"):
        gift_card_desk.adjust_gift_card(card.id, amount=-350_001, reason="x", actor=spa.manager)
    with refused("amount_impossible", InvalidError, field="amount"):
        gift_card_desk.adjust_gift_card(card.id, amount=0, reason="x", actor=spa.manager)
    with refused("manager_only", NotAllowedError):
        gift_card_desk.adjust_gift_card(card.id, amount=1, reason="x", actor=spa.receptionist)
    assert_all_is_well()


def test_what_is_on_a_lost_card_becomes_its_buyers_store_credit(spa, card, bill):
    pay(spa, bill, 100_000, card.code)

    gift_card_desk.cancel_gift_card(card.id, reason="lost", actor=spa.manager)

    assert rows("SELECT credit_amount FROM customers WHERE id = :id", id=spa.customer) == [(400_000,)]
    assert balance(card.id) == (0, 0, "cancelled")
    with refused("gift_card_status", WrongStateError):
        gift_card_desk.cancel_gift_card(card.id, reason="again", actor=spa.manager)
    assert_all_is_well()


def test_what_it_paid_can_be_put_back_once(spa, card, bill):
    payment = pay(spa, bill, 300_000, card.code)

    def put_back(amount: int) -> None:
        with atomic() as session:
            posting = gift_cards.put_back(payment, amount=amount, reason="unhappy", actor=spa.manager)
            ledger.post(
                "gift_card_adjusted",
                branch=session.get_one(Branch, spa.branch),
                actor=spa.manager,
                postings=[posting, Posting(Account.GOODWILL, amount)],
            )

    put_back(200_000)
    with refused("gift_card_returned", ConflictError, field="amount"):
        put_back(100_001)
    put_back(100_000)

    assert balance(card.id) == (500_000, 0, "active")
    with refused("gift_card_returned", ConflictError, field="amount"):
        put_back(1)
    gift_card_desk.cancel_gift_card(card.id, reason="lost", actor=spa.manager)
    with refused("gift_card_closed", ConflictError, ways_out=("refund_to_credit", "open_gift_card")):
        put_back(1)
    assert_all_is_well()


def test_part_of_a_sale_is_taken_back_from_what_is_left(spa, card, bill):
    pay(spa, bill, 100_000, card.code)
    (line,) = rows("SELECT id FROM invoice_lines WHERE invoice_id = :id", id=card.invoice)

    def take_back(amount: int) -> None:
        with atomic() as session:
            posting = gift_cards.take_back(line[0], amount=amount, reason="unwanted", actor=spa.manager)
            ledger.post(
                "gift_card_adjusted",
                branch=session.get_one(Branch, spa.branch),
                actor=spa.manager,
                postings=[posting, Posting(Account.GOODWILL, -amount)],
            )

    take_back(150_000)
    assert balance(card.id) == (250_000, 0, "active")
    with refused("gift_card_spent", ConflictError, field="amount", ways_out=("open_gift_card",)):
        take_back(250_001)
    take_back(250_000)

    assert balance(card.id) == (0, 0, "cancelled")
    assert_all_is_well()


def test_the_night_expires_what_is_over_once_and_catches_up(spa, bill):
    over = make_gift_card(spa, expires_on=YESTERDAY)
    last_day = make_gift_card(spa, expires_on=TODAY)
    unpaid = make_gift_card(spa, paid=0, expires_on=YESTERDAY - dt.timedelta(days=300))
    for_ever = make_gift_card(spa)
    with refused("gift_card_expired", ConflictError, field="gift_card_code", ways_out=("open_gift_card",)):
        pay(spa, bill, 1, over.code)

    first, again = expiry.expire_due_gift_cards(), expiry.expire_due_gift_cards()

    assert [(run.cards, run.sessions, run.amount) for run in first] == [(1, 0, 500_000), (0, 0, 0)]
    assert [run.cards for run in again] == [0, 0]
    assert rows("SELECT job, cards, amount FROM job_runs WHERE branch_id = :id", id=spa.branch) == [
        ("expire_gift_cards", 1, 500_000)
    ]
    assert balance(over.id) == (0, 500_000, "expired")
    assert [balance(one.id)[0] for one in (last_day, unpaid, for_ever)] == [500_000] * 3
    assert accounts("gift_cards_expired") == {Account.GIFT_CARDS: 500_000, Account.BREAKAGE_REVENUE: -500_000}
    # The next night, and one as of which a script looks.
    assert expiry.expire_due_gift_cards(TODAY + dt.timedelta(days=1))[0].cards == 1
    assert_all_is_well()


def test_a_branch_expires_by_its_own_clocks(spa, monkeypatch):
    card = make_gift_card(spa, expires_on=TODAY)
    midnight = clock.day_bounds(TODAY, TIMEZONE)[1]

    monkeypatch.setattr(clock, "now", lambda: midnight - dt.timedelta(seconds=1))
    assert expiry.expire_due_gift_cards()[0].cards == 0
    monkeypatch.setattr(clock, "now", lambda: midnight)
    assert expiry.expire_due_gift_cards()[0].cards == 1

    assert history(card.id) == [("issue", 500_000), ("expire", -500_000)]


def test_more_time_brings_back_what_expired(spa, bill):
    card = make_gift_card(spa, expires_on=YESTERDAY)
    pay_date = TODAY + dt.timedelta(days=30)
    expiry.expire_due_gift_cards()
    with refused("gift_card_status", WrongStateError):
        gift_card_desk.adjust_gift_card(card.id, amount=1, reason="x", actor=spa.manager)

    gift_card_desk.extend_gift_card(card.id, expires_on=pay_date, reason="was ill", actor=spa.manager)

    assert history(card.id)[-1] == ("reactivate", 500_000)
    assert accounts().get(Account.BREAKAGE_REVENUE, 0) == 0
    pay(spa, bill, 500_000, card.code)
    assert_all_is_well()


def test_a_card_is_extended_before_it_expires(spa, card):
    for date in (None, YESTERDAY, TODAY + dt.timedelta(days=4000)):
        with refused("date_out_of_range", InvalidError, field="expires_on"):
            gift_card_desk.extend_gift_card(card.id, expires_on=date, reason="x", actor=spa.manager)
    gift_card_desk.extend_gift_card(card.id, expires_on=TODAY, reason="x", actor=spa.manager)
    with refused("same_date", InvalidError, field="expires_on"):
        gift_card_desk.extend_gift_card(card.id, expires_on=TODAY, reason="x", actor=spa.manager)

    assert history(card.id)[-1] == ("extend", 0)
    assert_all_is_well()


def test_another_branchs_card_is_not_there_for_its_managers_acts(spa, card):
    execute("UPDATE gift_cards SET branch_id = :branch", branch=spa.other_branch)
    acts = (
        lambda: gift_card_desk.adjust_gift_card(card.id, amount=1, reason="x", actor=spa.manager),
        lambda: gift_card_desk.cancel_gift_card(card.id, reason="x", actor=spa.manager),
        lambda: gift_card_desk.extend_gift_card(card.id, expires_on=TODAY, reason="x", actor=spa.manager),
    )
    for act in acts:
        with refused("not_found", NotFoundError):
            act()


def test_reconcile_finds_and_mends_a_balance_and_finds_what_the_ledger_does_not_hold(spa, card):
    execute("ALTER TABLE gift_cards DISABLE TRIGGER tr_gift_cards_balance")
    execute("UPDATE gift_cards SET balance_amount = 1")
    execute("ALTER TABLE gift_cards ENABLE TRIGGER tr_gift_cards_balance")

    faults = reconciliation.list_faults()
    assert {fault.code for fault in faults} == {"gift_card_balance", "gift_card_liability"}
    reconciliation.fix_caches(faults, actor=spa.manager)

    assert_all_is_well()


def test_a_card_bought_by_two_who_are_one_follows_its_invoice(spa, card):
    twin = make_customer()
    merge_customers(twin, spa.customer, actor=spa.manager)

    assert db.session.get_one(GiftCard, card.id, populate_existing=True).customer_id == twin
    assert_all_is_well()
