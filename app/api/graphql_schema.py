"""The GraphQL schema of users, and how each of its fields is answered: by the services that REST calls, in batches."""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

from graphql import GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema, build_schema
from pydantic import Field

from app.api.crud import SURFACES, form_of
from app.api.http import Strict, caller, checked
from app.api.listing import next_cursor, wanted_slice
from app.api.schemas import ListQuery, UserDraft
from app.core.parts import parts
from app.repositories.idempotency import Claim
from app.repositories.tables import Record
from app.services.kinds import POSTS, USERS, Kind
from app.services.resources import MissingError, Resources

T = TypeVar("T")

SDL = '''
"""RFC 3339, with its offset."""
scalar DateTime

type Query {
  """One user; null if there is none."""
  user(id: ID!): User
  """A page of users; `cursor` is the `nextCursor` of the page before, and the same as in REST."""
  users(limit: Int! = 20, cursor: String, sort: UserSort! = NEWEST): UserPage!
}

"""One field of these in a request: it is done as a whole or not at all."""
type Mutation {
  """The header Idempotency-Key makes a repeated request the same request."""
  createUser(name: String!, email: String!): NewUser!
  """Their id. With `version`, only if the user still has it."""
  deleteUser(id: ID!, version: Int): ID!
}

enum UserSort { NEWEST NAME NAME_DESCENDING }

type UserPage {
  nodes: [User!]!
  """Null on the last page."""
  nextCursor: String
}

type User {
  id: ID!
  name: String!
  email: String!
  version: Int!
  createdAt: DateTime!
  updatedAt: DateTime!
  """The newest ones."""
  posts(limit: Int! = 10): [Post!]!
}

type Post {
  id: ID!
  title: String!
  body: String!
  version: Int!
  createdAt: DateTime!
  updatedAt: DateTime!
  """Null if the user was deleted a moment ago."""
  author: User
}

"""Without what would have to be read after the change: that could fail, and the change would stay."""
type NewUser {
  id: ID!
  name: String!
  email: String!
  version: Int!
  createdAt: DateTime!
  updatedAt: DateTime!
}
'''

#: `Type.field` -> permission that it needs, as the route of REST that answers the same.
NEEDS: Mapping[str, str] = {
    "Query.user": "users:read",
    "Query.users": "users:read",
    "User.posts": "posts:read",
    "Post.author": "users:read",
    "Mutation.createUser": "users:write",
    "Mutation.deleteUser": "users:write",
}

_SORTS = {"NEWEST": "-created_at", "NAME": "name", "NAME_DESCENDING": "-name"}
_FORM = form_of(next(surface for surface in SURFACES if surface.kind is USERS))
_CAPITAL = re.compile("[A-Z]")
CREATE = "POST /v1/graphql createUser"


class One(Strict):
    """Arguments that name a user."""

    id: UUID


class Deletion(One):
    """Arguments that name a user, and which version of them."""

    version: int | None = None


class Newest(Strict):
    """Arguments that say how many."""

    limit: int = Field(ge=1, le=100)


class Batch:
    """Rows that were read together. What is asked about one of them is read for all, in one statement."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._read: dict[Hashable, Any] = {}

    def nodes(self) -> "list[Node]":
        """Return its rows as parents of further fields."""
        return [Node(record, self) for record in self._records]

    def once(self, what: Hashable, read: Callable[[list[UUID]], T], name: str) -> T:
        """Return what `read` says of the values of a column, which is asked once for each `what`."""
        if what not in self._read:
            self._read[what] = read(list({UUID(str(record[name])): None for record in self._records}))
        return self._read[what]


@dataclass(frozen=True)
class Node:
    """One row, and those that were read with it."""

    record: Record
    batch: Batch


@dataclass(frozen=True)
class Reply:
    """What came with a request, and what a field has to say beside its value.

    Attributes:
        claim: that of the Idempotency-Key, None without one; only a creation looks at it.
        headers: of the answer.
    """

    claim: Claim | None
    headers: dict[str, str] = field(default_factory=dict[str, str])


def make_schema() -> GraphQLSchema:
    """Return the schema with what answers its fields."""
    schema = build_schema(SDL)
    for where, resolver in {
        "Query.user": _user,
        "Query.users": _users,
        "Mutation.createUser": _create_user,
        "Mutation.deleteUser": _delete_user,
        "User.posts": _posts,
        "Post.author": _author,
    }.items():
        name, _, one = where.partition(".")
        cast("GraphQLObjectType", schema.type_map[name]).fields[one].resolve = resolver
    return schema


def plain(source: Any, info: "GraphQLResolveInfo[Reply]") -> object:
    """Return a column of a row, or a field of a page: what answers where nothing else is said."""
    if isinstance(source, Node):
        value = source.record[_CAPITAL.sub(lambda found: f"_{found[0].lower()}", info.field_name)]
        return value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value
    return source[info.field_name]


def _of(kind: Kind) -> Resources:
    return Resources(parts().database, parts().cache, kind, caller())


def _user(_root: None, _info: "GraphQLResolveInfo[Reply]", **given: Any) -> Node | None:
    try:
        record = _of(USERS).get(checked(One, given).id)
    except MissingError:
        return None
    return Batch([record]).nodes()[0]


def _users(_root: None, _info: "GraphQLResolveInfo[Reply]", **given: Any) -> dict[str, object]:
    query = checked(ListQuery, {**given, "sort": _SORTS[given["sort"]]})
    wanted = wanted_slice(USERS, _FORM, query)
    wanted = replace(wanted, columns=[*wanted.columns, "version"])
    page = _of(USERS).page(wanted)
    return {"nodes": Batch(page.records).nodes(), "nextCursor": next_cursor(USERS, query, wanted, page)}


def _posts(parent: Node, _info: "GraphQLResolveInfo[Reply]", **given: Any) -> Sequence[Node]:
    limit = checked(Newest, given).limit

    def read(ids: list[UUID]) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in Batch(_of(POSTS).newest_of_each("author_id", ids, limit)).nodes():
            found.setdefault(str(node.record["author_id"]), []).append(node)
        return found

    return parent.batch.once(("posts", limit), read, "id").get(str(parent.record["id"]), [])


def _author(parent: Node, _info: "GraphQLResolveInfo[Reply]") -> Node | None:
    def read(ids: list[UUID]) -> dict[str, Node]:
        return {str(node.record["id"]): node for node in Batch(_of(USERS).many(ids)).nodes()}

    return parent.batch.once("author", read, "author_id").get(str(parent.record["author_id"]))


def _create_user(_root: None, info: "GraphQLResolveInfo[Reply]", **given: Any) -> Node:
    created = _of(USERS).create(checked(UserDraft, given).model_dump(), info.context.claim)
    if created.replayed:
        info.context.headers["Idempotency-Replayed"] = "true"
    return Batch([created.record]).nodes()[0]


def _delete_user(_root: None, _info: "GraphQLResolveInfo[Reply]", **given: Any) -> str:
    wanted = checked(Deletion, given)
    _of(USERS).delete(wanted.id, None if wanted.version is None else [wanted.version])
    return str(wanted.id)
