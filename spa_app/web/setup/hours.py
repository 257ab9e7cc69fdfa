"""/setup/hours and /setup/special-days: when a branch is open."""

import datetime as dt

from flask import request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from spa_app.queries import rosters as roster_queries
from spa_app.queries import setup as queries
from spa_app.queries.seen import stamp
from spa_app.queries.users import BranchRef
from spa_app.services import branches, rosters
from spa_app.services.texts import REASON_LENGTH
from spa_app.web.bookings.forms import LocalDateField
from spa_app.web.forms import Form
from spa_app.web.navigation import MANAGERS
from spa_app.web.periods import PeriodsField, short
from spa_app.web.security import asked_branch, current_actor, local_today, roles
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit
from spa_app.web.times import parse_date

DAYS = (_l("Monday"), _l("Tuesday"), _l("Wednesday"), _l("Thursday"), _l("Friday"), _l("Saturday"), _l("Sunday"))
LOOK_BACK = dt.timedelta(days=31)


class HoursForm(Form):
    """The periods of each weekday."""

    day_0 = PeriodsField(DAYS[0])
    day_1 = PeriodsField(DAYS[1])
    day_2 = PeriodsField(DAYS[2])
    day_3 = PeriodsField(DAYS[3])
    day_4 = PeriodsField(DAYS[4])
    day_5 = PeriodsField(DAYS[5])
    day_6 = PeriodsField(DAYS[6])

    @property
    def days(self) -> list[PeriodsField]:
        """The fields, Monday first."""
        return [self[f"day_{weekday}"] for weekday in range(7)]


class SpecialDayForm(Form):
    """A date and what is other on it."""

    happens_on = LocalDateField(_l("Date"), [InputRequired()])
    kind = RadioField(
        _l("On this date the branch is"),
        choices=[
            SelectChoice("closed", _l("Closed all day")),
            SelectChoice("hours", _l("Open at these hours only")),
        ],
        default="closed",
    )
    periods = PeriodsField(_l("Hours"))
    reason = StringField(
        _l("Reason"), [Length(max=REASON_LENGTH)], render_kw={"autocomplete": "off", "list": "usual-reasons"}
    )


@bp.get("/hours")
@roles(*MANAGERS)
def hours() -> ResponseReturnValue:
    """The opening hours of the week."""
    return _hours_page(asked_branch())


@bp.post("/hours")
@roles(*MANAGERS)
def save_hours() -> ResponseReturnValue:
    """Set them: ``day_0-from`` and ``day_0-to`` for Monday, each as often as there are periods, to ``day_6``."""
    branch, form = asked_branch(), HoursForm()
    submitted = submit(
        form,
        "setup_hours",
        lambda: branches.set_hours(
            branch_id=branch.id, week=[day.data for day in form.days], seen=seen(), actor=current_actor()
        ),
    )
    return see("setup.hours", branch) if submitted.is_done else _hours_page(branch, form, submitted)


@bp.get("/special-days")
@roles(*MANAGERS)
def special_days() -> ResponseReturnValue:
    """The dates with other hours, and the form for one: empty, or that of ``date``."""
    return _special_page(asked_branch(), _date_of_address())


@bp.post("/special-days")
@roles(*MANAGERS)
def save_special_day() -> ResponseReturnValue:
    """Give ``happens_on`` its own hours (``kind``: closed, hours), or with ``usual`` those of every week again."""
    branch, form = asked_branch(), SpecialDayForm()
    usual = "usual" in request.form

    def work() -> int:
        return rosters.set_exception(
            branch_id=branch.id,
            happens_on=form.happens_on.data or local_today(),
            periods=form.periods.data if form.kind.data == "hours" and not usual else [],
            reason=form.reason.data or "",
            usual=usual,
            seen=request.form.get("seen") or None,
            actor=current_actor(),
        )

    submitted = submit(form, "setup_special_day", work, {"starts_at": "periods", "ends_at": "periods"})
    if submitted.is_done:
        return see("setup.special_days", branch)
    return _special_page(branch, form.happens_on.data, None if submitted.is_stale else form, submitted)


def _hours_page(
    branch: BranchRef, form: HoursForm | None = None, submitted: Submitted = NOT_SENT
) -> ResponseReturnValue:
    week = queries.get_hours(branch.id)
    if form is None or submitted.is_stale:
        form = HoursForm(formdata=None, data={f"day_{weekday}": day for weekday, day in enumerate(week)})
    return show("setup.hours", "_hours.html", submitted, form=form, stamp=stamp(queries.hours_state(week)), days=DAYS)


def _special_page(
    branch: BranchRef,
    date: dt.date | None,
    form: SpecialDayForm | None = None,
    submitted: Submitted = NOT_SENT,
) -> ResponseReturnValue:
    chosen = roster_queries.list_open_days(branch.id, date, 1)[0] if date else None
    if form is None:
        given = {"happens_on": date}
        if chosen is not None and chosen.is_special:
            form = SpecialDayForm(
                formdata=None,
                happens_on=date,
                kind="hours" if chosen.periods else "closed",
                periods=chosen.periods,
                reason=chosen.reason,
            )
        else:
            form = SpecialDayForm(formdata=None, data=given)
    return show(
        "setup.special_days",
        "_special_days.html",
        submitted,
        form=form,
        stamp=chosen.stamp if chosen is not None and chosen.is_special else None,
        chosen=chosen if chosen is not None and chosen.is_special else None,
        days=queries.list_special_days(branch.id, local_today() - LOOK_BACK),
        short=short,
    )


def _date_of_address() -> dt.date | None:
    try:
        return parse_date(request.args["date"])
    except (KeyError, ValueError):
        return None
