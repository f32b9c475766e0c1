"""Exports: 202 and a place to ask, a stream of progress (server-sent events), and the file."""

import logging
import time
from collections.abc import Iterator
from uuid import UUID

import orjson
from flask import Blueprint, Response, request, url_for

from app.api.contract import Contract, Gives, promises
from app.api.guard import forbidden, needs, principal
from app.api.http import answer, caller, read_body
from app.api.schemas import ExportDraft, ExportView
from app.core.database import TROUBLE
from app.core.flags import Flag
from app.core.parts import Parts, parts
from app.core.problems import conflict, unavailable
from app.repositories.tables import Record
from app.services import exports
from app.services.exports import FileForm
from app.services.resources import MissingError

export_routes = Blueprint("exports", __name__, url_prefix="/v1/exports")

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2
_ASK_AGAIN = {"Retry-After": "1"}  # seconds; most are done by then, and nobody should ask in a loop
_TYPES = {FileForm.NDJSON: "application/x-ndjson", FileForm.CSV: "text/csv"}
_EVENTS = "text/event-stream"
_NO_STORE = {"Cache-Control": "no-store"}


@export_routes.post("")
@needs("exports:write")
@promises(
    Contract(
        {202: Gives("Ordered.", ExportView, headers=("Location", "Retry-After", "X-Consistency-Token"))}, ExportDraft
    )
)
def order() -> Response:
    """Order an export of the newest 10,000 users or courses; a worker writes it, and it is kept for an hour."""
    draft = read_body(ExportDraft)
    if not principal().may(f"{draft.kind}:read"):
        raise forbidden()
    record = exports.order(parts().database, caller(), draft.kind, draft.form)
    headers = {"Location": url_for("exports.read", export_id=record["id"]), **_ASK_AGAIN}
    return answer(_shown(record), status=202, headers=headers)


@export_routes.get("/<uuid:export_id>")
@needs("exports:read")
@promises(
    Contract({200: Gives("How far it is; Retry-After until it is done.", ExportView, sometimes=("Retry-After",))})
)
def read(export_id: UUID) -> Response:
    """Return how far one's own export is, and where its file is once it is done."""
    record = exports.get(parts().database, principal().name, export_id)
    again = _ASK_AGAIN if record["done_at"] is None else {}
    return answer(_shown(record), headers={**_NO_STORE, **again})


@export_routes.get("/<uuid:export_id>/content")
@needs("exports:read")
@promises(Contract({200: Gives("The file.", forms=tuple(_TYPES.values()))}, refuses=(409,)))
def content(export_id: UUID) -> Response:
    """Return the file of one's own export."""
    found = exports.content(parts().database, principal().name, export_id)
    if found["content"] is None:
        raise conflict("export_not_done", "The export is being written; ask again, or follow its events.")
    name = f"export-{export_id}.{found['form']}"
    headers = {**_NO_STORE, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(found["content"], headers=headers, content_type=_TYPES[FileForm(found["form"])])


@export_routes.get("/<uuid:export_id>/events")
@needs("exports:read")
@promises(
    Contract(
        {
            200: Gives("Events `progress`, the last one with `done`.", forms=(_EVENTS,)),
            204: Gives("Streams are switched off: ask how far it is."),
        },
        headers=("Last-Event-ID",),
    )
)
def events(export_id: UUID) -> Response:
    """Follow one's own export; the stream ends after a while, and goes on where it was by Last-Event-ID."""
    made, owner = parts(), principal().name
    first = exports.get(made.database, owner, export_id)
    given = request.headers.get("Last-Event-ID", "")
    told = int(given) if given.isdecimal() and given.isascii() and len(given) < 10 else 0  # noqa: PLR2004 - an integer
    if not made.flags.on(Flag.EXPORT_STREAMS, owner, default=True):
        return Response(status=204, headers=_NO_STORE)  # tells an EventSource not to come again
    if request.method == "HEAD":
        return Response(headers=_NO_STORE, mimetype=_EVENTS)  # an answer without a body is never closed
    if not made.streams.take():
        raise unavailable("too_many_streams", "As many streams are open as this process has threads for; ask again.")
    response = Response(_told(made, owner, first, told), headers=_NO_STORE, mimetype=_EVENTS)
    response.call_on_close(made.streams.give_back)  # also if the client goes away
    return response


def _told(made: Parts, owner: str, record: Record, told: int) -> Iterator[str]:
    until = time.monotonic() + made.settings.stream_seconds
    yield "retry: 1000\n\n"
    while True:
        if record["version"] > told:
            told = record["version"]
            progress = {"rows": record["rows"], "done": record["done_at"] is not None}
            yield f"id: {told}\nevent: progress\ndata: {orjson.dumps(progress).decode()}\n\n"
        if record["done_at"] is not None or made.drain.begun or time.monotonic() > until:
            return
        time.sleep(_LOOK_SECONDS)
        try:
            record = exports.get(made.database, owner, record["id"])
        except (MissingError, *TROUBLE) as error:  # the head is sent: the client comes again, and is told then
            _LOG.warning("stream ended", extra={"error.message": str(error)})
            return


def _shown(record: Record) -> dict[str, object]:
    """The row as clients see it, with the ways to the rest."""
    names = ("id", "kind", "form", "rows", "created_at", "expires_at")
    done = record["done_at"] is not None
    here = {"export_id": record["id"]}
    return {
        **{name: record[name] for name in names},
        "state": "done" if done else "waiting",
        "links": {
            "events": url_for("exports.events", **here),
            "content": url_for("exports.content", **here) if done else None,
        },
    }
