"""One service of a visit at a time: add, change, cancel, pay otherwise. Each answers with the whole visit."""

from collections.abc import Callable

from flask import request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import N_, DomainError, NotFoundError
from spa_app.queries.bookings import Visit, VisitItem
from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.bookings import bp
from spa_app.web.bookings.forms import ItemEditForm, PaymentForm, VersionForm
from spa_app.web.bookings.item_edit import ItemEdit, edit_as_it_is, prepare_edit, settle_card
from spa_app.web.bookings.place import see_other, swap
from spa_app.web.bookings.refusals import explain
from spa_app.web.bookings.routes import answer_visit, require_visit
from spa_app.web.htmx import is_partial, refresh, toast
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, roles

DONE = {
    "add": N_("The service is added."),
    "change": N_("The service is changed."),
    "cancel": N_("The service is cancelled. The rest of the visit stands."),
    "payment": N_("It is now paid otherwise."),
}


@bp.get("/bookings/<int:booking_id>/items")
@roles(*DESK)
def new_item(booking_id: int) -> ResponseReturnValue:
    """The visit, with the form for one more service open, begun with the fields of :func:`add_item`."""
    visit = require_visit(booking_id)
    form = ItemEditForm(formdata=request.args or None)
    return answer_visit(visit, edit=prepare_edit(visit, form, redo=True) if visit.can_edit_items else None)


@bp.post("/bookings/<int:booking_id>/items")
@roles(*DESK)
def add_item(booking_id: int) -> ResponseReturnValue:
    """Add a service: ``service_id``, ``staff_id``, ``resource_id``, ``treatment_id``, ``minutes``, ``version``."""
    visit = require_visit(booking_id)
    form = ItemEditForm()
    settle_card(visit, form)
    return _act(
        visit,
        "add",
        lambda: bookings.add_item(
            booking_id,
            _request(form),
            version=form.version.data,
            minutes=form.minutes.data,
            override_hours=form.override_hours.data,
            actor=current_actor(),
        ),
        form=form,
    )


@bp.get("/bookings/<int:booking_id>/items/<int:item_id>")
@roles(*DESK)
def edit_item(booking_id: int, item_id: int) -> ResponseReturnValue:
    """The visit, with the form for one of its services open: all of it, or how it is paid once it has begun.

    With a ``service_id`` it is as typed so far: the fields of :func:`change_item`.
    """
    visit = require_visit(booking_id)
    item = _require_item(visit, item_id)
    if visit.can_edit_items and "service_id" in request.args:
        form = ItemEditForm(formdata=request.args)
        return answer_visit(visit, edit=prepare_edit(visit, form, item, redo=True))
    return answer_visit(visit, edit=edit_as_it_is(visit, item) if visit.can_change_payment else None)


@bp.post("/bookings/<int:booking_id>/items/<int:item_id>")
@roles(*DESK)
def change_item(booking_id: int, item_id: int) -> ResponseReturnValue:
    """Change a service to the same fields as :func:`add_item` has."""
    visit = require_visit(booking_id)
    item = _require_item(visit, item_id)
    form = ItemEditForm()
    settle_card(visit, form, item)
    return _act(
        visit,
        "change",
        lambda: bookings.change_item(
            booking_id,
            item_id,
            _request(form),
            version=form.version.data,
            minutes=form.minutes.data,
            override_hours=form.override_hours.data,
            actor=current_actor(),
        ),
        form=form,
        item=item,
    )


@bp.post("/bookings/<int:booking_id>/items/<int:item_id>/payment")
@roles(*DESK)
def change_payment(booking_id: int, item_id: int) -> ResponseReturnValue:
    """Have a service paid by the card ``treatment_id``, or (empty) by the customer; ``version``."""
    visit = require_visit(booking_id)
    form = PaymentForm()
    return _act(
        visit,
        "payment",
        lambda: bookings.change_payment(
            booking_id,
            item_id,
            treatment_id=form.treatment_id.data,
            version=form.version.data,
            actor=current_actor(),
        ),
        form=form,
        item=_require_item(visit, item_id),
    )


@bp.post("/bookings/<int:booking_id>/items/<int:item_id>/cancel")
@roles(*DESK)
def cancel_item(booking_id: int, item_id: int) -> ResponseReturnValue:
    """Take a service out of the visit, unless changed since ``version``."""
    visit = require_visit(booking_id)
    _require_item(visit, item_id)
    form = VersionForm()
    return _act(
        visit,
        "cancel",
        lambda: bookings.cancel_item(booking_id, item_id, version=form.version.data, actor=current_actor()),
        form=form,
    )


def _act(
    visit: Visit, action: str, work: Callable[[], int], *, form: VersionForm, item: VisitItem | None = None
) -> ResponseReturnValue:
    if not form.validate():
        return answer_visit(visit, 422, edit=_edit(visit, form, item))
    try:
        run_once(f"booking_item_{action}", work)
    except NotFoundError:
        raise
    except DomainError as error:
        return _refuse(visit.id, error, form, item)
    after = require_visit(visit.id)
    _tell(action, after, item)
    if not is_partial():
        return see_other(url_for("bookings.show", booking_id=visit.id))
    refresh("bookings-changed")
    return answer_visit(after)


def _tell(action: str, visit: Visit, before: VisitItem | None) -> None:
    """Say what was done, with a button to undo it where that can be; ``before`` is the service as it was."""
    fields = {"version": str(visit.version)}
    if action == "add":
        undo = url_for("bookings.cancel_item", booking_id=visit.id, item_id=visit.items[-1].id)
    elif before is None:
        toast(_(DONE[action]))  # a service that was cancelled does not come back
        return
    else:
        fields["treatment_id"] = str(before.card.id) if before.card else ""
        if action == "payment":
            undo = url_for("bookings.change_payment", booking_id=visit.id, item_id=before.id)
        else:
            undo = url_for("bookings.change_item", booking_id=visit.id, item_id=before.id)
            fields |= {
                "service_id": str(before.service_id),
                "staff_id": str(before.staff_id),
                "minutes": str(before.minutes),
            }
            if len(before.resources) == 1:
                fields["resource_id"] = str(before.resources[0][0])
    toast(_(DONE[action]), undo_url=undo, undo_label=_("Undo"), undo_fields=fields, undo_attrs=swap(undo))


def _refuse(booking_id: int, error: DomainError, form: VersionForm, item: VisitItem | None) -> ResponseReturnValue:
    """The fresh truth, and why; the form stays as typed unless the visit is no longer what it was made for."""
    visit = require_visit(booking_id)
    refusal = explain(error, starts_at=visit.starts_at)
    edit = None
    if error.code not in ("changed_meanwhile", "wrong_status"):
        edit = _edit(visit, form, item)
        named = form._fields.get(error.field or "")
        if named is not None:
            named.errors = [*named.errors, refusal.message]
    if is_partial():
        refresh("bookings-changed")
    return answer_visit(visit, errors.status_of(error), refusal=refusal, edit=edit)


def _edit(visit: Visit, form: VersionForm, item: VisitItem | None) -> ItemEdit | None:
    can = visit.can_edit_items if isinstance(form, ItemEditForm) else visit.can_change_payment
    return prepare_edit(visit, form, item) if can and isinstance(form, PaymentForm) else None


def _request(form: ItemEditForm) -> ItemRequest:
    return ItemRequest(form.service_id.data, form.staff_id.data, form.resource_id.data, form.treatment_id.data)


def _require_item(visit: Visit, item_id: int) -> VisitItem:
    for item in (*visit.items, *visit.cancelled_items):
        if item.id == item_id:
            return item
    raise NotFoundError("item_unknown", N_("This service is no longer part of the visit."))
