"""The routes that every kind of resource has."""

from dataclasses import dataclass
from uuid import UUID

from flask import Blueprint, Response, url_for

from app.api.contract import Contract, Gives, promises
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
    shown,
)
from app.api.listing import page_answer, wanted_fields, wanted_slice
from app.api.schemas import (
    CourseDraft,
    CoursePatch,
    CourseView,
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
    """

    kind: Kind
    draft: type[Strict]
    replacement: type[Strict]
    patch: type[Strict]
    view: type[View]
    query: type[ListQuery] = ListQuery


SURFACES = (
    Surface(USERS, UserDraft, UserDraft, UserPatch, UserView),
    Surface(POSTS, PostDraft, PostReplacement, PostPatch, PostView, PostQuery),
    Surface(COURSES, CourseDraft, CourseDraft, CoursePatch, CourseView),
)


class Crud:
    """Create, read, replace, change, delete and list for one kind, under `/v1/<kind>s`."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._kind = surface.kind
        self._name = f"{surface.kind.name}s"

    def blueprint(self) -> Blueprint:
        """Return the routes."""
        routes = Blueprint(self._name, __name__, url_prefix=f"/v1/{self._name}")
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
        created = self._resources().create(draft.model_dump(), idempotency_claim(f"POST /v1/{self._name}"))
        record = created.record
        location = url_for(f"{self._name}.read", row_id=record["id"])
        headers = {"Location": location, "ETag": entity_tag(record["version"])}
        if created.replayed:
            headers["Idempotency-Replayed"] = "true"
        return answer(shown(record, self._kind.fields), status=201, headers=headers)

    def index(self) -> Response:
        """Return a page of the list."""
        query = read_query(self._surface.query)
        wanted = wanted_slice(self._kind, query)
        return page_answer(self._kind, query, wanted, self._resources().page(wanted))

    def read(self, row_id: UUID) -> Response:
        """Return one."""
        fields = wanted_fields(self._kind, read_query(ItemQuery).fields)
        record = self._resources().get(row_id)
        headers = {"ETag": entity_tag(record["version"])}
        if not_modified(record["version"]):
            return Response(status=304, headers=headers)
        return answer(shown(record, fields), headers=headers)

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
        record = self._resources().change(row_id, values, allowed_versions())
        return answer(shown(record, self._kind.fields), headers={"ETag": entity_tag(record["version"])})

    def _resources(self) -> Resources:
        return Resources(parts().database, parts().cache, self._kind, caller())


def _contracts(surface: Surface) -> dict[str, Contract]:
    """What each of the routes promises, by the name of its view."""
    name, view, token = surface.kind.name, surface.view, "X-Consistency-Token"
    fields = {"fields": surface.kind.fields}
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
            headers=("If-None-Match", token),
        ),
        "replace": Contract(changed, surface.replacement, headers=("If-Match",), refuses=(409,)),
        "change": Contract(changed, surface.patch, headers=("If-Match",), refuses=(409,)),
        "delete": Contract({204: Gives("Deleted.", headers=(token,))}, headers=("If-Match",), refuses=(409,)),
    }
