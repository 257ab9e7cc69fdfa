"""Forgetting a customer who asks for it, and keeping the books."""

from pathlib import Path

from sqlalchemy import select, text

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import Customer
from spa_app.money import Money
from spa_app.services import audit, customer_moves
from spa_app.services.actor import Actor
from spa_app.services.customer_files import forget_files
from spa_app.services.customers import leave_phone, require_live
from spa_app.services.texts import required_reason
from spa_app.services.transaction import atomic

# What still has to happen between the spa and the customer: (visits to come, waiting, sessions left, to pay, credit).
_OPEN = text(
    """
    SELECT (SELECT min(starts_at) FROM bookings
            WHERE customer_id = :id AND status IN ('pending', 'confirmed', 'in_progress')) AS visit_at,
           (SELECT count(*) FROM waitlist_entries WHERE customer_id = :id AND status = 'waiting') AS waiting,
           (SELECT coalesce(sum(total_sessions - used_sessions - expired_sessions), 0) FROM customer_treatments
            WHERE customer_id = :id AND cancelled_at IS NULL) AS sessions,
           (SELECT coalesce(sum(d.balance_amount), 0)::bigint FROM deposits d JOIN bookings b ON b.id = d.booking_id
            WHERE b.customer_id = :id) AS deposit_amount,
           (SELECT coalesce(sum(total_amount - paid_amount), 0)::bigint FROM invoices
            WHERE customer_id = :id AND kind = 'invoice' AND status IN ('open', 'partly_paid') AND NOT is_credited)
               AS due_amount
    """
)
# Everything personal outside the customer's own row, for the customer and those who were merged into them. A test looks
# through every table for what is left.
_FORGET = (
    "UPDATE bookings SET note = '', cancel_reason = CASE WHEN cancel_reason = '' THEN '' ELSE '–' END,"
    " version = version + 1 WHERE customer_id = ANY(:ids) AND (note <> '' OR cancel_reason <> '')",
    "UPDATE waitlist_entries SET note = '', version = version + 1,"
    " withdraw_reason = CASE WHEN withdraw_reason = '' THEN '' ELSE '–' END"
    " WHERE customer_id = ANY(:ids) AND (note <> '' OR withdraw_reason <> '')",
    # Whoever has the code may still use it; what was printed on it for somebody goes.
    "UPDATE gift_cards SET receiver_name = '', greeting = ''"
    " WHERE customer_id = ANY(:ids) AND (receiver_name <> '' OR greeting <> '')",
    "DELETE FROM treatment_notes WHERE booking_id IN (SELECT id FROM bookings WHERE customer_id = ANY(:ids))",
    "DELETE FROM outbox WHERE CAST(payload ->> 'booking_id' AS bigint)"
    " IN (SELECT id FROM bookings WHERE customer_id = ANY(:ids))",
    "DELETE FROM outbox WHERE kind = 'paper_mailed' AND CAST(payload ->> 'invoice_id' AS bigint)"
    " IN (SELECT id FROM invoices WHERE customer_id = ANY(:ids))",
    "DELETE FROM customer_links WHERE customer_id = ANY(:ids) OR relative_id = ANY(:ids)",
    "UPDATE customer_merges SET before = '{}', kept = '{}', reason = ''"
    " WHERE survivor_id = ANY(:ids) OR merged_id = ANY(:ids)",
    # Which details changed stays on record; what they were goes.
    "UPDATE audit_log SET reason = '',"
    " before = (SELECT jsonb_object_agg(key, NULL) FROM jsonb_object_keys(before) key),"
    " after = (SELECT jsonb_object_agg(key, NULL) FROM jsonb_object_keys(after) key)"
    " WHERE entity = 'customer' AND entity_id = ANY(:ids)",
    "UPDATE audit_log SET reason = '', before = before - '{note,reason}'::text[],"
    " after = after - '{note,reason}'::text[]"
    " WHERE entity = 'booking' AND entity_id IN (SELECT id FROM bookings WHERE customer_id = ANY(:ids))",
    "UPDATE audit_log SET reason = '', before = before - '{note,reason}'::text[],"
    " after = after - '{note,reason}'::text[]"
    " WHERE entity = 'waitlist_entry'"
    " AND entity_id IN (SELECT id FROM waitlist_entries WHERE customer_id = ANY(:ids))",
)


def anonymise_customer(customer_id: int, *, reason: str, confirmed_name: str, data_dir: Path, actor: Actor) -> int:
    """Take everything personal about a customer out of the database, for good; the customer's id.

    Visits, cards, invoices and the ledger stay and balance, without a name. Locks the visits, cards and invoices, then
    the customer. A manager's act. ``confirmed_name``: the customer's name, typed again. Raises :class:`ConflictError`,
    which says what is in the way, while a visit is to come, sessions are left, or money is owed either way.
    """
    actor.require_manager()
    reason = required_reason(reason)
    with atomic() as session:
        customer_moves.lock_rows_of(customer_id)
        customer = session.execute(
            select(Customer)
            .where(Customer.id == customer_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).scalar_one_or_none()
        if customer is None:
            raise NotFoundError("not_found", N_("There is no such customer."))
        require_live(customer)
        if " ".join(confirmed_name.split()) != customer.full_name:
            raise InvalidError(
                "name_not_confirmed", N_("Type the customer's name exactly as it stands here."), field="confirmed_name"
            )
        _require_settled(customer)
        merged = session.scalars(select(Customer).where(Customer.merged_into_id == customer_id)).all()
        ids = [customer_id, *(one.id for one in merged)]
        forget_files(ids, data_dir=data_dir)
        leave_phone(customer)
        for one in (customer, *merged):
            one.full_name = f"#{one.id}"
            one.shares_phone_with_id = None
            one.email = one.birth_date = one.preferred_staff_id = one.import_ref = None
            one.allergies = one.medical_note = one.note = ""
            one.tags = []
            one.anonymised_at = clock.now()
        session.flush()
        for statement in _FORGET:
            session.execute(text(statement), {"ids": ids})
        audit.record("customer_anonymised", entity="customer", entity_id=customer_id, actor=actor, reason=reason)
        return customer_id


def _require_settled(customer: Customer) -> None:
    still = db.session.execute(_OPEN, {"id": customer.id}).one()
    if still.visit_at is not None:
        raise ConflictError(
            "visit_to_come",
            N_("A visit is still open (%(starts_at)s): complete or cancel it first. Nothing was changed."),
            starts_at=still.visit_at,
        )
    if still.waiting:
        raise ConflictError("still_waiting", N_("They are on the waitlist: take them off first. Nothing was changed."))
    if still.due_amount:
        raise ConflictError(
            "money_due",
            N_("%(due)s is still to be paid: settle or void the invoice first. Nothing was changed."),
            due=Money(still.due_amount),
        )
    if customer.credit_amount:
        raise ConflictError(
            "credit_left",
            N_("%(credit)s of store credit is left: it belongs to the customer. Nothing was changed."),
            credit=Money(customer.credit_amount),
        )
    if still.deposit_amount:
        raise ConflictError(
            "deposit_left",
            N_("%(deposit)s of a deposit is left: give it back first. Nothing was changed."),
            deposit=Money(still.deposit_amount),
        )
    if still.sessions:
        raise ConflictError(
            "sessions_left",
            N_("Prepaid sessions are left on their cards: use, refund or expire them first. Nothing was changed."),
        )
