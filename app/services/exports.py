"""Exports: ordered at once, written by a worker, fetched for an hour by whoever ordered them."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import Connection, Update, select, update

from app.core.database import Database, Source
from app.models import Export, table_of
from app.repositories import tables
from app.repositories.audit import was_done
from app.repositories.messages import announce, announcement
from app.repositories.tables import Record, Slice
from app.services.kinds import COURSES, NEWEST_FIRST, USERS, Kind
from app.services.resources import Caller, MissingError

#: The newest that many rows: a file of a few megabytes, written well within the time of one message.
MOST_ROWS = 10_000
TOPIC = "export.ordered"
FINISHED = "export.finished"
_LIVES = timedelta(hours=1)
_STEP = 500
_EXPORTS = table_of(Export)
_SHOWN = tuple(column.name for column in _EXPORTS.columns if column.name != "content")
# A spreadsheet runs a cell that begins so.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class FileForm(StrEnum):
    """What the file is."""

    NDJSON = "ndjson"
    CSV = "csv"


class Exported(StrEnum):
    """Which list."""

    USERS = "users"
    COURSES = "courses"


_KINDS: Mapping[str, Kind] = {Exported.USERS: USERS, Exported.COURSES: COURSES}


def order(database: Database, caller: Caller, kind: Exported, form: FileForm) -> Record:
    """Order an export: its row, the audit entry and the message for a worker are one statement."""
    act = caller.does("export.create", uuid4())
    record = {
        "id": UUID(act.subject),
        "owner": caller.actor,
        "kind": kind.value,
        "form": form.value,
        "rows": 0,
        "version": 1,
        "created_at": act.at,
        "expires_at": act.at + _LIVES,
        "done_at": None,
    }
    message = announcement(TOPIC, {"id": act.subject}, act.at, act.request_id)
    database.write(lambda connection: tables.add(connection, _EXPORTS, record, act, message), was_done=was_done(act))
    return record


def get(database: Database, owner: str, export_id: UUID) -> Record:
    """Return an export without its file.

    Raises:
        MissingError: there is none, it has expired, or it is somebody else's.
    """
    return _get(database, owner, export_id, _SHOWN)


def content(database: Database, owner: str, export_id: UUID) -> Record:
    """Return the form and the file of an export; the file is None until it is done.

    Raises:
        MissingError: as `get`.
    """
    return _get(database, owner, export_id, ("form", "content"))


def _get(database: Database, owner: str, export_id: UUID, columns: Sequence[str]) -> Record:
    query = select(*(_EXPORTS.c[name] for name in columns)).where(
        _EXPORTS.c.id == export_id, _EXPORTS.c.owner == owner, _EXPORTS.c.expires_at > datetime.now(UTC)
    )

    def work(connection: Connection) -> Record | None:
        row = connection.execute(query).mappings().one_or_none()
        return None if row is None else dict(row)

    found = database.read(work, prefer=Source.PRIMARY)  # a replica would tell an older step
    if found is None:
        raise MissingError("export")
    return found


def build(database: Database, export_id: UUID, request_id: str | None) -> None:
    """Write the file of an export, and announce it once. A worker may die at any point: done again it goes on.

    Args:
        database: where.
        export_id: which.
        request_id: of the request that ordered it.
    """
    wanted = database.read(
        lambda connection: tables.get(connection, _EXPORTS, export_id, ["kind", "form"]), prefer=Source.PRIMARY
    )
    if wanted is None:
        return  # it has expired, and nobody wants it any more
    kind = _KINDS[wanted["kind"]]
    rows: list[Record] = []
    after: Sequence[Any] | None = None
    while len(rows) < MOST_ROWS:
        step = Slice(kind.fields, NEWEST_FIRST, min(_STEP, MOST_ROWS - len(rows)), after)
        found = database.read(lambda connection, step=step: tables.page(connection, kind.table, step))
        rows.extend(found)
        if len(found) < step.limit:
            break
        after = [found[-1][name] for name in NEWEST_FIRST.keys]
        _note(database, export_id, rows=len(rows))
    file = written(FileForm(wanted["form"]), kind.fields, rows)
    now = datetime.now(UTC)
    done = _step(export_id, rows=len(rows), content=file, done_at=now).where(_EXPORTS.c.done_at.is_(None))
    finished = announcement(FINISHED, {"id": str(export_id), "rows": len(rows)}, now, request_id)

    def finish(connection: Connection) -> None:
        if connection.execute(done).rowcount == 1:
            announce(connection, finished)

    database.write(finish)


def _note(database: Database, export_id: UUID, **values: object) -> None:
    step = _step(export_id, **values)
    database.write(lambda connection: connection.execute(step))


def _step(export_id: UUID, **values: object) -> Update:
    return update(_EXPORTS).where(_EXPORTS.c.id == export_id).values(**values, version=_EXPORTS.c.version + 1)


def written(form: FileForm, fields: Sequence[str], rows: Sequence[Record]) -> bytes:
    """Return rows as a file: a JSON object a line, or CSV (RFC 4180) with a head, in which no cell is a formula."""
    if form is FileForm.NDJSON:
        return b"".join(
            orjson.dumps({name: row[name] for name in fields}, option=orjson.OPT_APPEND_NEWLINE) for row in rows
        )
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(fields)
    writer.writerows([_cell(row[name]) for name in fields] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
