"""Two customers who are one: merging them, and taking that back."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, select, text, update

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut
from spa_app.extensions import db
from spa_app.models import Branch, Customer, CustomerMerge, DistinctCustomers
from spa_app.services import audit, customer_moves, ledger
from spa_app.services.actor import Actor
from spa_app.services.customers import (
    NOTE_LENGTH,
    audited_values,
    leave_phone,
    lock_two,
    require_live,
    take_over_phone,
)
from spa_app.services.ledger import Account, Posting
from spa_app.services.texts import REASON_LENGTH, clean_text
from spa_app.services.transaction import atomic

# What the desk chooses of: this customer's, or the other's; of texts and tags, also both.
ONE_OF_TWO = ("full_name", "phone", "email", "birth_date", "preferred_staff_id")
BOTH = ("allergies", "medical_note", "note", "tags")
FACTS = ONE_OF_TWO + BOTH

_CREDIT_BY_BRANCH = text(
    """
    SELECT e.branch_id, -sum(l.amount)::bigint AS amount
    FROM journal_lines l JOIN journal_entries e ON e.id = l.entry_id
    WHERE l.account_id = 2130 AND l.customer_id = :id
    GROUP BY e.branch_id HAVING sum(l.amount) <> 0 ORDER BY e.branch_id
    """
)


def default_choice(fact: str, mine: object, theirs: object) -> str:
    """What a merge keeps of a fact unless told otherwise: both of what can be added up, else mine, if I have any."""
    if fact in BOTH and mine and theirs and mine != theirs:
        return "both"
    return "this" if mine or not theirs else "other"


def merge_customers(
    survivor_id: int,
    merged_id: int,
    *,
    actor: Actor,
    choices: Mapping[str, str] | None = None,
    reason: str = "",
) -> int:
    """Let ``merged_id`` live on in ``survivor_id``, and return the id of the merge, by which it can be undone.

    ``choices``: fact (:data:`FACTS`) → ``this``, ``other`` or ``both``; :func:`default_choice` for the rest. Visits,
    cards, invoices, store credit, files and family go over (``customer_moves``); the merged row stays as a signpost.
    Locks the visits, cards and invoices of the merged one, then both customers by id. A manager's act. Raises
    :class:`ConflictError` where either was merged or anonymised meanwhile.
    """
    actor.require_manager()
    reason = clean_text(reason, field="reason", limit=REASON_LENGTH)
    with atomic() as session:
        customer_moves.lock_rows_of(merged_id)
        survivor, merged = lock_two(survivor_id, merged_id)
        _require_unmerged(survivor, merged)
        before = {"survivor": _with_family(survivor), "merged": _with_family(merged)}
        merge_id: int = session.execute(
            insert(CustomerMerge).returning(CustomerMerge.id),
            {
                "survivor_id": survivor.id,
                "merged_id": merged.id,
                "before": before,
                "kept": {},
                "moved": {},
                "reason": reason,
                "actor_id": actor.user_id,
            },
        ).scalar_one()
        _settle_facts(survivor, merged, choices or {})
        moved = customer_moves.move_rows(from_id=merged.id, to_id=survivor.id)
        credit_amount = _move_credit(merged, survivor, actor=actor)
        merged.merged_into_id = survivor.id
        session.flush()
        session.execute(
            update(CustomerMerge)
            .where(CustomerMerge.id == merge_id)
            .values(kept=_facts(survivor), moved=moved, credit_amount=credit_amount)
        )
        counts = {name: len(rows) for name, rows in moved.items() if rows}
        audit.record(
            "customer_merged",
            entity="customer",
            entity_id=survivor.id,
            actor=actor,
            before=before["survivor"],
            after={**_facts(survivor), "merged_id": merged.id, "moved": counts, "credit_amount": credit_amount},
            reason=reason,
        )
        audit.record(
            "customer_merged_away",
            entity="customer",
            entity_id=merged.id,
            actor=actor,
            before=before["merged"],
            after={"merged_into_id": survivor.id},
            reason=reason,
        )
        return merge_id


def undo_merge(merge_id: int, *, actor: Actor) -> tuple[int, int]:
    """Part two customers again; returns how many rows went back, and how many stay because they changed since.

    A detail of the survivor goes back if it still is what the merge made it; store credit, if that much is left. The
    later of two merges is undone first. Locks as :func:`merge_customers` does. A manager's act. Raises
    :class:`ConflictError` where it was undone already, or can no longer be.
    """
    actor.require_manager()
    with atomic() as session:
        merge = session.get(CustomerMerge, merge_id)
        if merge is None:
            raise NotFoundError("not_found", N_("There is no such merge."))
        customer_moves.lock_rows_of(merge.survivor_id)
        survivor, merged = lock_two(merge.survivor_id, merge.merged_id)
        session.refresh(merge)
        if merge.undone_at is not None:
            raise ConflictError("merge_undone", N_("This merge has been undone already."))
        require_live(survivor)
        _restore_facts(survivor, merge)
        merged.merged_into_id = None
        session.flush()
        _restore_phones(survivor, merged, merge)
        back, stay = customer_moves.move_back(merge.moved, from_id=survivor.id, to_id=merged.id)
        credit_stays = _return_credit(merge, survivor, merged, actor=actor)
        merge.undone_at = clock.now()
        session.flush()
        for customer_id in (survivor.id, merged.id):
            audit.record(
                "customer_merge_undone",
                entity="customer",
                entity_id=customer_id,
                actor=actor,
                after={"merge_id": merge.id, "back": back, "stay": stay, "credit_stays": credit_stays},
            )
        return back, stay


def mark_distinct(one_id: int, other_id: int, *, actor: Actor) -> int:
    """Note that two who look alike are not the same person; the first one's id. Asked for again, it changes nothing."""
    with atomic() as session:
        lock_two(one_id, other_id)
        first, second = sorted((one_id, other_id))
        if session.get(DistinctCustomers, (first, second)) is None:
            session.add(DistinctCustomers(first_id=first, second_id=second, actor_id=actor.user_id))
            audit.record(
                "customers_distinct", entity="customer", entity_id=first, actor=actor, after={"other_id": second}
            )
        return one_id


def _require_unmerged(survivor: Customer, merged: Customer) -> None:
    for one, other in ((merged, survivor), (survivor, merged)):
        if one.merged_into_id == other.id:
            raise ConflictError(
                "already_merged",
                N_("%(name)s and %(other)s are merged already. Nothing was done twice."),
                ways_out=(WayOut("open_survivor", N_("Open the customer who was kept"), {"customer_id": other.id}),),
                name=one.full_name,
                other=other.full_name,
            )
    for one in (survivor, merged):
        require_live(one)


def _facts(customer: Customer) -> dict[str, Any]:
    return audited_values({fact: getattr(customer, fact) for fact in FACTS})


def _with_family(customer: Customer) -> dict[str, Any]:
    """The facts, and the ids of the others who are reached at the same number."""
    there = select(Customer.id).where(Customer.phone == customer.phone, Customer.id != customer.id)
    return {**_facts(customer), "reached_there": sorted(db.session.scalars(there)) if customer.phone else []}


def _settle_facts(survivor: Customer, merged: Customer, choices: Mapping[str, str]) -> None:
    for fact in FACTS:
        mine, theirs = getattr(survivor, fact), getattr(merged, fact)
        choice = choices.get(fact) or default_choice(fact, mine, theirs)
        if choice not in ("this", "other") and (choice != "both" or fact not in BOTH):
            raise InvalidError("choice_unknown", N_("Choose which of the two to keep."), field=fact)
        if fact == "phone":
            _settle_phones(survivor, merged, choice)
        elif choice != "this" and mine != theirs:
            setattr(survivor, fact, theirs if choice == "other" else _both(fact, mine, theirs))
    db.session.flush()


def _both(fact: str, mine: Any, theirs: Any) -> Any:
    if fact == "tags":
        return sorted({*mine, *theirs})
    return clean_text("\n".join(filter(None, (mine, theirs))), field=fact, limit=NOTE_LENGTH)


def _settle_phones(survivor: Customer, merged: Customer, choice: str) -> None:
    if choice == "other" and survivor.phone != merged.phone:
        leave_phone(survivor)
        take_over_phone(survivor, merged)
    else:
        leave_phone(merged)


def _move_credit(merged: Customer, survivor: Customer, *, actor: Actor) -> int:
    """The ledger keeps its lines; an entry in each branch brings what is left of the credit over."""
    moved = _post_credit(merged.id, survivor.id, None, actor=actor)
    merged.credit_amount -= moved
    survivor.credit_amount += moved
    return moved


def _return_credit(merge: CustomerMerge, survivor: Customer, merged: Customer, *, actor: Actor) -> bool:
    """Whether the credit stays with the survivor, who has spent some of it."""
    if survivor.credit_amount < merge.credit_amount:
        return True
    moved = _post_credit(survivor.id, merged.id, merge.credit_amount, actor=actor)
    survivor.credit_amount -= moved
    merged.credit_amount += moved
    return False


def _post_credit(from_id: int, to_id: int, most: int | None, *, actor: Actor) -> int:
    """Post at most ``most`` of one customer's credit as another's, each branch its share; returns the sum."""
    moved = 0
    for branch_id, amount in db.session.execute(_CREDIT_BY_BRANCH, {"id": from_id}).all():
        part = amount if most is None else min(amount, most - moved)
        if most is not None and part <= 0:
            continue
        ledger.post(
            "credit_moved",
            branch=db.session.get_one(Branch, branch_id),
            actor=actor,
            postings=[
                Posting(Account.STORE_CREDIT, part, customer_id=from_id),
                Posting(Account.STORE_CREDIT, -part, customer_id=to_id),
            ],
        )
        moved += part
    return moved


def _restore_facts(survivor: Customer, merge: CustomerMerge) -> None:
    now, then = _facts(survivor), merge.before["survivor"]
    for fact in FACTS:
        if fact != "phone" and now[fact] == merge.kept[fact] != then[fact]:
            value = then[fact]
            setattr(survivor, fact, dt.date.fromisoformat(value) if fact == "birth_date" and value else value)


def _restore_phones(survivor: Customer, merged: Customer, merge: CustomerMerge) -> None:
    """Give both their numbers back, each if it is free, or with one who was reached there before."""
    mine, theirs = merge.before["survivor"], merge.before["merged"]
    if survivor.phone == merge.kept["phone"] != mine["phone"]:
        leave_phone(survivor)
        _give_phone(survivor, mine)
    _give_phone(merged, theirs)


def _give_phone(customer: Customer, then: dict[str, Any]) -> None:
    if not then["phone"]:
        return
    holder = db.session.scalar(
        select(Customer.id)
        .where(Customer.phone == then["phone"], Customer.shares_phone_with_id.is_(None))
        .with_for_update(key_share=True)
    )
    if holder is None or holder in then["reached_there"]:
        customer.phone = then["phone"]
        customer.shares_phone_with_id = holder
        db.session.flush()
