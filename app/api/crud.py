"""The routes that every kind of resource has."""

from dataclasses import dataclass
from uuid import UUID

from flask import Blueprint, Response, url_for

from app.api.contract import Contract, Gives, promises
from app.api.forms import COURSES_V2, Form, plain
from app.api.guard import needs
from app.api.http import (
    Strict,
    allowed_versions,
    answer,
    caller,
    entity_tag,
    idempotency_claim,
    not_modified,
    read_body,
    read_query,
)
from app.api.listing import page_answer, wanted_fields, wanted_slice
from app.api.schemas import (
    CourseDraft,
    CourseDraftV2,
    CoursePatch,
    CoursePatchV2,
    CourseView,
    CourseViewV2,
    ItemQuery,
    ListQuery,
    PostDraft,
    PostPatch,
    PostQuery,
    PostReplacement,
    PostView,
    UserDraft,
    UserPatch,
    UserView,
    View,
)
from app.core.parts import parts
from app.core.problems import invalid
from app.repositories.tables import Record
from app.services.kinds import COURSES, POSTS, USERS, Kind
from app.services.resources import Resources


@dataclass(frozen=True)
class Surface:
    """What clients may send about one kind.

    Attributes:
        kind: the resource.
        draft: body of POST.
        replacement: body of PUT.
        patch: body of PATCH.
        view: what clients get.
        query: query string of the list.
        version: of the API.
        form: what that version makes of the rows; the columns themselves if left out.
    """

    kind: Kind
    draft: type[Strict]
    replacement: type[Strict]
    patch: type[Strict]
    view: type[View]
    query: type[ListQuery] = ListQuery
    version: int = 1
    form: Form | None = None

    @property
    def path(self) -> str:
        """Where it is."""
        return f"/v{self.version}/{self.kind.name}s"


SURFACES = (
    Surface(USERS, UserDraft, UserDraft, UserPatch, UserView),
    Surface(POSTS, PostDraft, PostReplacement, PostPatch, PostView, PostQuery),
    Surface(COURSES, CourseDraft, CourseDraft, CoursePatch, CourseView),
    Surface(COURSES, CourseDraftV2, CourseDraftV2, CoursePatchV2, CourseViewV2, version=2, form=COURSES_V2),
)


def form_of(surface: Surface) -> Form:
    """Return what a surface makes of rows."""
    return surface.form or plain(surface.kind)


class Crud:
    """Create, read, replace, change, delete and list for one kind, under `/v<version>/<kind>s`."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._kind = surface.kind
        self._form = form_of(surface)
        self._name = f"{surface.kind.name}s"
        self._blueprint = self._name if surface.version == 1 else f"{self._name}_v{surface.version}"

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        routes = Blueprint(self._blueprint, __name__, url_prefix=self._surface.path)
        one = "/<uuid:row_id>"
        contracts = _contracts(self._surface)
        for rule, method, view in (
            ("", "POST", self.create),
            ("", "GET", self.index),
            (one, "GET", self.read),
            (one, "PUT", self.replace),
            (one, "PATCH", self.change),
            (one, "DELETE", self.delete),
        ):
            permission = f"{self._name}:{'read' if method == 'GET' else 'write'}"
            guarded = promises(contracts[view.__name__])(needs(permission)(view))
            routes.add_url_rule(rule, view.__name__, guarded, methods=[method])
        return routes

    def create(self) -> Response:
        """Create one; repeated with the same Idempotency-Key it answers as the first time."""
        draft = read_body(self._surface.draft)
        values = self._form.stored(draft.model_dump())
        created = self._resources().create(values, idempotency_claim(f"POST {self._surface.path}"))
        record = created.record
        location = url_for(f"{self._blueprint}.read", row_id=record["id"])
        headers = {"Location": location, "ETag": entity_tag(record["version"])}
        if created.replayed:
            headers["Idempotency-Replayed"] = "true"
        return answer(self._form.show(record, self._form.fields), status=201, headers=headers)

    def index(self) -> Response:
        """Return a page of the list."""
        query = read_query(self._surface.query)
        wanted = wanted_slice(self._kind, self._form, query)
        return page_answer(self._kind, self._form, query, wanted, self._resources().page(wanted))

    def read(self, row_id: UUID) -> Response:
        """Return one."""
        fields = wanted_fields(self._form, read_query(ItemQuery).fields)
        record = self._resources().get(row_id)
        headers = {"ETag": entity_tag(record["version"])}
        if not_modified(record["version"]):
            return Response(status=304, headers=headers)
        return answer(self._form.show(record, fields), headers=headers)

    def replace(self, row_id: UUID) -> Response:
        """Replace all fields of one."""
        return self._changed(row_id, read_body(self._surface.replacement).model_dump())

    def change(self, row_id: UUID) -> Response:
        """Change some fields of one."""
        values = read_body(self._surface.patch).model_dump(exclude_unset=True)
        if not values:
            allowed = ", ".join(self._surface.patch.model_fields)
            raise invalid("empty_patch", f"Give at least one field to change: {allowed}.")
        return self._changed(row_id, values)

    def delete(self, row_id: UUID) -> Response:
        """Delete one."""
        self._resources().delete(row_id, allowed_versions())
        return Response(status=204)

    def _changed(self, row_id: UUID, values: Record) -> Response:
        record = self._resources().change(row_id, self._form.stored(values), allowed_versions())
        return answer(self._form.show(record, self._form.fields), headers={"ETag": entity_tag(record["version"])})

    def _resources(self) -> Resources:
        return Resources(parts().database, parts().cache, self._kind, caller())


def _contracts(surface: Surface) -> dict[str, Contract]:
    """What each of the routes promises, by the name of its view."""
    name, view, token = surface.kind.name, surface.view, "X-Consistency-Token"
    fields = {"fields": tuple(form_of(surface).fields)}
    changed = {200: Gives(f"The changed {name}.", view, headers=("ETag", token))}
    return {
        "create": Contract(
            {201: Gives(f"The new {name}.", view, headers=("ETag", "Idempotency-Replayed", "Location", token))},
            surface.draft,
            headers=("Idempotency-Key",),
            refuses=(409,),
        ),
        "index": Contract(
            {200: Gives("A page.", view, many=True, partial=True, paged=True, headers=("Link",))},
            query=surface.query,
            choices=fields | {"sort": tuple(surface.kind.sorts)},
            headers=(token,),
        ),
        "read": Contract(
            {
                200: Gives(f"The {name}.", view, partial=True, headers=("ETag",)),
                304: Gives("Unchanged.", headers=("ETag",)),
            },
            query=ItemQuery,
            choices=fields,
            headers=(*(("Cache-Control",) if surface.kind.cached else ()), "If-None-Match", token),
        ),
        "replace": Contract(changed, surface.replacement, headers=("If-Match",), refuses=(409,)),
        "change": Contract(changed, surface.patch, headers=("If-Match",), refuses=(409,)),
        "delete": Contract({204: Gives("Deleted.", headers=(token,))}, headers=("If-Match",), refuses=(409,)),
    }
