"""A branch as its managers set it up: hours of the week, policies, its name. Each change keeps before and after."""

import re
from collections.abc import Sequence
from typing import Any
from zoneinfo import available_timezones

from sqlalchemy import delete

from spa_app.errors import N_, ConflictError, InvalidError
from spa_app.extensions import db
from spa_app.integrations.vietqr import ACCOUNT, BANKS
from spa_app.models import Branch, BranchHours
from spa_app.models.policy import POLICIES
from spa_app.queries import setup
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.phones import normalise
from spa_app.services.rosters import Periods, check_periods, lock_team
from spa_app.services.seen import require_unchanged
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

NAME_LENGTH = 120
ADDRESS_LENGTH = 300
LONGEST_WINDOW = 14 * 24 * 60
LONGEST_EXTENSION = 3650  # days
MOST_GIFT_CARD_MONTHS = 120
BIGGEST_AMOUNT = 10**12
OPEN_INVOICES = ("warn", "block")  # what closing a day does about its unpaid invoices
_TAX_CODE = re.compile(r"[0-9A-Z-]{0,20}")
_DAY_FIELD = "day_{}"


def set_hours(*, branch_id: int, week: Sequence[Periods], actor: Actor, seen: str | None = None) -> int:
    """Make these the opening hours of every week, Monday first; a day without a period is closed.

    Visits that then lie outside stay. Locks the branch and its therapists. Raises :class:`InvalidError` at ``day_0`` to
    ``day_6``, and :class:`ConflictError` where the hours are no longer as ``seen``.
    """
    for weekday, periods in enumerate(week):
        try:
            check_periods(periods)
        except InvalidError as error:
            error.field = _DAY_FIELD.format(weekday)
            raise
    with atomic() as session:
        _locked(branch_id, actor)
        before = setup.hours_state(setup.get_hours(branch_id))
        require_unchanged(before, seen)
        lock_team(branch_id)
        session.execute(delete(BranchHours).where(BranchHours.branch_id == branch_id))
        session.add_all(
            BranchHours(branch_id=branch_id, weekday=weekday, opens_at=opens, closes_at=closes)
            for weekday, periods in enumerate(week)
            for opens, closes in periods
        )
        session.flush()
        _record("branch_hours_set", branch_id, actor, {"week": before}, {"week": setup.hours_state(week)})
        return branch_id


def set_policies(*, branch_id: int, values: dict[str, Any], actor: Actor, seen: str | None = None) -> int:
    """Set what is taken for a late cancellation and for a no-show, and how long what is sold is good for.

    ``values`` are :data:`setup.POLICY_COLUMNS`. What was taken or sold before stays as it is. Locks the branch. Raises
    :class:`InvalidError` at the field, and :class:`ConflictError` where the policies are no longer as ``seen``.
    """
    check_policies(values)
    with atomic() as session:
        branch = _locked(branch_id, actor)
        before = setup.columns_of(branch, setup.POLICY_COLUMNS)
        require_unchanged(before, seen)
        for name in setup.POLICY_COLUMNS:
            setattr(branch, name, values[name])
        session.flush()
        _record("branch_policies_set", branch_id, actor, before, setup.columns_of(branch, setup.POLICY_COLUMNS))
        return branch_id


def check_policies(values: dict[str, Any]) -> None:
    """Raise :class:`InvalidError` at the field of a policy that cannot be."""
    if not 0 <= (values["late_cancel_minutes"] or 0) <= LONGEST_WINDOW:
        raise InvalidError("window_invalid", N_("Give up to 14 days."), field="late_cancel_minutes")
    for which in ("late_cancel", "no_show"):
        share, amount = values[f"{which}_fee_bp"], values[f"{which}_fee_amount"]
        if values[f"{which}_policy"] not in POLICIES:
            raise InvalidError("policy_unknown", N_("Choose what is taken."), field=f"{which}_policy")
        if values[f"{which}_policy"] == "fee" and (share is None) == (amount is None):
            raise InvalidError("fee_missing", N_("Give either a percentage or an amount."), field=f"{which}_fee_bp")
        if share is not None and not 0 < share <= 10_000:
            raise InvalidError("fee_invalid", N_("Give a percentage above 0, up to 100."), field=f"{which}_fee_bp")
        if amount is not None and not 0 < amount <= BIGGEST_AMOUNT:
            raise InvalidError("fee_invalid", N_("This amount is not possible."), field=f"{which}_fee_amount")
    if not 0 <= (values["extend_limit_days"] or 0) <= LONGEST_EXTENSION:
        raise InvalidError("limit_invalid", N_("Give up to 3650 days."), field="extend_limit_days")
    if values["close_with_open_invoices"] not in OPEN_INVOICES:
        raise InvalidError("policy_unknown", N_("Choose what happens."), field="close_with_open_invoices")
    if not 0 <= (values["discount_limit_bp"] or 0) <= 10_000:
        raise InvalidError("limit_invalid", N_("Give a percentage up to 100."), field="discount_limit_bp")
    if values["gift_card_months"] is not None and not 1 <= values["gift_card_months"] <= MOST_GIFT_CARD_MONTHS:
        raise InvalidError("months_invalid", N_("Give 1 to 120 months."), field="gift_card_months")
    for name in ("waiver_limit_amount", "refund_limit_amount"):
        if not 0 <= (values[name] or 0) <= BIGGEST_AMOUNT:
            raise InvalidError("limit_invalid", N_("This amount is not possible."), field=name)


def set_about(
    *,
    branch_id: int,
    name: str,
    timezone: str,
    address: str,
    phone: str,
    tax_code: str,
    actor: Actor,
    bank: tuple[str, str, str] = ("", "", ""),
    seen: str | None = None,
) -> int:
    """Set the branch's name, time zone, address, phone, tax number and ``bank``. Locks the branch.

    ``bank`` is (the bank's number, the account, its holder) to which transfers go; the first two both, or neither.

    Visits are instants, so another time zone would show all of them at other times: it is refused
    (:class:`ConflictError`) while any lie ahead.
    """
    name = clean_text(name, field="name", limit=NAME_LENGTH, lines=False)
    if not name:
        raise InvalidError("name_missing", N_("Give a name."), field="name")
    if timezone not in available_timezones():
        raise InvalidError(
            "timezone_unknown", N_("This is not a time zone. Write it like Asia/Ho_Chi_Minh."), field="timezone"
        )
    values = {
        "name": name,
        "timezone": timezone,
        "address": clean_text(address, field="address", limit=ADDRESS_LENGTH, lines=False),
        "phone": normalise(phone),
        "tax_code": _clean_tax_code(tax_code),
        **_bank(*bank),
    }
    with atomic() as session:
        branch = _locked(branch_id, actor)
        before = setup.columns_of(branch, setup.ABOUT_COLUMNS)
        require_unchanged(before, seen)
        if timezone != branch.timezone and setup.has_visits(branch_id):
            raise ConflictError(
                "has_visits",
                N_("Visits are booked here from now on. In another time zone they would all be at other times."),
                field="timezone",
            )
        for column, value in values.items():
            setattr(branch, column, value)
        session.flush()
        _record("branch_changed", branch_id, actor, before, values)
        return branch_id


def _clean_tax_code(typed: str) -> str:
    tax_code = "".join(typed.split()).upper()
    if not _TAX_CODE.fullmatch(tax_code):
        raise InvalidError(
            "tax_code_invalid", N_("Give up to 20 figures, letters and hyphens, like 0312345678-001."), field="tax_code"
        )
    return tax_code


def _bank(bank_bin: str, account: str, holder: str) -> dict[str, Any]:
    account = account.replace(" ", "").upper()
    if not bank_bin and account:
        raise InvalidError("bank_missing", N_("Choose the bank of this account."), field="bank_bin")
    if bank_bin and bank_bin not in BANKS:
        raise InvalidError("bank_unknown", N_("Choose a bank of the list."), field="bank_bin")
    if bank_bin and not ACCOUNT.fullmatch(account):
        raise InvalidError(
            "account_invalid", N_("An account number has 4 to 19 digits or capital letters."), field="bank_account"
        )
    return {
        "bank_bin": bank_bin or None,
        "bank_account": account or None,
        "bank_holder": clean_text(holder, field="bank_holder", limit=NAME_LENGTH, lines=False),
    }


def _locked(branch_id: int, actor: Actor) -> Branch:
    actor.require_manager()
    actor.require_branch(branch_id)
    return db.session.get_one(Branch, branch_id, with_for_update={"key_share": True}, populate_existing=True)


def _record(action: str, branch_id: int, actor: Actor, before: dict[str, Any], after: dict[str, Any]) -> None:
    audit.record(action, entity="branch", entity_id=branch_id, actor=actor, before=before, after=after)
