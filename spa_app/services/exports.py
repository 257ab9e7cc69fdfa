"""Taking everything along: a folder of files, or one file for a manager. Each leaves an audit row of who took what."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection

from spa_app import clock
from spa_app.errors import N_, InvalidError
from spa_app.icalendar import CalendarWriter
from spa_app.queries.exports import TABLES, Scope, Table, read_events, read_rows, snapshot
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.transaction import atomic
from spa_app.sheets import CsvWriter, Writer, XlsxWriter

WITH_CALENDAR = "bookings"  # the table that can be had as a calendar, too
PROGRESS_EVERY = 50_000  # rows
_READ_ME = "README.txt"

Progress = Callable[[str, int], None]


def export_everything(
    folder: Path, *, actor: Actor, currency: str, timezone: str, translate: Callable[[str], str], progress: Progress
) -> None:
    """Write every table as CSV and XLSX, the visits as a calendar too, and what each column is, into ``folder``.

    All of it shows one state of the database. The files are written beside and get their names at the end, readable by
    their owner only: a run that fails or is killed leaves no half file under a name. Those of an earlier run are
    replaced. ``translate`` says a msgid in the reader's language; ``progress`` is told (name, rows so far). Raises
    OSError where the folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _workshop(folder) as workshop:
        rows = {}
        made_at = clock.now()
        with snapshot() as connection:
            for table in TABLES.values():
                rows[table.name] = _write_table(workshop, connection, table, currency, timezone, progress)
            with _new_file(workshop / f"{WITH_CALENDAR}.ics") as file:
                _write_calendar(file, connection, Scope())
        with _new_file(workshop / _READ_ME) as file:
            file.write(_read_me(translate, currency, timezone, made_at.isoformat(timespec="seconds"), rows).encode())
        _record(Scope(), actor, what=list(rows), kinds=["csv", "xlsx", "ics"], rows=sum(rows.values()))
        for path in sorted(workshop.iterdir(), key=lambda path: path.name == _READ_ME):
            path.replace(folder / path.name)


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A folder in ``folder`` to work in, gone afterwards; what a killed run left there goes first.

    A run holds a lock on its own folder, which ends with its process: so one that still works is left alone.
    """
    with _locked(folder):
        for left in folder.glob("unfinished-*"):
            with suppress(OSError), _locked(left, wait=False):
                shutil.rmtree(left)
        workshop = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder))
        held = ExitStack()
        held.enter_context(_locked(workshop))
    with held:
        try:
            yield workshop
        finally:
            shutil.rmtree(workshop, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a folder. Raises BlockingIOError where another process has it and nobody shall ``wait``."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def export_one(
    file: IO[bytes], *, what: str, kind: str, scope: Scope, actor: Actor, currency: str, timezone: str
) -> None:
    """Write one table of the scope into ``file``, as ``kind``: csv, xlsx, or ics for the visits.

    Raises :class:`InvalidError` for what there is not, :class:`NotAllowedError` for anyone but managers,
    :class:`NotFoundError` for a branch that is not the actor's. Only an owner may take everything at once.
    """
    actor.require_manager()
    for branch_id in scope.branch_ids:
        actor.require_branch(branch_id)
    if not scope.branches and actor.role == "manager":
        raise InvalidError("branch_missing", N_("Please choose a branch."), field="branch")
    if what not in TABLES:
        raise InvalidError("export_unknown", N_("There is no such table."), field="what")
    if kind == "ics" and what != WITH_CALENDAR:
        raise InvalidError("no_calendar", N_("Only visits can be had as a calendar."), field="format")
    with snapshot() as connection:
        if kind == "ics":
            rows = _write_calendar(file, connection, scope)
        else:
            rows = _write_rows(
                [CsvWriter(file) if kind == "csv" else XlsxWriter(file, what)],
                TABLES[what],
                read_rows(connection, TABLES[what], scope, currency=currency, timezone=timezone),
            )
    _record(scope, actor, what=[what], kinds=[kind], rows=rows)


def _write_table(
    folder: Path, connection: Connection, table: Table, currency: str, timezone: str, progress: Progress
) -> int:
    with ExitStack() as stack:
        writers: list[Writer] = [
            CsvWriter(stack.enter_context(_new_file(folder / f"{table.name}.csv"))),
            XlsxWriter(stack.enter_context(_new_file(folder / f"{table.name}.xlsx")), table.name),
        ]
        rows = read_rows(connection, table, Scope(), currency=currency, timezone=timezone)
        count = _write_rows(writers, table, rows, progress)
    progress(table.name, count)
    return count


def _write_rows(
    writers: Sequence[Writer], table: Table, rows: Iterable[Sequence[Any]], progress: Progress | None = None
) -> int:
    count = 0
    with ExitStack() as closing:
        for writer in writers:
            closing.callback(writer.close)
            writer.write([column.name for column in table.columns])
        for row in rows:
            for writer in writers:
                writer.write(row)
            count += 1
            if progress and not count % PROGRESS_EVERY:
                progress(table.name, count)
    return count


def _write_calendar(file: IO[bytes], connection: Connection, scope: Scope) -> int:
    writer = CalendarWriter(file, clock.now())
    count = 0
    for event in read_events(connection, scope):
        writer.write(event)
        count += 1
    writer.close()
    return count


def _new_file(path: Path) -> IO[bytes]:
    """A new file that only its owner may read: these are people's names, phones and allergies."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b")


def _record(scope: Scope, actor: Actor, *, what: list[str], kinds: list[str], rows: int) -> None:
    after = {
        "what": what,
        "formats": kinds,
        "branches": scope.branch_ids or "all",
        "from": scope.first.isoformat() if scope.first else None,
        "to": scope.last.isoformat() if scope.last else None,
        "rows": rows,
    }
    with atomic():
        audit.record("data_exported", entity="export", entity_id=0, actor=actor, after=after)


def _read_me(translate: Callable[[str], str], currency: str, timezone: str, made_at: str, rows: dict[str, int]) -> str:
    """What is in the folder, and what each column of each file is."""
    lines = [
        translate(N_("Everything that spa_app has stored, as of %(instant)s")) % {"instant": made_at},
        "",
        translate(N_("Each table is there twice: as CSV (UTF-8, comma) and as an Excel workbook with the same rows.")),
        translate(N_("bookings.ics holds the visits for a calendar program.")),
        translate(
            N_("Amounts are whole numbers in the smallest unit of the currency (%(currency)s), as the column says.")
        )
        % {"currency": currency},
        translate(
            N_("Instants are ISO 8601 with the offset of the branch, or of %(timezone)s; dates are year-month-day.")
        )
        % {"timezone": timezone},
        translate(
            N_("An apostrophe stands before what a spreadsheet would take for a formula, such as a phone number.")
        ),
        translate(N_("import-customers reads customers.csv and then cards.csv again, apostrophes included.")),
    ]
    for table in TABLES.values():
        heading = f"{table.name} ({rows[table.name]}): {translate(table.title)}"
        lines += ["", heading, "=" * len(heading), translate(table.meaning), ""]
        width = max(len(column.name) for column in table.columns)
        lines += [f"  {column.name:{width}}  {translate(column.meaning)}" for column in table.columns]
    return "\n".join(lines) + "\n"
