"""/invoices/<id>/transfer: the VietQR code to turn to the customer, and the picture of it."""

import io

import segno
from flask import Response, abort, make_response, render_template
from flask.typing import ResponseReturnValue

from spa_app.queries import billing as queries
from spa_app.queries.billing import InvoiceView
from spa_app.web.invoices.routes import bp, enter
from spa_app.web.invoices.transfer_code import Transfer, offered_transfer
from spa_app.web.navigation import DESK
from spa_app.web.security import roles


@bp.get("/invoices/<int:invoice_id>/transfer")
@roles(*DESK)
def transfer(invoice_id: int) -> ResponseReturnValue:
    """The code, large, with the sum and the account in words; 404 where nothing is to be paid by transfer."""
    invoice, offered = _offered(invoice_id)
    return make_response(render_template("invoices/transfer.html", invoice=invoice, transfer=offered))


@bp.get("/invoices/<int:invoice_id>/transfer.svg")
@roles(*DESK)
def transfer_svg(invoice_id: int) -> ResponseReturnValue:
    """The code as a picture, dark on white in both themes: phones read it so."""
    _, offered = _offered(invoice_id)
    drawn = io.BytesIO()
    segno.make(offered.code, error="m", micro=False).save(
        drawn, kind="svg", border=4, dark="#000", light="#fff", xmldecl=False, omitsize=True
    )
    return Response(drawn.getvalue(), mimetype="image/svg+xml")


def _offered(invoice_id: int) -> tuple[InvoiceView, Transfer]:
    enter(invoice_id)
    invoice = queries.get_invoice(invoice_id)
    offered = offered_transfer(invoice)
    if offered is None:
        abort(404)
    return invoice, offered
