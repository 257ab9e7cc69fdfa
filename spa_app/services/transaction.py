"""The one place that commits, and the one place that turns a violated constraint into what the user is told.

Locks are taken in one order everywhere: idempotency key → booking → entry of the waitlist → staff by id → resources by
id → lapsed holds by id → treatments by id → invoice → gift cards by id → deposits by id → customers by id → promotion
→ stocks by id → invoice counter → the open session of a drawer. Lock before you check. (A lapsed hold is a booking too,
but nobody who has one locked waits for a therapist.) Whoever closes a drawer or a day locks the branch first of all,
and then no more than drawers. One stands aside: whoever books for a new customer on a shared phone locks its first
holder before the therapists; safe as long as nobody who has that lock waits for one.
"""

import datetime as dt
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from spa_app.errors import N_, ConflictError, DomainError, InvalidError, SlotTakenError, WayOut
from spa_app.extensions import db

log = structlog.get_logger()
Result = TypeVar("Result")

ATTEMPTS = 5
OTHER_SLOT = WayOut("choose_slot", N_("Choose another time"))


def _changed() -> ConflictError:
    return ConflictError("changed_meanwhile", N_("Somebody else has just changed this. Here is how it stands now."))


def day_closed(branch_id: int, closed_on: dt.date) -> ConflictError:
    """What whoever would post on a closed day, or before it, is told."""
    return ConflictError(
        "day_closed",
        N_("The books of %(day)s are closed. Nothing was stored."),
        ways_out=(WayOut("reopen_day", N_("Reopen the day"), {"branch": branch_id, "date": closed_on.isoformat()}),),
        day=closed_on,
    )


CLOSED_DAYS = ("tr_invoices_closed_day", "tr_journal_entries_closed_day")

# constraint name → what the user is told. A constraint that is not here is a bug when it fires, and shows as one.
CONSTRAINTS: dict[str, Callable[[], DomainError]] = {
    "ex_booking_items_staff": lambda: SlotTakenError(
        "staff_busy", N_("The therapist is busy at that time."), field="starts_at", ways_out=(OTHER_SLOT,)
    ),
    "ex_booking_item_resources_resource": lambda: SlotTakenError(
        "resource_busy", N_("The room or equipment is busy at that time."), field="starts_at", ways_out=(OTHER_SLOT,)
    ),
    "ex_booking_item_resources_place": lambda: SlotTakenError(
        "resource_busy", N_("The room or equipment is busy at that time."), field="starts_at", ways_out=(OTHER_SLOT,)
    ),
    "tr_bookings_version": lambda: ConflictError(
        "changed_meanwhile", N_("Somebody else has just changed this visit. Here is how it stands now.")
    ),
    "uq_bookings_live_waitlist_entry": lambda: ConflictError(
        "entry_has_place", N_("A place was just held or booked for this customer's entry on the waitlist.")
    ),
    "uq_treatment_entries_live_punch": lambda: ConflictError(
        "already_punched", N_("A session was already punched for this visit. Nothing was taken twice.")
    ),
    "uq_treatment_entries_live_hold": lambda: ConflictError(
        "already_held", N_("A session is already reserved for this visit.")
    ),
    "ck_customer_treatments_within_total": lambda: ConflictError(
        "no_session_left", N_("The last session of this card was just taken."), field="treatment_id"
    ),
    "uq_invoices_live_booking": lambda: ConflictError("already_invoiced", N_("This visit already has its invoice.")),
    "ck_invoices_paid": lambda: ConflictError(
        "overpaid", N_("That is more than is left to pay. Somebody may just have taken a payment."), field="amount"
    ),
    **dict.fromkeys(
        ("ck_invoices_credited", "tr_invoices_credited", "tr_invoice_lines_back", "tr_payouts_paid_back"),
        lambda: ConflictError(
            "refund_changed",
            N_("Somebody has just refunded a part of this invoice. Nothing was given back twice: look at it again."),
        ),
    ),
    "ck_deposits_balance_not_negative": lambda: ConflictError(
        "no_deposit", N_("The deposit no longer covers this."), field="amount"
    ),
    "uq_promotions_code": lambda: ConflictError(
        "code_taken", N_("Another promotion already has this code."), field="code"
    ),
    "ck_promotions_used_within": lambda: ConflictError(
        "promotion_used_up", N_("The last use of this promotion was just taken."), field="code"
    ),
    "uq_prints_invoice_id_paper_paid_amount_copy_number": lambda: ConflictError(
        "printed_meanwhile", N_("Somebody else has just printed this. Print again for a copy.")
    ),
    "ck_customers_credit": lambda: ConflictError(
        "no_credit", N_("The customer's store credit no longer covers this."), field="amount"
    ),
    "ck_product_stocks_on_hand": lambda: ConflictError(
        "out_of_stock", N_("The last of these was just sold. Nothing was sold twice."), field="lines"
    ),
    "uq_invoices_replaces_id": lambda: ConflictError(
        "bill_changed", N_("Somebody else has just changed this bill. Open the new one.")
    ),
    "uq_products_name": lambda: ConflictError("name_taken", N_("Something here already has this name."), field="name"),
    "uq_products_sku": lambda: ConflictError("sku_taken", N_("Another product has this number."), field="sku"),
    "ck_gift_cards_balance": lambda: ConflictError(
        "gift_card_too_small", N_("Less is left on the gift card by now. Nothing was taken."), field="amount"
    ),
    "uq_customers_phone": lambda: ConflictError(
        "phone_taken",
        N_("Another customer already has this phone number."),
        field="phone",
        ways_out=(WayOut("share_phone", N_("They share this phone")),),
    ),
    "ck_customers_phone_e164": lambda: InvalidError("phone_invalid", N_("This is not a phone number."), field="phone"),
    "uq_customer_merges_open": lambda: ConflictError(
        "already_merged", N_("Somebody else has just merged these customers. Nothing was done twice.")
    ),
    **dict.fromkeys(
        (
            "tr_bookings_live_customer",
            "tr_customer_files_live_customer",
            "tr_customer_treatments_live_customer",
            "tr_invoices_live_customer",
            "tr_waitlist_entries_live_customer",
        ),
        lambda: ConflictError(
            "customer_gone",
            N_("This customer was merged with another, or anonymised. Find them again; nothing was stored."),
            field="customer_id",
        ),
    ),
    "uq_customer_links_pair": lambda: ConflictError("already_linked", N_("These two are linked already.")),
    "uq_drawer_sessions_open": lambda: ConflictError("drawer_open", N_("This drawer is open already.")),
    "uq_drawers_branch_id_name": lambda: ConflictError(
        "name_taken", N_("Something here already has this name."), field="name"
    ),
    **dict.fromkeys(
        (
            "tr_cash_movements_open_session",
            "tr_deposit_entries_open_session",
            "tr_deposits_open_session",
            "tr_payments_open_session",
            "tr_payouts_open_session",
        ),
        lambda: ConflictError("drawer_closed", N_("The drawer was just closed. Nothing was stored: try again.")),
    ),
    "tr_drawer_sessions_expected": _changed,
    "tr_drawer_sessions_kept": lambda: ConflictError("drawer_closed", N_("This drawer was closed already.")),
    **dict.fromkeys(
        ("uq_day_closes_live", "uq_day_closes_branch_id_z_number"),
        lambda: ConflictError("already_closed", N_("Somebody else has just closed this day.")),
    ),
    "tr_day_closes_takings": _changed,
    "tr_day_closes_kept": lambda: ConflictError("already_reopened", N_("Somebody else has just reopened this day.")),
    "ex_draft_shifts_overlap": _changed,
    "ex_staff_shifts_overlap": _changed,
    "uq_shift_templates_branch_id_name": lambda: ConflictError(
        "name_taken", N_("Something here already has this name."), field="name"
    ),
    "uq_resources_branch_id_name": lambda: ConflictError(
        "name_taken", N_("Something here already has this name."), field="name"
    ),
    "uq_plans_name": lambda: ConflictError("name_taken", N_("Something here already has this name."), field="name"),
    "uq_services_name": lambda: ConflictError("name_taken", N_("Something here already has this name."), field="name"),
    "uq_users_username": lambda: ConflictError(
        "username_taken", N_("Another user already has this name."), field="username"
    ),
}


@contextmanager
def atomic() -> Iterator[Session]:
    """All of the block, or nothing. The outermost block commits or rolls back; inner ones join it.

    Yields the session. Raises :class:`DomainError` where a constraint or a lock time-out (3 s) refused. What was handed
    to :func:`on_commit` runs after the commit, in order. An inner block that failed may have stored half of its work:
    who wants to go on without it runs it under :func:`attempt`, otherwise nothing is committed (``RuntimeError``).
    """
    session = db.session()
    if session.info.get("atomic"):
        try:
            yield session
        except BaseException:
            session.info["failed"] = True
            raise
        return
    if session.info.get("reads"):
        session.rollback()  # sends nothing: what was read so far was read outside of any transaction
    session.info["atomic"] = True
    session.info["failed"] = False
    session.info["after_commit"] = []
    try:
        yield session
        if session.info["failed"]:
            raise RuntimeError("a part of this transaction failed, and the failure was swallowed outside attempt()")
        session.commit()
    except BaseException as error:
        session.rollback()
        refusal = _as_refusal(error)
        if refusal is not None:
            raise refusal from error
        raise
    finally:
        session.info["atomic"] = False
        callbacks = session.info.pop("after_commit")
    for callback in callbacks:
        try:
            callback()
        except Exception:
            # The work is done and stored; what could not be handed on is swept up from the outbox later.
            log.exception("after_commit_failed")


@contextmanager
def attempt() -> Iterator[None]:
    """A part of an ``atomic()`` block that may be refused by itself: it alone is undone, and the caller may go on.

    Raises what the part raises, as ``atomic()`` does. Costs a savepoint.
    """
    session = db.session()
    failed, waiting = session.info["failed"], len(session.info["after_commit"])
    try:
        with session.begin_nested():
            yield
    except BaseException as error:
        session.info["failed"] = failed
        del session.info["after_commit"][waiting:]
        refusal = _as_refusal(error)
        if refusal is not None:
            raise refusal from error
        raise


def on_commit(callback: Callable[[], object]) -> None:
    """Run ``callback`` once the surrounding ``atomic()`` has committed; never if it rolls back."""
    db.session().info["after_commit"].append(callback)


def in_transaction(work: Callable[[], Result]) -> Result:
    """Run ``work`` in one transaction; again as a whole, with jitter, after a deadlock or serialization failure.

    Raises :class:`ConflictError` (busy) when that did not help, and whatever ``work`` raises.
    """
    if db.session().info.get("atomic"):
        return work()
    for turn in range(1, ATTEMPTS + 1):
        try:
            with atomic():
                return work()
        except DBAPIError as error:
            if not isinstance(error.orig, (pg.DeadlockDetected, pg.SerializationFailure)):
                raise
            if turn == ATTEMPTS:
                raise _busy() from error
            time.sleep(random.uniform(0.01, 0.05) * turn)  # noqa: S311 - jitter, not a secret
    raise AssertionError("unreachable")


def _busy() -> ConflictError:
    return ConflictError("busy", N_("Somebody else is working on this at this moment. Nothing was stored: try again."))


def _as_refusal(error: BaseException) -> DomainError | None:
    if isinstance(error, StaleDataError):
        return _changed()
    if not isinstance(error, DBAPIError):
        return None
    if isinstance(error.orig, (pg.LockNotAvailable, pg.QueryCanceled)):
        return _busy()
    if isinstance(error, IntegrityError) and isinstance(error.orig, pg.IntegrityError):
        diag = error.orig.diag
        if diag.constraint_name in CLOSED_DAYS:
            branch_id, closed_on = (diag.message_detail or "").split()
            return day_closed(int(branch_id), dt.date.fromisoformat(closed_on))
        return CONSTRAINTS.get(diag.constraint_name or "", lambda: None)()
    return None
