"""A product that a discount made free comes back with the last of its invoice, and goes again when that is undone."""

from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import Invoice, ProductStock
from spa_app.models.bill import Bill, Discount, Ware
from spa_app.services import billing, payments, refunds
from tests.books import assert_books_balance
from tests.factories import make_product


def _on_hand(product: int) -> int:
    db.session.rollback()
    return db.session.execute(select(ProductStock.on_hand).where(ProductStock.product_id == product)).scalar_one()


def test_a_free_product_comes_back_with_the_last_of_its_invoice(spa):
    free, dear = make_product(spa.branch, on_hand=5), make_product(spa.branch, on_hand=5)
    wares = (Ware("product", free, 2, Discount(share_bp=10_000)), Ware("product", dear))
    bill = Bill(wares=wares, reason="a present")
    sale = billing.sell(customer_id=spa.customer, branch_id=spa.branch, bill=bill, actor=spa.manager)
    payments.take_payment(sale, method="cash", amount=None, actor=spa.manager)

    note = refunds.refund_invoice(sale, reason="any", to="store_credit", actor=spa.manager)

    assert db.session.get_one(Invoice, sale).is_credited
    assert (_on_hand(free), _on_hand(dear)) == (5, 5)
    assert_books_balance()

    refunds.withdraw_invoice_refund(note, reason="any", actor=spa.manager)

    assert (_on_hand(free), _on_hand(dear)) == (3, 4)
    assert_books_balance()
