"""/calendar/sheet: the day to print, for when the power or the network is gone."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from spa_app import clock
from spa_app.queries.day_sheet import get_day_sheet
from spa_app.web.calendar.routes import NOBODY, asked_for
from spa_app.web.navigation import EVERYONE
from spa_app.web.security import roles, signed_in

bp = Blueprint("day_sheet", __name__)


@bp.get("/calendar/sheet")
@roles(*EVERYONE)
def show() -> ResponseReturnValue:
    """The sheet of ``date`` (today) in ``branch``. A therapist gets their own day, without telephone numbers."""
    asked = asked_for()
    user = signed_in()
    own = user.role == "therapist"
    parts = get_day_sheet(
        asked.branch.id,
        asked.date,
        timezone=asked.branch.timezone,
        only_staff_id=(user.staff_id or NOBODY) if own else None,
    )
    return render_template("calendar/sheet.html", asked=asked, parts=parts, with_phones=not own, now=clock.now())
