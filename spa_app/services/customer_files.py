"""Photos and signed consent forms: taken in by what they are, kept out of reach of any web server."""

import os
import uuid
from functools import partial
from pathlib import Path

from sqlalchemy import insert, select

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import FILE_KINDS, CustomerFile
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.customer_records import lock_live_customer
from spa_app.services.pictures import MOST_PIXELS, strip_picture
from spa_app.services.texts import clean_text, required_reason
from spa_app.services.transaction import atomic, on_commit

BIGGEST_FILE = 8 * 1024 * 1024  # bytes: a photo of a good telephone, a form scanned at 300 dpi
CAPTION_LENGTH = 200


def sniff(content: bytes) -> str | None:
    """The media type that the first bytes prove, or ``None`` for anything but JPEG, PNG, WebP and PDF."""
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR":
        return "image/png"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    return "application/pdf" if content.startswith((b"%PDF-1.", b"%PDF-2.")) else None


def path_of(data_dir: Path, stored_as: uuid.UUID) -> Path:
    """Where the bytes of a file lie."""
    return data_dir / "customer-files" / stored_as.hex[:2] / stored_as.hex


def read_file(data_dir: Path, stored_as: uuid.UUID) -> bytes:
    """The bytes of a file. Raises :class:`NotFoundError` where they are gone, as after a restored backup."""
    try:
        return path_of(data_dir, stored_as).read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError("not_found", N_("There is no such file.")) from error


def add_file(customer_id: int, *, kind: str, content: bytes, data_dir: Path, actor: Actor, caption: str = "") -> int:
    """Keep a file under a random name and return its id. Locks the customer.

    Neither its name nor what the browser calls it is believed or kept. Raises :class:`InvalidError` at ``file`` for
    another type, nothing, more than :data:`BIGGEST_FILE`, and what :func:`strip_picture` refuses: of a photo only the
    picture is kept, not where it was taken. The bytes are gone again where the row is not stored.
    """
    caption = clean_text(caption, field="caption", limit=CAPTION_LENGTH, lines=False)
    if kind not in FILE_KINDS:
        raise InvalidError("kind_unknown", N_("Choose what it is."), field="kind")
    if len(content) > BIGGEST_FILE:
        raise InvalidError(
            "file_too_large", N_("At most %(limit)d MB are possible."), field="file", limit=BIGGEST_FILE >> 20
        )
    media_type = sniff(content)
    if media_type is None:
        raise InvalidError("file_type", N_("Only photos (JPEG, PNG, WebP) and PDF are kept."), field="file")
    if media_type in MOST_PIXELS:
        content = strip_picture(content, media_type)
    stored_as = uuid.uuid4()
    path = path_of(data_dir, stored_as)
    try:
        with atomic() as session:
            lock_live_customer(customer_id)
            file_id: int = session.execute(
                insert(CustomerFile).returning(CustomerFile.id),
                {
                    "customer_id": customer_id,
                    "kind": kind,
                    "media_type": media_type,
                    "size_bytes": len(content),
                    "stored_as": stored_as,
                    "caption": caption,
                    "uploaded_by_id": actor.user_id,
                },
            ).scalar_one()
            audit.record(
                "file_added",
                entity="customer",
                entity_id=customer_id,
                actor=actor,
                after={"file_id": file_id, "kind": kind, "media_type": media_type, "size_bytes": len(content)},
            )
            _write(path, content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return file_id


def delete_file(customer_id: int, file_id: int, *, reason: str, data_dir: Path, actor: Actor) -> int:
    """Take a file away for good, with a reason; its row stays. The customer's id. A manager's act."""
    actor.require_manager()
    reason = required_reason(reason)
    with atomic() as session:
        file = session.get(CustomerFile, file_id, with_for_update=True, populate_existing=True)
        if file is None or file.customer_id != customer_id or file.deleted_at is not None:
            raise NotFoundError("not_found", N_("There is no such file."))
        file.deleted_at = clock.now()
        file.caption = ""
        session.flush()
        audit.record(
            "file_deleted",
            entity="customer",
            entity_id=customer_id,
            actor=actor,
            before={"file_id": file_id, "kind": file.kind},
            reason=reason,
        )
        on_commit(partial(path_of(data_dir, file.stored_as).unlink, missing_ok=True))
        return customer_id


def forget_files(customer_ids: list[int], *, data_dir: Path) -> None:
    """Take away all files of these customers, in the caller's transaction; the bytes go when it commits."""
    for file in db.session.scalars(
        select(CustomerFile)
        .where(CustomerFile.customer_id.in_(customer_ids))
        .order_by(CustomerFile.id)
        .with_for_update()
    ):
        file.deleted_at = file.deleted_at or clock.now()
        file.caption = ""
        on_commit(partial(path_of(data_dir, file.stored_as).unlink, missing_ok=True))
    db.session.flush()


def _write(path: Path, content: bytes) -> None:
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    # The name must outlive a power cut as well as the bytes.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
