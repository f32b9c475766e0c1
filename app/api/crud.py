"""The routes that every kind of resource has."""

from dataclasses import dataclass
from uuid import UUID

from flask import Blueprint, Response, url_for

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
    ItemQuery,
    ListQuery,
    PostDraft,
    PostPatch,
    PostQuery,
    PostReplacement,
    UserDraft,
    UserPatch,
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
        patch: body of PATCH; defaults only mean "may be left out".
        query: query string of the list.
    """

    kind: Kind
    draft: type[Strict]
    replacement: type[Strict]
    patch: type[Strict]
    query: type[ListQuery] = ListQuery


SURFACES = (
    Surface(USERS, UserDraft, UserDraft, UserPatch),
    Surface(POSTS, PostDraft, PostReplacement, PostPatch, PostQuery),
    Surface(COURSES, CourseDraft, CourseDraft, CoursePatch),
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
        for rule, method, view in (
            ("", "POST", self.create),
            ("", "GET", self.index),
            (one, "GET", self.read),
            (one, "PUT", self.replace),
            (one, "PATCH", self.change),
            (one, "DELETE", self.delete),
        ):
            permission = f"{self._name}:{'read' if method == 'GET' else 'write'}"
            routes.add_url_rule(rule, view.__name__, needs(permission)(view), methods=[method])
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
