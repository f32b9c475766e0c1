"""What clients send and get, as models; OpenAPI is made from these."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from app.api.http import Strict
from app.core.principals import PERMISSIONS, Role
from app.services.exports import Exported, FileForm
from app.services.statistics import MOST_WANTED

# Postgres text cannot hold NUL, and no single line needs control characters.
Line = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[^\x00]*$")]
# Dialects of regular expressions do not agree on U+0085 and U+FEFF in \s; a client reads the pattern in another one.
_SPACE = r"\s\x00-\x1f\x7f-\x9f\ufeff"
Email = Annotated[
    str, StringConstraints(min_length=3, max_length=254, pattern=rf"^[^@{_SPACE}]+@[^@{_SPACE}]+\.[^@{_SPACE}]+$")
]
# A host as resolvers know it: no names in it that only look like one, no passwords, and every parser takes it.
Website = Annotated[
    str,
    StringConstraints(
        max_length=200, pattern=rf"^https?://[A-Za-z0-9][A-Za-z0-9.\-]*(:[0-9]{{1,5}})?([/?#][^{_SPACE}]*)?$"
    ),
]
Seats = Annotated[int, Field(ge=1, le=1000)]


def known_scope(scope: str) -> str:
    """Return a scope that exists.

    Raises:
        ValueError: it does not.
    """
    if scope not in PERMISSIONS:
        raise ValueError(f"Not a scope; allowed: {', '.join(sorted(PERMISSIONS))}")
    return scope


class View(BaseModel):
    """What clients get."""

    model_config = ConfigDict(frozen=True)


def _some_fields(schema: dict[str, Any]) -> None:
    """At least one field; the defaults are not for clients."""
    schema["minProperties"] = 1
    for field in schema["properties"].values():
        field.pop("default", None)


class Patch(Strict):
    """Fields to change; defaults only mean "may be left out"."""

    model_config = ConfigDict(json_schema_extra=_some_fields)


class UserDraft(Strict):
    """A user to create, or the whole of one to replace."""

    name: Line
    email: Email


class UserPatch(Patch):
    """The fields of a user to change; those not given stay."""

    name: Line = ""
    email: Email = ""


class UserView(View):
    """A user."""

    id: UUID
    name: str
    email: str
    created_at: datetime
    updated_at: datetime


class ProfileDraft(Strict):
    """What a user tells about themselves."""

    bio: Text
    website: Website | None = None


class ProfileView(View):
    """The profile of a user."""

    user_id: UUID
    bio: str
    website: str | None
    updated_at: datetime


class PostDraft(Strict):
    """A post to create."""

    author_id: UUID
    title: Line
    body: Text


class PostReplacement(Strict):
    """The whole of a post, except its author, who stays."""

    title: Line
    body: Text


class PostPatch(Patch):
    """The fields of a post to change; those not given stay."""

    title: Line = ""
    body: Text = ""


class PostView(View):
    """A post."""

    id: UUID
    author_id: UUID
    title: str
    body: str
    created_at: datetime
    updated_at: datetime


class CourseDraft(Strict):
    """A course to create, or the whole of one to replace."""

    title: Line
    seats: Seats


class CoursePatch(Patch):
    """The fields of a course to change; those not given stay."""

    title: Line = ""
    seats: Seats = 1


class CourseView(View):
    """A course."""

    id: UUID
    title: str
    seats: int
    seats_taken: int
    created_at: datetime
    updated_at: datetime


class SeatsDraft(Strict):
    """How many seats a course has."""

    total: Seats


class CourseDraftV2(Strict):
    """A course to create, or the whole of one to replace."""

    title: Line
    seats: SeatsDraft


class CoursePatchV2(Patch):
    """The fields of a course to change; those not given stay."""

    title: Line = ""
    seats: SeatsDraft = SeatsDraft(total=1)


class SeatsView(View):
    """How many seats a course has, and how many are taken."""

    total: int
    taken: int


class CourseViewV2(View):
    """A course."""

    id: UUID
    title: str
    seats: SeatsView
    created_at: datetime
    updated_at: datetime


class StudentView(View):
    """A student of a course."""

    id: UUID
    name: str
    enrolled_at: datetime


class EnrolmentView(View):
    """A course that a user takes."""

    id: UUID
    title: str
    enrolled_at: datetime


class WantedCourse(View):
    """A course that many take."""

    id: UUID
    title: str
    seats_taken: int


class StatisticsView(View):
    """Numbers about all courses."""

    courses: int
    seats: int
    seats_taken: int
    most_wanted: Annotated[list[WantedCourse], Field(max_length=MOST_WANTED)]


# Long enough to be worth guessing, short enough to hash.
Password = Annotated[str, StringConstraints(min_length=12, max_length=128)]
Scope = Annotated[
    str, AfterValidator(known_scope), WithJsonSchema({"type": "string", "enum": sorted(PERMISSIONS)}, mode="validation")
]


class LoginDraft(Strict):
    """Who wants to log in."""

    email: Annotated[str, StringConstraints(min_length=1, max_length=254, pattern=r"^[^\x00]+$")]
    password: Annotated[str, StringConstraints(min_length=1, max_length=128)]


class RefreshDraft(Strict):
    """A refresh token to exchange."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class PasswordDraft(Strict):
    """A new password, and for administrators a role."""

    password: Password
    role: Role | None = None


class KeyDraft(Strict):
    """An API key to make."""

    name: Line
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)]


class KeyView(View):
    """An API key, without its text."""

    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime


class KeyMadeView(KeyView):
    """A new API key. Its text is here and nowhere else."""

    key: str


class JwkView(View):
    """A public key (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class JwksView(View):
    """The public keys that tokens are signed with (RFC 7517)."""

    keys: list[JwkView]


class SessionView(View):
    """What a login gives."""

    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int


class ItemQuery(Strict):
    """Which part of one resource."""

    fields: str | None = None  # as long as the line of a request may be


class ListQuery(ItemQuery):
    """Which part of a list: `limit` rows after `cursor`, ordered by `sort`, with only `fields`."""

    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=500)
    sort: str = "-created_at"


class PostQuery(ListQuery):
    """As `ListQuery`, and only the posts of one author."""

    author_id: UUID | None = None


class ExportDraft(Strict):
    """What to export."""

    kind: Exported
    form: FileForm = FileForm.NDJSON


class ExportLinks(View):
    """Where the rest is; no content before it is done."""

    events: str
    content: str | None


class ExportView(View):
    """An export."""

    id: UUID
    kind: Exported
    form: FileForm
    state: Literal["waiting", "done"]
    rows: int
    created_at: datetime
    expires_at: datetime
    links: ExportLinks


class GraphqlDraft(Strict):
    """A GraphQL request; `extensions` are taken and not looked at."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    variables: dict[str, Any] | None = None
    operationName: Annotated[str, StringConstraints(max_length=100)] | None = None  # noqa: N815 - GraphQL's own name
    extensions: dict[str, Any] | None = None


class GraphqlView(View):
    """The answer to a GraphQL request, in the form that it asked for."""

    data: dict[str, Any]


class MetaView(View):
    """What is said about every answer."""

    request_id: str


class PageMetaView(MetaView):
    """What is said about a page: the cursor of the next one, null on the last."""

    next_cursor: str | None


class FieldErrorView(View):
    """One thing that is wrong with the request: where (a dotted path), a word for programs, a sentence for people."""

    field: str
    code: str
    message: str


class ProblemView(View):
    """An error, RFC 9457; `code` is a stable word for programs."""

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldErrorView] = []


class DocumentView(View):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    openapi: str


class Health(View):
    """What a probe is told."""

    status: str


class VersionView(View):
    """Which version answers."""

    version: str
    colour: str
    environment: str
