"""What a refund of a card starts from."""

from sqlalchemy import func, or_, select

from spa_app.extensions import db
from spa_app.models import CustomerTreatment, Invoice, InvoiceLine, Service
from spa_app.models.refund import CardFacts


def get_refund_facts(card: CustomerTreatment) -> CardFacts:
    """The facts behind :func:`spa_app.models.refund.work_out`. Three statements.

    Who acts on them holds the card and its invoice locked. An imported card, which no line sold, has the VAT of its
    service.
    """
    row = db.session.execute(
        select(Service, InvoiceLine, Invoice)
        .select_from(CustomerTreatment)
        .outerjoin(Service, Service.id == CustomerTreatment.service_id)
        .outerjoin(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
        .outerjoin(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(CustomerTreatment.id == card.id)
    ).one()
    service, line, invoice = row
    rate = line.vat_rate_bp if line else service.vat_rate_bp if service else 0
    # The line as it was sold, its discounts in it; of what came back before, what came back of this line.
    net, vat = db.session.execute(
        select(func.sum(InvoiceLine.amount - InvoiceLine.vat_amount), func.sum(InvoiceLine.vat_amount)).where(
            or_(InvoiceLine.id == card.invoice_line_id, InvoiceLine.discounts_id == card.invoice_line_id)
        )
    ).one()
    lot = select(CustomerTreatment.id).where(CustomerTreatment.invoice_line_id == card.invoice_line_id)
    note = Invoice.treatment_id.in_(lot) if line else Invoice.treatment_id == card.id
    back = db.session.execute(
        select(
            func.coalesce(func.sum(InvoiceLine.vat_amount - InvoiceLine.amount), 0),
            func.coalesce(-func.sum(InvoiceLine.vat_amount), 0),
        )
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(note, Invoice.status != "void", InvoiceLine.kind == "plan")
    ).one()
    return CardFacts(
        free_sessions=card.free_sessions,
        used_sessions=card.used_sessions,
        owed_amount=card.owed_amount,
        used_amount=card.recognised_amount,
        line_net=int(net) if line else 10_000,
        line_vat=int(vat) if line else rate,
        vat_rate_bp=rate,
        back_net=int(back[0]),
        back_vat=int(back[1]),
        list_price=service.price_amount if service else None,
        due_amount=invoice.due_amount if invoice else 0,
    )
