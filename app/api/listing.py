"""The query string of a list: limit, cursor, sort, filters, fields. Only what a kind allows is allowed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, request

from app.api.forms import Form
from app.api.http import answer
from app.api.schemas import ListQuery
from app.core.cursors import CursorError
from app.core.parts import parts
from app.core.problems import FieldError, Problem, invalid
from app.repositories.tables import Slice
from app.services.kinds import Kind
from app.services.resources import Page


def wanted_slice(kind: Kind, form: Form, query: ListQuery) -> Slice:
    """Return the slice of a listing that a query asks for.

    Raises:
        Problem: 422, a sort or field is not allowed, or the cursor is not of this listing.
    """
    if query.sort not in kind.sorts:
        raise _refused("sort", f"Not an allowed order; allowed: {', '.join(kind.sorts)}")
    filters = {name: value for name in kind.filters if (value := getattr(query, name)) is not None}
    return Slice(
        columns=form.columns(wanted_fields(form, query.fields)),
        sort=kind.sorts[query.sort],
        limit=query.limit,
        after=None if query.cursor is None else _position(kind, query, filters),
        filters=filters,
    )


def wanted_fields(form: Form, fields: str | None) -> Sequence[str]:
    """Return the fields named in `fields=a,b`, in the order of the form; all of them for None.

    Raises:
        Problem: 422, a field does not exist.
    """
    if fields is None:
        return list(form.fields)
    names = set(fields.split(","))
    unknown = names - set(form.fields)
    if unknown:
        raise _refused("fields", f"Unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(form.fields)}")
    return [name for name in form.fields if name in names]


def page_answer(kind: Kind, form: Form, query: ListQuery, wanted: Slice, page: Page) -> Response:
    """Return a page, with the way to the next one in `meta.next_cursor` and in `Link`."""
    names = wanted_fields(form, query.fields)
    data = [form.show(record, names) for record in page.records]
    cursor = next_cursor(kind, query, wanted, page)
    if cursor is None:
        return answer(data, meta={"next_cursor": None})
    link = f"{request.path}?{urlencode({**request.args, 'cursor': cursor})}"
    return answer(data, headers={"Link": f'<{link}>; rel="next"'}, meta={"next_cursor": cursor})


def next_cursor(kind: Kind, query: ListQuery, wanted: Slice, page: Page) -> str | None:
    """Return where the page after this one begins; None if there is none."""
    if not page.more:
        return None
    last = page.records[-1]
    values = [_as_text(last[name]) for name in wanted.sort.keys]
    return parts().cursors.encode(_listing(kind, query, wanted.filters), values)


def _position(kind: Kind, query: ListQuery, filters: Mapping[str, object]) -> list[Any]:
    try:
        texts = parts().cursors.decode(_listing(kind, query, filters), query.cursor or "")
    except CursorError:
        raise _refused("cursor", "Not a cursor of this list, order and filter; start without one") from None
    keys = kind.sorts[query.sort].keys
    return [_from_text(kind, name, text) for name, text in zip(keys, texts, strict=True)]


def _listing(kind: Kind, query: ListQuery, filters: Mapping[str, object]) -> str:
    """The name of a listing in cursors: a cursor of another order or filter would end in the wrong place."""
    return f"{kind.name} {query.sort} {sorted((name, str(value)) for name, value in filters.items())}"


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _from_text(kind: Kind, name: str, text: str) -> object:
    python = kind.table.c[name].type.python_type
    if python is datetime:
        return datetime.fromisoformat(text)
    return UUID(text) if python is UUID else text


def _refused(field: str, message: str) -> Problem:
    error = FieldError(field=field, code=field, message=message)
    return invalid("validation", "The query breaks the rules listed in errors.", [error])
