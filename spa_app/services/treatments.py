"""Treatment cards: the only place that writes their session history, and the counters that cache it.

Every function that changes a card takes one that its caller holds locked (:func:`lock_cards`), joins the caller's
transaction, and moves value in the ledger where sessions become revenue. Rules: 1-product, *Treatment cards*.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, TextClause, and_, bindparam, case, func, or_, select, text, update

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, WayOut
from spa_app.extensions import db
from spa_app.models import Branch, CustomerTreatment, Service, TreatmentEntry, derive_status
from spa_app.money import session_value
from spa_app.services import ledger
from spa_app.services.actor import Actor
from spa_app.services.ledger import Account, Posting

PAY_VISIT = WayOut("pay_visit", N_("Let the customer pay for this visit"))
OTHER_CARD = WayOut("choose_card", N_("Choose another card"))
EXTEND = WayOut("extend_card", N_("Ask a manager to extend the card"))
UNFREEZE = WayOut("unfreeze_card", N_("Unfreeze the card"))


def sell_plan_way(customer_id: int) -> WayOut:
    """The way out of a card that cannot be used: a new one for its customer."""
    return WayOut("sell_plan", N_("Sell a package"), {"customer_id": customer_id})


# Plain SQL where every punch passes; one round trip however many entries there are.
_INSERT_ENTRIES = text(
    """
    INSERT INTO treatment_entries (treatment_id, kind, sessions, value_amount, booking_item_id, actor_id, reason)
    SELECT entry.treatment_id, entry.kind, entry.sessions, entry.amount, CAST(:item_id AS bigint),
           CAST(:actor_id AS bigint), CAST(:reason AS text)
    FROM unnest(CAST(:treatment_ids AS bigint[]), CAST(:kinds AS text[]), CAST(:sessions AS smallint[]),
                CAST(:amounts AS bigint[]))
        WITH ORDINALITY AS entry (treatment_id, kind, sessions, amount, position)
    ORDER BY entry.position
    RETURNING id
    """
)
# The same for one booking item, closing the hold that stands for it; no rows, and nothing done, where none does.
_INSERT_AND_CLOSE_HOLD = text(
    """
    WITH hold AS (
        SELECT id FROM treatment_entries
        WHERE booking_item_id = CAST(:item_id AS bigint) AND kind = 'hold' AND closed_by_id IS NULL
    ), added AS (
        INSERT INTO treatment_entries (treatment_id, kind, sessions, value_amount, booking_item_id, actor_id, reason)
        SELECT entry.treatment_id, entry.kind, entry.sessions, entry.amount, CAST(:item_id AS bigint),
               CAST(:actor_id AS bigint), CAST(:reason AS text)
        FROM hold CROSS JOIN unnest(CAST(:treatment_ids AS bigint[]), CAST(:kinds AS text[]),
                                    CAST(:sessions AS smallint[]), CAST(:amounts AS bigint[]))
            WITH ORDINALITY AS entry (treatment_id, kind, sessions, amount, position)
        ORDER BY entry.position
        RETURNING id, kind
    ), closed AS (
        UPDATE treatment_entries SET closed_by_id = (SELECT id FROM added WHERE kind = 'release')
        WHERE id = (SELECT id FROM hold)
    )
    SELECT id FROM added
    """
)
_CARDS = (
    select(CustomerTreatment)
    .where(CustomerTreatment.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))
    .order_by(CustomerTreatment.id)
    .execution_options(populate_existing=True)
)
_CLOSE_ENTRY = text("UPDATE treatment_entries SET closed_by_id = :closed_by_id WHERE id = :id")


@dataclass(frozen=True)
class _Entry:
    kind: str
    sessions: int
    value_amount: int = 0


def lock_cards(treatment_ids: Iterable[int]) -> dict[int, CustomerTreatment]:
    """Lock cards by id in ascending order, and return them fresh. Ids that do not exist are missing from the result."""
    ids = sorted(set(treatment_ids))
    if not ids:
        return {}
    return {card.id: card for card in db.session.execute(_CARDS.with_for_update(), {"ids": ids}).scalars()}


def open_card(
    *,
    customer_id: int,
    branch: Branch,
    service_id: int | None,
    sessions: int,
    deferred_amount: int,
    expiry_date: dt.date,
    actor: Actor,
    plan_id: int | None = None,
    invoice_line_id: int | None = None,
    import_ref: str | None = None,
    reason: str = "",
) -> int:
    """Open a card with ``sessions`` free ones, and return its id. The caller posts ``deferred_amount`` (no VAT in it).

    A card brought in from elsewhere opens with the sessions that are left, since those used have no visit here.
    """
    card = CustomerTreatment(
        customer_id=customer_id,
        branch_id=branch.id,
        service_id=service_id,
        plan_id=plan_id,
        invoice_line_id=invoice_line_id,
        import_ref=import_ref,
        total_sessions=sessions,
        used_sessions=0,
        held_sessions=0,
        expired_sessions=0,
        deferred_amount=deferred_amount,
        recognised_amount=0,
        expired_amount=0,
        expiry_date=expiry_date,
        status="expired" if expiry_date < clock.today(branch.timezone) else "active",
    )
    db.session.add(card)
    db.session.flush()
    _append(card, [_Entry("purchase", sessions)], actor=actor, reason=reason)
    return card.id


def check_usable(
    card: CustomerTreatment | None,
    *,
    customer_id: int,
    service_id: int,
    visit_on: dt.date,
    field: str,
) -> CustomerTreatment:
    """The card, if it can give a session to this customer's visit on the local date ``visit_on``.

    Raises :class:`InvalidError` at ``field``, with one message and ways out for each rule (1-product, *Bookings*).
    """
    if card is None:
        raise InvalidError("card_unknown", N_("There is no such card."), field=field, ways_out=(OTHER_CARD, PAY_VISIT))
    ways_out = (OTHER_CARD, PAY_VISIT, sell_plan_way(customer_id))
    if card.customer_id != customer_id:
        raise InvalidError(
            "card_of_other",
            N_("Card %(card)s belongs to another customer."),
            field=field,
            ways_out=ways_out,
            card=_label(card),
        )
    if card.service_id not in (None, service_id):
        wanted = db.session.execute(select(Service.name).where(Service.id == service_id)).scalar()
        raise InvalidError(
            "card_wrong_service",
            N_("Card %(card)s does not cover %(service)s."),
            field=field,
            ways_out=ways_out,
            card=_label(card),
            service=wanted,
        )
    _refuse_stopped(card, field=field)
    if card.expiry_date < visit_on:
        raise InvalidError(
            "card_expired",
            N_("Card %(card)s is valid to %(date)s, which is before this visit."),
            field=field,
            ways_out=(EXTEND, PAY_VISIT, sell_plan_way(customer_id)),
            card=_label(card),
            date=card.expiry_date,
        )
    return card


def hold_session(card: CustomerTreatment, *, item_id: int, actor: Actor, field: str) -> None:
    """Reserve one session for a booking item. Raises :class:`InvalidError` at ``field`` when none is free."""
    if card.free_sessions < 1 and card.expired_sessions:
        raise InvalidError(
            "card_lapsed",
            N_("Card %(card)s has no session left: %(expired)s of %(total)s expired after %(date)s."),
            field=field,
            ways_out=(OTHER_CARD, PAY_VISIT, sell_plan_way(card.customer_id)),
            card=_label(card),
            expired=card.expired_sessions,
            total=card.total_sessions,
            date=card.expiry_date,
        )
    if card.free_sessions < 1:
        raise InvalidError(
            "card_used_up",
            N_("Card %(card)s has no session left: of %(total)s, %(used)s used and %(held)s reserved."),
            field=field,
            ways_out=(OTHER_CARD, PAY_VISIT, sell_plan_way(card.customer_id)),
            card=_label(card),
            total=card.total_sessions,
            used=card.used_sessions,
            held=card.held_sessions,
        )
    _append(card, [_Entry("hold", -1)], item_id=item_id, actor=actor)


def release_hold(card: CustomerTreatment, *, item_id: int, actor: Actor, reason: str = "") -> None:
    """Give a reserved session back. Raises :class:`ConflictError` when none is reserved for the item."""
    _append(card, [_Entry("release", 1)], item_id=item_id, actor=actor, reason=reason, closes_hold=True)


def punch_session(card: CustomerTreatment, *, item_id: int, branch: Branch, actor: Actor) -> None:
    """Turn the session reserved for an item into a used one, and recognise its revenue in the visit's branch.

    Raises :class:`ConflictError` when the card was stopped, or holds nothing for the item.
    """
    _refuse_stopped(card, field="treatment_id", kind=ConflictError)
    _use_held(card, "punch", item_id=item_id, branch=branch, actor=actor)


def forfeit_session(card: CustomerTreatment, *, item_id: int, branch: Branch, actor: Actor, reason: str) -> None:
    """Take the session reserved for an item without a visit, as the branch's policy says, and recognise its revenue."""
    _use_held(card, "forfeit", item_id=item_id, branch=branch, actor=actor, reason=reason)


def return_session(card: CustomerTreatment, *, item_id: int, branch: Branch, actor: Actor, reason: str) -> None:
    """Take a punch or forfeit back and reserve the session for the item again; its revenue is reversed to the đồng."""
    used = _find_live(item_id, "punch", "forfeit")
    if used is None:
        raise ConflictError("no_punch", N_("No session was taken for this visit, so none can come back."))
    unpunch_id, _ = _append(
        card,
        [_Entry("unpunch", 1, -used.value_amount), _Entry("hold", -1)],
        item_id=item_id,
        actor=actor,
        reason=reason,
    )
    _close(used.id, unpunch_id)
    ledger.post(
        "session_returned",
        branch=branch,
        actor=actor,
        treatment_entry_id=unpunch_id,
        postings=_recognition(card, -used.value_amount, Account.SERVICE_REVENUE),
    )


def expire_due_batch(*, branch: Branch, on: dt.date, limit: int, actor: Actor) -> list[tuple[int, int, int]]:
    """Expire what is free on up to ``limit`` cards of a branch whose last day lies before the local date ``on``.

    Sessions reserved by a visit stay: it may have taken place in time and be completed late. Locks the cards by id,
    waiting for a desk that holds one. Returns (card id, sessions expired, amount that became breakage revenue) for each
    card that was due; an empty list when none is left. Written in bulk: a night can bring ten thousand cards.

    A card of which nothing is free only has its status brought along, by the present date: ``on`` may lie ahead.
    """
    today = clock.today(branch.timezone)
    due = db.session.execute(
        select(CustomerTreatment)
        .where(
            CustomerTreatment.branch_id == branch.id,
            CustomerTreatment.expiry_date < on,
            CustomerTreatment.cancelled_at.is_(None),
            CustomerTreatment.frozen_on.is_(None),
            or_(
                CustomerTreatment.free_sessions > 0,
                and_(CustomerTreatment.status == "active", CustomerTreatment.expiry_date < today),
            ),
        )
        .order_by(CustomerTreatment.id)
        .limit(limit)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalars()
    done = [(card, card.free_sessions, _value(card, card.free_sessions)) for card in due]
    expiring = [(card, sessions, value) for card, sessions, value in done if sessions]
    if expiring:
        entry_ids = _insert_entries(
            [card.id for card, _, _ in expiring],
            [_Entry("expire", -sessions, value) for _, sessions, value in expiring],
            item_id=None,
            actor=actor,
            reason="",
        )
        ledger.post_many(
            "sessions_expired",
            branch=branch,
            actor=actor,
            posted_on=on,
            entries=[
                (entry_id, _recognition(card, value, Account.BREAKAGE_REVENUE))
                for entry_id, (card, _, value) in zip(entry_ids, expiring, strict=True)
            ],
        )
    if done:
        changes = (
            func.unnest(
                bindparam("ids", [card.id for card, _, _ in done], ARRAY(BigInteger)),
                bindparam("sessions", [sessions for _, sessions, _ in done], ARRAY(BigInteger)),
                bindparam("amounts", [value for _, _, value in done], ARRAY(BigInteger)),
            )
            .table_valued("id", "sessions", "amount")
            .render_derived(name="change")
        )
        db.session.execute(
            update(CustomerTreatment)
            .where(CustomerTreatment.id == changes.c.id)
            .values(
                expired_sessions=CustomerTreatment.expired_sessions + changes.c.sessions,
                expired_amount=CustomerTreatment.expired_amount + changes.c.amount,
                status=case(
                    (CustomerTreatment.used_sessions == CustomerTreatment.total_sessions, "completed"), else_="expired"
                ),
            ),
            execution_options={"synchronize_session": False},
        )
    return [(card.id, sessions, value) for card, sessions, value in done]


def cancel_unused_card(card: CustomerTreatment, *, actor: Actor, reason: str) -> None:
    """Take back a card of which nothing was used, because its sale is being voided; the caller reverses the ledger.

    Raises :class:`ConflictError` when sessions were used, reserved or expired.
    """
    if card.free_sessions != card.total_sessions:
        raise ConflictError(
            "card_in_use",
            N_("Sessions of card %(card)s are used or reserved: the sale can no longer be voided."),
            card=_label(card),
        )
    value = card.deferred_amount
    card.cancelled_at = clock.now()
    card.deferred_amount = 0
    _append(card, [_Entry("refund", -card.total_sessions, value)], actor=actor, reason=reason)


def _use_held(
    card: CustomerTreatment, kind: str, *, item_id: int, branch: Branch, actor: Actor, reason: str = ""
) -> None:
    value = _value(card, 1)
    entries = [_Entry("release", 1), _Entry(kind, -1, value)]
    _, used_id = _append(card, entries, item_id=item_id, actor=actor, reason=reason, closes_hold=True)
    ledger.post(
        "session_recognised",
        branch=branch,
        actor=actor,
        treatment_entry_id=used_id,
        postings=_recognition(card, value, Account.SERVICE_REVENUE),
    )


def _append(
    card: CustomerTreatment,
    entries: list[_Entry],
    *,
    actor: Actor,
    item_id: int | None = None,
    reason: str = "",
    closes_hold: bool = False,
) -> list[int]:
    """Write history rows and bring the counters along. Returns the rows' ids, in order.

    ``closes_hold``: a release among the rows closes the item's hold; :class:`ConflictError` where there is none.
    """
    insert = _INSERT_AND_CLOSE_HOLD if closes_hold else _INSERT_ENTRIES
    ids = _insert_entries(
        [card.id] * len(entries), entries, item_id=item_id, actor=actor, reason=reason, statement=insert
    )
    if not ids:
        raise ConflictError(
            "no_hold",
            N_("No session is reserved for this visit any more."),
            ways_out=(OTHER_CARD, PAY_VISIT, sell_plan_way(card.customer_id)),
        )
    for entry in entries:
        match entry.kind:
            case "hold" | "release":
                card.held_sessions -= entry.sessions
            case "punch" | "unpunch" | "forfeit":
                card.used_sessions -= entry.sessions
                card.recognised_amount += entry.value_amount
            case "refund":
                card.total_sessions += entry.sessions
    branch = db.session.get_one(Branch, card.branch_id)
    card.status = derive_status(card, clock.today(branch.timezone))
    db.session.flush()
    return ids


def _insert_entries(
    treatment_ids: Sequence[int],
    entries: Sequence[_Entry],
    *,
    item_id: int | None,
    actor: Actor,
    reason: str,
    statement: TextClause = _INSERT_ENTRIES,
) -> list[int]:
    rows = db.session.execute(
        statement,
        {
            "treatment_ids": list(treatment_ids),
            "kinds": [entry.kind for entry in entries],
            "sessions": [entry.sessions for entry in entries],
            "amounts": [entry.value_amount for entry in entries],
            "item_id": item_id,
            "actor_id": actor.user_id,
            "reason": reason,
        },
    )
    # Rows come back in the order in which they went in, which is that of their ids.
    return sorted(rows.scalars())


def _close(entry_id: int, closed_by_id: int) -> None:
    db.session.execute(_CLOSE_ENTRY, {"id": entry_id, "closed_by_id": closed_by_id})


def _find_live(item_id: int, *kinds: str) -> TreatmentEntry | None:
    """The entry of these kinds that stands for an item and was not closed by another."""
    query = select(TreatmentEntry).where(
        TreatmentEntry.booking_item_id == item_id,
        TreatmentEntry.kind.in_(kinds),
        TreatmentEntry.closed_by_id.is_(None),
    )
    return db.session.execute(query).scalar()


def _value(card: CustomerTreatment, sessions: int) -> int:
    return session_value(
        whole=card.deferred_amount,
        spent=card.recognised_amount + card.expired_amount,
        total_sessions=card.total_sessions,
        sessions_gone=card.used_sessions + card.expired_sessions,
        sessions=sessions,
    )


def _recognition(card: CustomerTreatment, amount: int, revenue: Account) -> list[Posting]:
    return [Posting(Account.DEFERRED_REVENUE, amount, treatment_id=card.id), Posting(revenue, -amount)]


def _refuse_stopped(
    card: CustomerTreatment, *, field: str, kind: type[InvalidError | ConflictError] = InvalidError
) -> None:
    if card.cancelled_at is not None:
        raise kind(
            "card_cancelled",
            N_("Card %(card)s is cancelled."),
            field=field,
            ways_out=(OTHER_CARD, PAY_VISIT, sell_plan_way(card.customer_id)),
            card=_label(card),
        )
    if card.frozen_on is not None:
        raise kind(
            "card_frozen",
            N_("Card %(card)s has been frozen since %(date)s."),
            field=field,
            ways_out=(UNFREEZE, OTHER_CARD, PAY_VISIT),
            card=_label(card),
            date=card.frozen_on,
        )


def _label(card: CustomerTreatment) -> str:
    service = card.service_id and db.session.get_one(Service, card.service_id).name
    return f"#{card.id} {service}" if service else f"#{card.id}"
