"""Carrying an import out, in one transaction."""

from collections.abc import Callable

from sqlalchemy import func, select

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.models import Branch
from spa_app.services import audit, ledger
from spa_app.services.actor import Actor
from spa_app.services.customers import add_imported_customers, fill_in_details
from spa_app.services.imports.plan import ImportPlan, Person, PlannedCard, RowReport, plan_import
from spa_app.services.imports.table import Table
from spa_app.services.ledger import Account, Posting
from spa_app.services.transaction import atomic
from spa_app.services.treatments import open_card

ONE_AT_A_TIME = 0x73706131  # the advisory lock of imports
CARDS_PER_ENTRY = 100  # each line of an entry is checked against all of it when the transaction commits


def import_table(
    table: Table,
    *,
    branch_id: int,
    actor: Actor,
    currency: str,
    locale: str,
    progress: Callable[[int, int], None],
) -> ImportPlan:
    """Store what :func:`plan_import` decides about the rows, all or nothing, and return what was decided.

    Cards open in the branch with the sessions used before in their history, and what is owed for those that are left is
    posted from opening balances. Whoever and whatever came with an earlier import of these rows is left as it is, but
    for details that were empty: those customers are locked by id, and who has filled one in meanwhile is not overruled
    but reported in ``left_out``.
    ``progress`` is told (done, all) of customers and cards. Another import is waited for (3 s). Raises
    :class:`ConflictError` when the desk gave one of the phones away meanwhile; nothing is stored then.
    """
    with atomic() as session:
        session.execute(select(func.pg_advisory_xact_lock(ONE_AT_A_TIME)))
        branch = session.get(Branch, branch_id)
        if branch is None:
            raise NotFoundError("not_found", N_("There is no such branch."))
        plan = plan_import(table, today=clock.today(branch.timezone), currency=currency, locale=locale)
        total = len(plan.new_people) + len(plan.cards)
        _store_people(plan, actor)
        for done in range(0, len(plan.cards), CARDS_PER_ENTRY):
            progress(len(plan.new_people) + done, total)
            _store_cards(plan.cards[done : done + CARDS_PER_ENTRY], branch, actor)
        progress(total, total)
        audit.record(
            "customers_imported",
            entity="branch",
            entity_id=branch.id,
            actor=actor,
            after={
                "file": table.digest,
                "rows": plan.rows,
                "customers": len(plan.new_people),
                "cards": len(plan.cards),
                "owed_amount": plan.owed_amount,
                "bad_rows": len(plan.bad),
            },
        )
    return plan


def _store_people(plan: ImportPlan, actor: Actor) -> None:
    # Who shares a phone points at who had it first.
    _add([person for person in plan.new_people if person.shares_phone_with is None], actor)
    _add([person for person in plan.new_people if person.shares_phone_with is not None], actor)
    for person in sorted(plan.known_people, key=lambda person: person.id or 0):
        if person.id is None or not person.fills:
            continue
        written = fill_in_details(person.id, person.fills, actor=actor)
        if kept := sorted(person.fills.keys() - written):
            reasons = tuple(_filled_in_meanwhile(name, person.full_name) for name in kept)
            plan.left_out.append(RowReport(person.row or 0, reasons))


def _filled_in_meanwhile(name: str, who: str) -> InvalidError:
    return InvalidError(
        "changed_meanwhile",
        N_("The desk has just filled this in for %(name)s, and that stands: the file was not followed."),
        field=name,
        name=who,
    )


def _add(people: list[Person], actor: Actor) -> None:
    rows = [
        person.values
        | {
            "phone": person.phone,
            "shares_phone_with_id": person.shares_phone_with.id if person.shares_phone_with else None,
            "import_ref": person.import_ref,
        }
        for person in people
    ]
    for person, customer_id in zip(people, add_imported_customers(rows, actor=actor), strict=True):
        person.id = customer_id


def _store_cards(cards: list[PlannedCard], branch: Branch, actor: Actor) -> None:
    postings = []
    for planned in cards:
        card = planned.card
        assert planned.person.id is not None
        treatment_id = open_card(
            customer_id=planned.person.id,
            branch=branch,
            service_id=card.service_id,
            sessions=card.total_sessions,
            deferred_amount=card.owed_amount + card.used_amount,
            expiry_date=card.expiry_date,
            validity_days=card.validity_days,
            validity_months=card.validity_months,
            branch_ids=card.branch_ids,
            actor=actor,
            import_ref=planned.import_ref,
            reason=f"Imported: {card.sessions} of {card.total_sessions} sessions left",
            used_sessions=card.total_sessions - card.sessions,
            used_amount=card.used_amount,
        )
        postings.append(Posting(Account.DEFERRED_REVENUE, -card.owed_amount, treatment_id=treatment_id))
    owed = sum(planned.card.owed_amount for planned in cards)
    ledger.post(
        "cards_imported", branch=branch, actor=actor, postings=[Posting(Account.OPENING_BALANCE, owed), *postings]
    )
