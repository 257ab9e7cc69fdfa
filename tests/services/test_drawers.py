"""Drawers: which one cash goes into, what is expected in it, the blind count, and that nothing is invented."""

import pytest
from sqlalchemy import select, text

from spa_app.errors import ConflictError, InvalidError, NotFoundError, WrongStateError
from spa_app.extensions import db
from spa_app.models import DrawerSession, Payment, Payout
from spa_app.services import deposits, drawers, payments, reconciliation, refunds
from spa_app.services.drawers import Count
from tests import factories
from tests.books import assert_books_balance
from tests.factories import Spa, make_drawer, make_sale, open_session_of


@pytest.fixture(autouse=True)
def _books(spa):
    yield
    assert_books_balance()
    assert reconciliation.list_faults() == []


def pay(spa: Spa, amount: int = 500_000, method: str = "cash", actor=None) -> Payment:
    payment_id = payments.take_payment(
        make_sale(spa, price=amount),
        method=method,
        amount=amount,
        reference="" if method == "cash" else "1",
        actor=actor or spa.receptionist,
    )
    return db.session.get_one(Payment, payment_id)


def session(session_id: int) -> DrawerSession:
    return db.session.get_one(DrawerSession, session_id, populate_existing=True)


def balance(account: int) -> int:
    query = text("SELECT coalesce(sum(amount), 0) FROM journal_lines WHERE account_id = :account")
    return db.session.execute(query, {"account": account}).scalar_one()


def test_without_a_drawer_cash_is_taken_all_the_same(spa):
    assert pay(spa).drawer_session_id is None


def test_cash_goes_into_the_open_drawer_and_other_money_into_none(spa):
    drawer = make_drawer(spa.branch, opening=1_000_000)

    assert pay(spa).drawer_session_id == open_session_of(drawer)
    assert pay(spa, method="card").drawer_session_id is None


def test_a_drawer_that_nobody_opened_opens_itself_with_what_its_last_close_left(spa):
    drawer = make_drawer(spa.branch, opening=1_000_000)
    drawers.close_drawer(
        open_session_of(drawer), count=Count({500_000: 2}), left_amount=400_000, actor=spa.receptionist
    )

    payment = pay(spa)

    opened = session(payment.drawer_session_id)
    assert (opened.opened_as, opened.opening_float_amount, opened.opened_by_id) == (
        "carried",
        400_000,
        spa.receptionist.user_id,
    )


def test_the_float_of_a_drawer_that_was_never_counted_is_not_known(spa):
    make_drawer(spa.branch)
    first = pay(spa).drawer_session_id
    assert (session(first).opened_as, session(first).opening_float_amount) == ("unknown", None)

    drawers.close_drawer(first, count=Count({500_000: 2}), left_amount=None, actor=spa.receptionist)

    closed = session(first)
    assert (closed.expected_amount, closed.counted_amount, closed.variance_amount) == (None, 1_000_000, None)
    assert balance(5110) == 0


def test_each_user_has_the_drawer_that_they_chose(spa):
    first, second = make_drawer(spa.branch, opening=0), make_drawer(spa.branch, opening=0)
    drawers.choose_drawer(second, actor=spa.receptionist)

    assert pay(spa).drawer_session_id == open_session_of(second)
    assert pay(spa, actor=spa.manager).drawer_session_id == open_session_of(first)
    drawers.choose_drawer(first, actor=spa.receptionist)
    assert pay(spa).drawer_session_id == open_session_of(first)


def test_who_opened_a_drawer_works_at_it(spa):
    make_drawer(spa.branch, opening=0)
    second = make_drawer(spa.branch)
    drawers.open_drawer(second, count=Count(), actor=spa.receptionist)

    assert pay(spa).drawer_session_id == open_session_of(second)


def test_all_cash_is_expected_and_what_differs_is_over_or_short(spa):
    drawer = make_drawer(spa.branch, opening=1_000_000)
    mine = open_session_of(drawer)
    pay(spa, 700_000)
    pay(spa, 300_000, method="bank_transfer")
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, price=1_000_000, actor=spa.manager)
    refunds.refund_card(
        card, basis="pro_rata", fee_amount=0, pay_by="cash", shown_amount=None, reason="moves", actor=spa.manager
    )
    for kind, amount in (("paid_in", 200_000), ("drop", 150_000), ("expense", 30_000)):
        drawers.move_cash(mine, kind=kind, amount=amount, reason="flowers", actor=spa.receptionist)
    assert db.session.scalar(select(Payout.drawer_session_id)) == mine

    drawers.close_drawer(
        mine, count=Count({500_000: 3, 100_000: 2}, 15_000), left_amount=1_000_000, actor=spa.receptionist
    )

    closed = session(mine)
    assert closed.expected_amount == 1_000_000 + 700_000 + 1_000_000 - 1_000_000 + 200_000 - 150_000 - 30_000
    assert (closed.counted_amount, closed.variance_amount, closed.left_amount) == (1_715_000, -5_000, 1_000_000)
    assert closed.denominations == {"500000": 3, "100000": 2, "other": 15_000}
    # the safe got what was dropped and what did not stay, and gave what was paid in
    assert (balance(1150), balance(5120), balance(5110)) == (150_000 + 715_000 - 200_000, 30_000, 5_000)


def test_a_deposit_in_cash_lies_in_the_drawer_until_it_is_given_back(spa):
    mine = open_session_of(make_drawer(spa.branch, opening=0))
    visit = factories.make_booking(spa)
    deposit = deposits.take_deposit(visit, method="cash", amount=200_000, actor=spa.receptionist)
    deposits.take_deposit(visit, method="card", amount=50_000, reference="1", actor=spa.receptionist)
    deposits.return_deposit(deposit, method="cash", amount=80_000, reason="cancelled", actor=spa.manager)

    drawers.close_drawer(mine, count=Count({100_000: 1}, 20_000), left_amount=None, actor=spa.receptionist)

    assert (session(mine).expected_amount, session(mine).variance_amount) == (120_000, 0)


def test_a_drawer_that_nobody_counted_posts_nothing_and_says_so(spa):
    mine = open_session_of(make_drawer(spa.branch, opening=1_000_000))
    pay(spa)
    before = db.session.execute(text("SELECT count(*) FROM journal_entries")).scalar_one()

    drawers.close_drawer(mine, count=None, left_amount=None, actor=spa.receptionist)

    closed = session(mine)
    assert (closed.expected_amount, closed.counted_amount, closed.variance_amount) == (1_500_000, None, None)
    assert db.session.execute(text("SELECT count(*) FROM journal_entries")).scalar_one() == before


def test_a_float_that_is_not_what_was_left_is_over_or_short(spa):
    drawer = make_drawer(spa.branch, opening=500_000)
    drawers.close_drawer(open_session_of(drawer), count=Count({500_000: 1}), left_amount=None, actor=spa.manager)

    opened = drawers.open_drawer(drawer, count=Count({100_000: 4}), actor=spa.receptionist)

    assert session(opened).opening_variance_amount == -100_000
    assert balance(5110) == 100_000


def test_a_variance_is_explained_once(spa):
    mine = open_session_of(make_drawer(spa.branch, opening=500_000))
    drawers.close_drawer(mine, count=Count(), left_amount=None, actor=spa.receptionist)

    drawers.explain_variance(mine, reason="robbed", actor=spa.receptionist)

    assert session(mine).reason == "robbed"
    with pytest.raises(WrongStateError):
        drawers.explain_variance(mine, reason="or not", actor=spa.receptionist)


def test_what_cannot_be_is_refused_at_its_field(spa):
    drawer = make_drawer(spa.branch, opening=500_000)
    mine = open_session_of(drawer)
    with pytest.raises(InvalidError, match="More cannot stay"):
        drawers.close_drawer(mine, count=Count({1_000: 1}), left_amount=2_000, actor=spa.receptionist)
    with pytest.raises(InvalidError, match="so many notes"):
        drawers.close_drawer(mine, count=Count({1_000: -1}), left_amount=None, actor=spa.receptionist)
    for kind, amount, reason in (("loan", 1, "x"), ("drop", 0, "x"), ("drop", 10**13, "x"), ("drop", 1, " ")):
        with pytest.raises(InvalidError):
            drawers.move_cash(mine, kind=kind, amount=amount, reason=reason, actor=spa.receptionist)
    with pytest.raises(ConflictError, match="open already"):
        drawers.open_drawer(drawer, count=None, actor=spa.receptionist)


def test_a_closed_drawer_takes_no_cash_and_is_closed_once(spa):
    mine = open_session_of(make_drawer(spa.branch, opening=0))
    drawers.close_drawer(mine, count=Count(), left_amount=None, actor=spa.receptionist)

    with pytest.raises(WrongStateError):
        drawers.close_drawer(mine, count=Count(), left_amount=None, actor=spa.receptionist)
    with pytest.raises(WrongStateError):
        drawers.move_cash(mine, kind="drop", amount=1, reason="x", actor=spa.receptionist)


def test_another_branchs_drawer_is_not_there(spa):
    drawer = make_drawer(spa.other_branch, opening=0)
    theirs = open_session_of(drawer)
    acts = (
        lambda: drawers.open_drawer(drawer, count=None, actor=spa.receptionist),
        lambda: drawers.choose_drawer(drawer, actor=spa.receptionist),
        lambda: drawers.move_cash(theirs, kind="drop", amount=1, reason="x", actor=spa.receptionist),
        lambda: drawers.close_drawer(theirs, count=None, left_amount=None, actor=spa.receptionist),
        lambda: drawers.explain_variance(theirs, reason="x", actor=spa.receptionist),
        lambda: drawers.save_drawer(branch_id=spa.branch, drawer_id=drawer, name="Mine", actor=spa.manager),
    )
    for act in acts:
        with pytest.raises(NotFoundError):
            act()


def test_a_drawer_in_use_is_not_taken_out_of_use(spa):
    drawer = make_drawer(spa.branch, opening=0)
    with pytest.raises(ConflictError, match="is open"):
        drawers.save_drawer(branch_id=spa.branch, drawer_id=drawer, name="Till", is_active=False, actor=spa.manager)
    drawers.close_drawer(open_session_of(drawer), count=None, left_amount=None, actor=spa.manager)
    drawers.save_drawer(branch_id=spa.branch, drawer_id=drawer, name="Till", is_active=False, actor=spa.manager)

    assert pay(spa).drawer_session_id is None
    with pytest.raises(ConflictError, match="out of use"):
        drawers.open_drawer(drawer, count=None, actor=spa.receptionist)
