"""/customers/duplicates: who may be one and the same, merging two customers, and parting them again."""

from flask import abort, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from spa_app.errors import ConflictError, InvalidError
from spa_app.queries import duplicates as queries
from spa_app.queries.duplicates import Side
from spa_app.services.customer_merging import mark_distinct, merge_customers, undo_merge
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.customers.forms import FACT_LABELS, REASONS, MergeForm
from spa_app.web.customers.routes import bp
from spa_app.web.htmx import redirect, render, toast
from spa_app.web.navigation import DESK, MANAGERS
from spa_app.web.security import current_actor, roles

MOST_PAGES = queries.MOST_PAIRS // queries.PER_PAGE


@bp.get("/duplicates")
@roles(*DESK)
def duplicates() -> ResponseReturnValue:
    """Likely pairs, the likeliest first."""
    page = request.args.get("page", "1")
    number = min(int(page), MOST_PAGES) if page.isascii() and page.isdigit() and int(page) else 1
    return render(
        "customers/duplicates.html",
        "customers/_duplicates.html",
        title=_("Possible duplicates"),
        found=queries.list_duplicates(number),
        number=number,
        reasons=REASONS,
    )


@bp.get("/<int:customer_id>/merge/<int:other_id>")
@roles(*DESK)
def compare(customer_id: int, other_id: int) -> ResponseReturnValue:
    """Both side by side, with a form that lets the second live on in the first."""
    mine, theirs = _sides(customer_id, other_id)
    for side in (mine, theirs):
        if side.merged_into_id is not None:
            return redirect(url_for("customers.show", customer_id=side.merged_into_id))
    form = MergeForm(formdata=None)
    form.suggest(mine, theirs)
    return _page(mine, theirs, form)


@bp.post("/<int:customer_id>/merge/<int:other_id>")
@roles(*MANAGERS)
def merge(customer_id: int, other_id: int) -> ResponseReturnValue:
    """Merge the second into the first; 422 at a choice, 409 where another desk was quicker."""
    mine, theirs = _sides(customer_id, other_id)
    form = MergeForm()
    if not form.validate():
        return _page(mine, theirs, form, 422)

    def work() -> int:
        return merge_customers(
            customer_id, other_id, choices=form.choices(), reason=form.reason.data or "", actor=current_actor()
        )

    try:
        merge_id = run_once("merge_customers", work)
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _page(mine, theirs, form, errors.status_of(error))
    toast(
        _("%(name)s was merged into %(survivor)s.", name=theirs.full_name, survivor=mine.full_name),
        undo_url=url_for("customers.undo", merge_id=merge_id),
        undo_label=_("Undo"),
        undo_attrs={"hx-post": url_for("customers.undo", merge_id=merge_id), "hx-target": "#main"},
    )
    return redirect(url_for("customers.show", customer_id=customer_id))


@bp.post("/merges/<int:merge_id>/undo")
@roles(*MANAGERS)
def undo(merge_id: int) -> ResponseReturnValue:
    """Part the two again, and say what stays because it has changed since."""
    stayed = 0

    def work() -> int:
        nonlocal stayed
        stayed = undo_merge(merge_id, actor=current_actor())[1]
        return merge_id

    run_once("undo_merge", work)
    merge_of = queries.get_merge(merge_id)
    if merge_of is None:
        abort(404)
    words = _("The two customers are apart again.")
    if stayed:
        words += " " + ngettext(
            "%(num)s thing has changed since and stays here.",
            "%(num)s things have changed since and stay here.",
            stayed,
        )
    toast(words)
    return redirect(url_for("customers.show", customer_id=merge_of))


@bp.post("/<int:customer_id>/distinct/<int:other_id>")
@roles(*DESK)
def distinct(customer_id: int, other_id: int) -> ResponseReturnValue:
    """Note that the two are not the same person: they are no longer listed as a pair."""
    run_once("mark_distinct", lambda: mark_distinct(customer_id, other_id, actor=current_actor()))
    toast(_("They stay two, and are no longer listed."))
    return redirect(url_for("customers.duplicates"))


def _sides(customer_id: int, other_id: int) -> tuple[Side, Side]:
    sides = queries.get_sides(customer_id, other_id)
    if sides is None:
        abort(404)
    return sides


def _page(mine: Side, theirs: Side, form: MergeForm, status: int = 200) -> ResponseReturnValue:
    return render(
        "customers/merge.html",
        "customers/_merge.html",
        status,
        title=_("Merge two customers"),
        mine=mine,
        theirs=theirs,
        form=form,
        labels=FACT_LABELS,
    )
