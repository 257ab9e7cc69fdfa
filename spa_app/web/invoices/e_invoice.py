"""Invoices as data for an e-invoice provider: one of them, or all of a period as JSON lines or in an archive."""

import json
import tempfile
import zipfile
from collections.abc import Iterable
from typing import IO, Any

from flask import Response, current_app, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app import clock
from spa_app.config import PROJECT_DIR
from spa_app.queries import e_invoices as queries
from spa_app.queries.e_invoices import Document
from spa_app.web.invoices.routes import bp, enter
from spa_app.web.navigation import DESK, MANAGERS
from spa_app.web.reports.export import IN_MEMORY, download
from spa_app.web.reports.frame import file_name, show
from spa_app.web.reports.ledger import month_form
from spa_app.web.reports.routes import bp as reports_bp
from spa_app.web.security import asked_branch, roles

SCHEMA = "schemas/e-invoice-1.json"
_KINDS = {"jsonl": "application/jsonl", "zip": "application/zip"}


@bp.get("/invoices/<int:invoice_id>/e-invoice.json")
@roles(*DESK)
def e_invoice(invoice_id: int) -> ResponseReturnValue:
    """The data of one invoice."""
    enter(invoice_id)
    return Response(
        _as_json(queries.get_e_invoice(invoice_id, currency=_currency()), indent=2), mimetype="application/json"
    )


@reports_bp.get("/e-invoices")
@roles(*MANAGERS)
def e_invoices() -> ResponseReturnValue:
    """What a branch issued in a period: as JSON lines, or a file for each invoice in an archive."""
    branch, form, title = asked_branch(), month_form(), _("E-invoice data")
    if not form.validate():
        return show("e_invoices", title, branch, form, status=422)
    between = (
        clock.day_bounds(form.first.data, branch.timezone)[0],
        clock.day_bounds(form.last.data, branch.timezone)[1],
    )
    kind = request.args.get("format", "")
    if kind in _KINDS:
        documents = queries.read_e_invoices(branch.id, between=between, currency=_currency())
        return _download(kind, file_name("e-invoices", branch, form), documents)
    return show(
        "e_invoices",
        title,
        branch,
        form,
        count=queries.count_invoices(branch.id, between=between),
        schema=SCHEMA,
    )


def _download(kind: str, name: str, documents: Iterable[Document]) -> Response:
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the response closes it
    try:
        _write_archive(file, documents) if kind == "zip" else _write_lines(file, documents)
    except BaseException:
        file.close()
        raise
    return download(file, f"{name}.{kind}", _KINDS[kind])


def _write_lines(file: IO[bytes], documents: Iterable[Document]) -> None:
    for document in documents:
        file.write(_as_json(document).encode() + b"\n")


def _write_archive(file: IO[bytes], documents: Iterable[Document]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("e-invoice-1.schema.json", (PROJECT_DIR / "static" / SCHEMA).read_text())
        for document in documents:
            archive.writestr(f"{document['number']}.json", _as_json(document, indent=2))


def _as_json(document: Document, **how: Any) -> str:
    """As text; what is a msgid, such as the name of a fee, is told in the reader's language."""
    for line in document["lines"]:
        line["description"] = _words(line["kind"], line["description"])
    return json.dumps(document, ensure_ascii=False, **how)


def _words(kind: str, description: str) -> str:
    match kind:
        case "fee" | "gift_card":
            return _(description)
        case "tip":
            return _("Tip for %(name)s", name=description)
        case "discount":
            return _("Discount: %(reason)s", reason=description)
    return description


def _currency() -> str:
    currency: str = current_app.config["SETTINGS"].currency
    return currency
