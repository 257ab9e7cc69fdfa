"""What the form of a bill is about: a sale, an unpaid bill that is changed, or a visit that is being completed."""

from dataclasses import dataclass, field, replace

from flask import url_for
from flask_babel import gettext as _

from spa_app.errors import N_, DomainError, NotFoundError
from spa_app.models.bill import Bill, Tip
from spa_app.queries.bill import Therapist, list_therapists, list_visit_therapists, list_wares, read_bill
from spa_app.queries.billing import InvoiceView
from spa_app.queries.bookings import Visit, VisitCustomer, get_booking, get_visit_customer
from spa_app.queries.customers import FoundCustomer
from spa_app.services import billing, bookings
from spa_app.services.billing import Composed, Line
from spa_app.web import errors
from spa_app.web.sales.forms import BillForm
from spa_app.web.security import current_actor, signed_in


@dataclass
class Draft:
    """A bill on the screen. ``bill`` is what it begins with; ``therapists`` are those of its visit."""

    branch_id: int
    title: str
    lead: str
    save: str  # what the button says that does it
    post_url: str
    redraw_url: str
    services: list[Line] = field(default_factory=list)
    therapists: list[Therapist] = field(default_factory=list)
    customer: VisitCustomer | None = None
    names_customer: bool = False  # whether the desk chooses who buys
    sells_plans: bool = True
    visit: Visit | None = None
    invoice_id: int | None = None
    bill: Bill = field(default_factory=Bill)
    found: list[FoundCustomer] | None = None  # None: not searched
    prefix: str = ""  # what stands before the names of the customer's fields
    form: BillForm = field(init=False)
    composed: Composed | None = None
    refusal: str = ""  # why it does not add up yet

    def begin(self) -> BillForm:
        """The form as it is opened."""
        form = BillForm(formdata=None)
        form.show(self.bill)
        form.lay_out(self.services, self.therapists, self.bill)
        if not form.lines and not self.services:
            form.lines.append_entry()
        return form

    def prepare(self, form: BillForm, *, shows_refusal: bool = False) -> "Draft":
        """Fill in what can be chosen, and work out what it comes to."""
        self.form = form
        form.branch_id.data = self.branch_id
        if self.visit:
            form.booking_id.data, form.version.data = self.visit.id, form.version.data or self.visit.version
        if self.names_customer:
            self.customer = get_visit_customer(form.customer_id.data) if form.customer_id.data else None
            form.customer_id.data = self.customer.id if self.customer else None
        wares = [one for one in list_wares(self.branch_id) if self.sells_plans or one.kind != "plan"]
        form.offer(wares, list_therapists(self.branch_id))
        self.work_out(form, shows_refusal=shows_refusal)
        return self

    def work_out(self, form: BillForm, *, shows_refusal: bool) -> None:
        """What it comes to; ``refusal`` says why it does not add up, or may not be granted by this user."""
        former = billing.list_lines(self.invoice_id) if self.invoice_id else ()
        try:
            self.composed = billing.compose(
                form.bill(),
                branch_id=self.branch_id,
                customer_id=self.customer.id if self.customer else 0,
                services=self.services,
                therapists=self.therapists,
                former=former,
            )
            billing.require_grantable(
                self.composed,
                branch_id=self.branch_id,
                actor=current_actor(),
                granted_amount=billing.granted_amount(former),
            )
        except DomainError as error:
            self.refusal = errors.translate(error) if shows_refusal else ""

    def name_of(self, item_id: int | None) -> Line | None:
        """The service that a row of the form is about."""
        return next((line for line in self.services if line.booking_item_id == item_id), None)

    def therapist(self, staff_id: int | None) -> str:
        """The name of one of the therapists."""
        return next((one.full_name for one in self.therapists if one.id == staff_id), "")


def draft_sale(branch_id: int, *, booking_id: int | None = None, staff_id: int | None = None) -> Draft:
    """A sale over the counter; of a completed visit that has no bill yet, what goes on one."""
    draft = Draft(
        branch_id=branch_id,
        title=_("New sale"),
        lead="",
        save=_("Issue the bill"),
        post_url=url_for("sales.create"),
        redraw_url=url_for("sales.redraw"),
        names_customer=True,
    )
    visit = _visit(booking_id) if booking_id else None
    if visit is not None:
        draft.customer, draft.names_customer = visit.customer, False
        if visit.status == "completed" and visit.invoice is None:
            draft.title = _("Tip or products of the visit")
            draft.visit, draft.sells_plans = visit, False
            draft.therapists = list_visit_therapists(visit.id)
        else:
            draft.names_customer = True
            staff_id = next((one.id for one in list_visit_therapists(visit.id)), staff_id)
    if staff_id and not draft.therapists:
        draft.bill = Bill(tip=Tip(staff_ids=(staff_id,)))
    return draft


def draft_change(invoice: InvoiceView) -> Draft:
    """An unpaid bill that is changed."""
    bill = read_bill(invoice.id)
    therapists = list_visit_therapists(invoice.booking_id)
    if therapists and bill.tip.staff_ids and bill.tip.staff_ids != tuple(one.id for one in therapists):
        # It is not that of all who worked in the visit, which is what the form takes it for unless told.
        bill = replace(bill, tip=Tip(split="typed", typed=dict.fromkeys(bill.tip.staff_ids, bill.tip.amount)))
    if bill.tip.typed:
        named = [one for one in list_therapists(invoice.branch.id) if one.id in bill.tip.typed]
        therapists += [one for one in named if one.id not in {known.id for known in therapists}]
    return Draft(
        branch_id=invoice.branch.id,
        title=_("Change bill %(number)s", number=invoice.number),
        lead=_("The bill becomes void, and a new one takes its place."),
        save=_("Issue the changed bill"),
        post_url=url_for("sales.change", invoice_id=invoice.id),
        redraw_url=url_for("sales.redraw_change", invoice_id=invoice.id),
        services=billing.service_lines(billing.list_lines(invoice.id)),
        therapists=therapists,
        customer=get_visit_customer(invoice.customer_id),
        sells_plans=invoice.booking_id is None,
        invoice_id=invoice.id,
        bill=bill,
    )


def draft_completion(booking_id: int) -> Draft:
    """A visit that is completed with more on its bill than its services."""
    visit = _visit(booking_id)
    return Draft(
        branch_id=visit.branch_id,
        title=_("Complete with discount, tip or products"),
        lead=_("What cards cover is punched; the rest goes on one bill."),
        save=_("Complete and issue the bill"),
        post_url=url_for("sales.complete", booking_id=booking_id),
        redraw_url=url_for("sales.redraw_completion", booking_id=booking_id),
        services=bookings.lines_to_pay(booking_id),
        therapists=list_visit_therapists(booking_id),
        customer=visit.customer,
        sells_plans=False,
        visit=visit,
    )


def _visit(booking_id: int) -> Visit:
    visit = get_booking(booking_id, branch_ids=[branch.id for branch in signed_in().branches])
    if visit is None:
        raise NotFoundError("booking_unknown", N_("There is no such visit."))
    return visit
