"""/customers/<id>/files: photos and signed consent forms, never served as pages."""

from flask import Response, abort, current_app, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import ConflictError, InvalidError
from spa_app.queries import customer_records as queries
from spa_app.queries.customers import CustomerProfile
from spa_app.services import customer_files as services
from spa_app.services.customer_records import record_access
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.customers.forms import FILE_KINDS, DeleteFileForm, FileForm
from spa_app.web.customers.routes import bp, require_profile
from spa_app.web.htmx import redirect, render, toast
from spa_app.web.navigation import DESK, MANAGERS
from spa_app.web.security import current_actor, roles, uploads

# The file itself, and the form around it.
LARGEST_BODY = services.BIGGEST_FILE + 64 * 1024
SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "application/pdf": "pdf"}


@bp.get("/<int:customer_id>/files")
@roles(*DESK)
def files(customer_id: int) -> ResponseReturnValue:
    """The customer's photos and consent forms, and the form for one more. A look at them is logged."""
    return _page(require_profile(customer_id), FileForm(formdata=None))


@bp.post("/<int:customer_id>/files")
@roles(*DESK)
@uploads(LARGEST_BODY)
def add_file(customer_id: int) -> ResponseReturnValue:
    """Take a file in; 422 where it is no photo and no PDF, 413 where it is too large to be read at all."""
    profile = require_profile(customer_id)
    form = FileForm()
    if not form.validate():
        return _page(profile, form, 422)
    content = form.file.data.read(services.BIGGEST_FILE + 1)

    def work() -> int:
        return services.add_file(
            customer_id,
            kind=form.kind.data,
            content=content,
            caption=form.caption.data or "",
            data_dir=current_app.config["SETTINGS"].data_dir,
            actor=current_actor(),
        )

    try:
        run_once("add_file", work)
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _page(profile, form, errors.status_of(error))
    toast(_("The file is stored."))
    return redirect(url_for("customers.files", customer_id=customer_id))


@bp.get("/<int:customer_id>/files/<int:file_id>")
@roles(*DESK)
def file(customer_id: int, file_id: int) -> ResponseReturnValue:
    """The bytes of one file, as what they were found to be, in a sandbox; a look at it is logged."""
    require_profile(customer_id)
    found = queries.get_file(customer_id, file_id)
    if found is None:
        abort(404)
    content = services.read_file(current_app.config["SETTINGS"].data_dir, found.stored_as)
    record_access(customer_id, "file", file_id=file_id, actor=current_actor())
    shown = "inline" if found.is_image else "attachment"
    return Response(
        content,
        mimetype=found.media_type,
        headers={
            "Content-Disposition": f"{shown}; filename={found.kind}-{file_id}.{SUFFIXES[found.media_type]}",
            "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )


@bp.post("/<int:customer_id>/files/<int:file_id>/delete")
@roles(*MANAGERS)
def delete_file(customer_id: int, file_id: int) -> ResponseReturnValue:
    """Take a file away for good, with a ``reason``."""
    profile = require_profile(customer_id)
    form = DeleteFileForm()

    def work() -> int:
        data_dir = current_app.config["SETTINGS"].data_dir
        return services.delete_file(
            customer_id, file_id, reason=form.reason.data or "", data_dir=data_dir, actor=current_actor()
        )

    run_once("delete_file", work)
    toast(_("The file is deleted."))
    return redirect(url_for("customers.files", customer_id=profile.id))


def _page(profile: CustomerProfile, form: FileForm, status: int = 200) -> ResponseReturnValue:
    record_access(profile.id, "files", actor=current_actor())
    form.kind.data = form.kind.data or "photo"
    return render(
        "customers/files.html",
        "customers/_files.html",
        status,
        title=_("Files of %(name)s", name=profile.full_name),
        customer=profile,
        files=queries.list_files(profile.id),
        kinds=FILE_KINDS,
        form=form,
    )
