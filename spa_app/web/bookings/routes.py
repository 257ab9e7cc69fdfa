"""A visit: its page and panel, what can be done with it, and the free times."""

from collections.abc import Callable
from typing import Any

from flask import Response, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app import clock
from spa_app.errors import N_, DomainError, NotAllowedError, NotFoundError
from spa_app.queries.booking_form import get_choices
from spa_app.queries.bookings import Visit, get_booking
from spa_app.queries.roster import list_absences
from spa_app.services import bookings
from spa_app.services.scheduling import Slot
from spa_app.web import errors, filters
from spa_app.web.actions import run_once
from spa_app.web.bookings import bp
from spa_app.web.bookings.forms import CancelForm, MoveForm, NoShowForm
from spa_app.web.bookings.item_edit import ItemEdit
from spa_app.web.bookings.place import affected_url, beside, calendar_url, in_panel, see_other, swap
from spa_app.web.bookings.refusals import Refusal, explain
from spa_app.web.bookings.settling import (
    offer_settlements,
    posted_settlements,
    posted_version,
    posted_versions,
    tell_sold,
)
from spa_app.web.bookings.way_back import way_back
from spa_app.web.htmx import is_partial, refresh, render, toast
from spa_app.web.navigation import DESK, EVERYONE
from spa_app.web.security import (
    current_actor,
    roles,
    signed_in,
    use_branch,
)
from spa_app.web.waitlist.fitting import freed_by, tell_freed, who_fits, words_for

SLOTS = 5
# action → its words, once done
DONE = {
    "confirm": N_("The visit is confirmed."),
    "arrive": N_("%(name)s is here."),
    "start": N_("The treatment has begun."),
    "complete": N_("The visit is completed."),
    "cancel": N_("The visit is cancelled."),
    "release": N_("The place is free again."),
    "no-show": N_("Noted as no-show."),
    "undo-complete": N_("The completion is undone. Sessions and invoice are as before."),
    "undo-cancel": N_("The visit is back."),
    "move": N_("The visit is moved."),
}
DONE_FOR_ALL = {
    "arrive": N_("All are here."),
    "start": N_("All treatments have begun."),
    "complete": N_("All visits are completed."),
    "cancel": N_("All visits are cancelled."),
}
UNDO = {"complete": "undo-complete", "cancel": "undo-cancel", "no-show": "undo-cancel"}

errors.register_way_out("open_booking", "bookings.show", "booking_id")


@bp.get("/bookings/<int:booking_id>")
@roles(*EVERYONE)
def show(booking_id: int) -> ResponseReturnValue:
    """The visit; a therapist sees theirs. With ``starts_at`` the move to that time (``staff_id``) is filled in."""
    visit = require_visit(booking_id)
    wanted = MoveForm(formdata=request.args) if request.args.get("starts_at") else None
    return answer_visit(visit, move_form=wanted if "move" in visit.actions else None)


@bp.post("/bookings/<int:booking_id>/confirm")
@roles(*DESK)
def confirm(booking_id: int) -> ResponseReturnValue:
    """Make a tentative visit firm."""
    return _act(booking_id, "confirm", lambda: bookings.confirm(booking_id, actor=current_actor()))


@bp.post("/bookings/<int:booking_id>/arrive")
@roles(*DESK)
def arrive(booking_id: int) -> ResponseReturnValue:
    """Note that the customer is here; with ``together``, that all of the party are."""
    together = bool(request.form.get("together"))
    act = bookings.arrive_party if together else bookings.arrive
    return _act(booking_id, "arrive", lambda: act(booking_id, actor=current_actor()), together=together)


@bp.post("/bookings/<int:booking_id>/start")
@roles(*DESK)
def start(booking_id: int) -> ResponseReturnValue:
    """Begin the treatment; with ``together``, that of all of the party."""
    together = bool(request.form.get("together"))
    act = bookings.start_party if together else bookings.start
    return _act(booking_id, "start", lambda: act(booking_id, actor=current_actor()), together=together)


@bp.post("/bookings/<int:booking_id>/complete")
@roles(*DESK)
def complete(booking_id: int) -> ResponseReturnValue:
    """Complete: punch, recognise, invoice; with ``together``, all of the party, or none.

    Where a card can no longer pay, ``pay-<item_id>`` says how its service is settled, in the visit of ``version``, or
    in the visits of the party as they were ``seen``.
    """
    reason = _("To complete visit #%(id)s", id=booking_id)
    if request.form.get("together"):
        return _act(
            booking_id,
            "complete",
            lambda: bookings.complete_party(
                booking_id,
                settlements=posted_settlements(),
                versions=posted_versions(),
                reason=reason,
                actor=current_actor(),
            ),
            together=True,
        )
    return _act(
        booking_id,
        "complete",
        lambda: bookings.complete(
            booking_id,
            settlements=posted_settlements(),
            version=posted_version(),
            reason=reason,
            actor=current_actor(),
        ),
    )


@bp.post("/bookings/<int:booking_id>/no-show")
@roles(*DESK)
def no_show(booking_id: int) -> ResponseReturnValue:
    """Note that the customer did not come; ``waive`` with a ``waive_reason`` sets the branch's policy aside."""
    visit = require_visit(booking_id)
    form = NoShowForm()
    if not form.validate():
        return answer_visit(visit, 422, no_show_form=form)
    return _act(
        booking_id,
        "no-show",
        lambda: bookings.mark_no_show(booking_id, waive_reason=waived(form), actor=current_actor()),
        no_show_form=form,
    )


@bp.post("/bookings/<int:booking_id>/undo-complete")
@roles(*DESK)
def undo_complete(booking_id: int) -> ResponseReturnValue:
    """Take the completion back."""
    reason = request.form.get("reason", "")
    return _act(
        booking_id,
        "undo-complete",
        lambda: bookings.undo_complete(booking_id, actor=current_actor(), reason=reason),
    )


@bp.post("/bookings/<int:booking_id>/undo-cancel")
@roles(*DESK)
def undo_cancel(booking_id: int) -> ResponseReturnValue:
    """Bring a cancelled or missed visit back."""
    return _act(booking_id, "undo-cancel", lambda: bookings.undo_cancel(booking_id, actor=current_actor()))


@bp.post("/bookings/<int:booking_id>/cancel")
@roles(*DESK)
def cancel(booking_id: int) -> ResponseReturnValue:
    """Cancel, with a ``reason``; 422 at it when it is missing. ``waive`` and ``waive_reason`` as for a no-show.

    ``together`` cancels the visits of the others of the party too.
    """
    visit = require_visit(booking_id)
    form = CancelForm()
    if not form.validate():
        return answer_visit(visit, 422, cancel_form=form)
    reason = form.reason.data or ""
    act = bookings.cancel_party if form.together.data else bookings.cancel
    return _act(
        booking_id,
        "cancel",
        lambda: act(booking_id, reason=reason, waive_reason=waived(form), actor=current_actor()),
        cancel_form=form,
        together=form.together.data,
    )


@bp.post("/bookings/<int:booking_id>/release")
@roles(*DESK)
def release(booking_id: int) -> ResponseReturnValue:
    """Let go of a place that is held for somebody on the waitlist."""
    return _act(booking_id, "release", lambda: bookings.release_hold(booking_id, actor=current_actor()))


@bp.post("/bookings/<int:booking_id>/move")
@roles(*DESK)
def move(booking_id: int) -> ResponseReturnValue:
    """Move to ``starts_at``, ``staff_id``, ``resource_id`` (empty: as it is), unless changed since ``version``.

    ``item_id``: the service that therapist, room and ``minutes`` are for, in a visit of several. A visit of a party
    takes the others along to another time, unless ``only_this``; ``seen`` is what the screen showed of them.
    """
    visit = require_visit(booking_id)
    form = MoveForm()
    if not form.validate():
        return answer_visit(visit, 422, move_form=form)
    wanted: dict[str, Any] = {
        "starts_at": form.starts_at.data,
        **form.place,
        "override_hours": form.override_hours.data,
        "actor": current_actor(),
    }
    version, seen = form.version.data, dict(form.seen.data or {})
    if moves_all(visit, form):
        seen |= {booking_id: version} if version is not None else {}
        return _act(
            booking_id,
            "move",
            lambda: bookings.move_party(booking_id, versions=seen, **wanted),
            move_form=form,
            before=visit,
        )
    return _act(
        booking_id,
        "move",
        lambda: bookings.move(booking_id, version=version, **wanted),
        move_form=form,
        before=visit,
    )


def moves_all(visit: Visit, form: MoveForm) -> bool:
    """Whether the others of the party move along."""
    return visit.party_id is not None and not form.only_this.data


def waived(form: CancelForm | NoShowForm) -> str | None:
    """Why the branch's policy is waived, as services take it: None where it is not."""
    return (form.waive_reason.data or "") if form.waive.data else None


def require_visit(booking_id: int) -> Visit:
    """The visit, with the request about its branch from here on. NotFoundError, or NotAllowedError for a therapist."""
    user = signed_in()
    visit = get_booking(booking_id, branch_ids=[branch.id for branch in user.branches])
    if visit is None:
        raise NotFoundError("booking_unknown", N_("There is no such visit."))
    if user.role == "therapist" and not visit.is_treated_by(user.staff_id):
        raise NotAllowedError("not_yours", N_("This visit is another therapist's."))
    use_branch(visit.branch_id)
    return visit


def answer_visit(
    visit: Visit,
    status: int = 200,
    *,
    refusal: Refusal | None = None,
    move_form: MoveForm | None = None,
    cancel_form: CancelForm | None = None,
    no_show_form: NoShowForm | None = None,
    edit: ItemEdit | None = None,
    slots: list[Slot] | None = None,
) -> Response:
    """The visit's page, or its partial for the place where it stands; a refused form open, with its errors."""
    acts = signed_in().role in DESK
    gave_up = visit.status in ("cancelled", "no_show") or visit.shown_status == "hold_over"
    opened = "move" if move_form else "cancel" if cancel_form else "no-show" if no_show_form else ""
    is_manager = current_actor().is_manager
    if acts and visit.can_be_moved(by_manager=is_manager):
        move_form = _offer(move_form or _as_it_is(visit), visit)
    return render(
        "bookings/show.html",
        "bookings/_panel.html",
        status,
        title=visit.customer.full_name,
        visit=visit,
        acts=acts,
        is_manager=is_manager,
        refusal=refusal,
        opened=opened,
        move_form=move_form,
        moves_all=move_form is not None and moves_all(visit, move_form),
        cancel_form=cancel_form or CancelForm(formdata=None),
        no_show_form=no_show_form or NoShowForm(formdata=None),
        edit=edit,
        slots=slots or [],
        fits=who_fits(visit.branch_id, freed_by(visit)) if acts and gave_up else [],
        words_for=words_for,
        absences=list_absences(visit.id) if acts and visit.can_edit_items else (),
        affected_url=affected_url,
        panel=in_panel(),
        close_url=calendar_url(visit.visit_on),
        swap=swap,
        beside=beside,
    )


def _act(
    booking_id: int,
    action: str,
    work: Callable[[], int],
    *,
    move_form: MoveForm | None = None,
    cancel_form: CancelForm | None = None,
    no_show_form: NoShowForm | None = None,
    before: Visit | None = None,
    together: bool = False,
) -> ResponseReturnValue:
    try:
        run_once(f"booking_{action}", work)
    except NotFoundError:
        raise
    except DomainError as error:
        completes = action == "complete"
        return _refuse(booking_id, error, move_form, cancel_form, no_show_form, completes=completes, together=together)
    # The next page of a plain client reads the visit anew; only these words need something of it.
    told = ("arrive", "move", "cancel", "no-show")
    visit = require_visit(booking_id) if is_partial() or action in told else None
    if together:
        # Undone is each visit by itself: its panel offers it.
        toast(_(DONE_FOR_ALL[action]))
    else:
        _tell(booking_id, action, visit, before)
    if action == "complete":
        tell_sold(booking_id)
    if visit is None or not is_partial():
        return see_other(url_for("bookings.show", booking_id=booking_id))
    refresh("bookings-changed")
    return answer_visit(visit)


def _refuse(
    booking_id: int,
    error: DomainError,
    move_form: MoveForm | None,
    cancel_form: CancelForm | None,
    no_show_form: NoShowForm | None,
    *,
    completes: bool,
    together: bool,
) -> ResponseReturnValue:
    """The fresh truth, with what was refused and why; a form that the visit's state still allows stays as typed."""
    visit = require_visit(booking_id)
    refusal = explain(error, starts_at=move_form.starts_at.data if move_form else visit.starts_at)
    if completes:
        refusal = offer_settlements(refusal, visit, error, together=together)
    keeps = error.code not in ("changed_meanwhile", "wrong_status", "visit_over")
    move_form = move_form if keeps and "move" in visit.actions else None
    cancel_form = cancel_form if keeps and "cancel" in visit.actions else None
    no_show_form = no_show_form if keeps and "no-show" in visit.actions else None
    slots: list[Slot] = []
    form = move_form or cancel_form or no_show_form
    named = form._fields.get(error.field or "") if form else None
    if named is not None:
        named.errors = [*named.errors, refusal.message]
    if move_form and error.field not in ("item_id", "minutes"):
        slots = _slots(visit, move_form)
    if is_partial():
        refresh("bookings-changed")
    return answer_visit(
        visit,
        errors.status_of(error),
        refusal=refusal,
        move_form=move_form,
        cancel_form=cancel_form,
        no_show_form=no_show_form,
        slots=slots,
    )


def _tell(booking_id: int, action: str, visit: Visit | None, before: Visit | None) -> None:
    """Say what was done, with a button to undo it where that can be."""
    words = _(DONE[action], name=visit.customer.full_name) if visit and action == "arrive" else _(DONE[action])
    if visit and action in ("cancel", "no-show") and visit.invoice:
        words += " " + _("A fee of %(amount)s is charged.", amount=filters.money(visit.invoice.total_amount))
    if action == "move" and visit is not None and before is not None:
        tell_freed(visit.branch_id, freed_by(before))
    undo, fields = UNDO.get(action), {}
    if action == "move" and visit is not None and before is not None:
        for old, new in zip(before.items, visit.items, strict=True):
            if old.minutes != new.minutes:
                length = filters.minutes(new.minutes)
                words = _("%(service)s now takes %(length)s.", service=new.service_name, length=length)
        fields = way_back(before, visit) or {}
        undo = "move" if fields and visit.can_be_moved(by_manager=current_actor().is_manager) else None
    if undo is None:
        toast(words)
        return
    url = url_for(f"bookings.{undo.replace('-', '_')}", booking_id=booking_id)
    attrs = swap(url)
    toast(words, undo_url=url, undo_label=_("Undo"), undo_fields=fields, undo_attrs=attrs)


def _slots(visit: Visit, form: MoveForm) -> list[Slot]:
    """When the visit, or the whole party, could take place instead."""
    since = max(form.starts_at.data, clock.now())
    if visit.party_id is None:
        return bookings.find_moves(visit.id, since=since, limit=SLOTS, **form.place)
    only_this = not moves_all(visit, form)
    return bookings.find_party_slots(visit.id, since=since, limit=SLOTS, only_this=only_this, **form.place)


def _as_it_is(visit: Visit) -> MoveForm:
    form = MoveForm(formdata=None)
    form.starts_at.data = visit.starts_at
    form.staff_id.data = visit.items[0].staff_id
    form.version.data = visit.version
    return form


def _offer(form: MoveForm, visit: Visit) -> MoveForm:
    choices = get_choices(visit.branch_id)
    services = {item.service_id for item in visit.items}
    form.item_id.offer([(item.id, item.service_name) for item in visit.items], none=_("The whole visit"))
    form.staff_id.offer(
        [(one.id, one.full_name) for one in choices.staff if not services.isdisjoint(one.service_ids)],
        none=_("As it is"),
    )
    rooms = {one.id for service_id in services for one in choices.resources_for(service_id)}
    form.resource_id.offer(
        [(one.id, one.name) for one in choices.resources if one.id in rooms], none=_("As it is, if free")
    )
    # The version that the user has seen: after a refusal they see the fresh one.
    form.version.data, form.version.raw_data = visit.version, None
    form.seen.data = {mate.booking_id: mate.version for mate in visit.mates}
    return form
