"""Half of the generated ids become ids of rows that exist: with random ones nothing behind a 404 would be reached.

Ids of rows that a call has made stay as they are: Schemathesis goes on with them, and looks whether they are there.
"""

import os
import re
import zlib
from http import HTTPStatus
from uuid import UUID, uuid4

import schemathesis

from app.seed import same_id

ROWS = {"user": 400, "post": 800, "course": 40}
# Of these alone enrolments are made and ended, so that some meet.
_FEW = {"user": 4, "course": 2}
_KINDS = {"user_id": "user", "author_id": "user", "course_id": "course"}
#: Those that the test has ordered; some are done.
_EXPORTS = os.environ["FUZZ_EXPORTS"].split()
_used: set[str] = set()
_made: set[str] = set()
#: A random text is hardly ever GraphQL; two of three become one of these.
_QUERIES = (
    "{ users { nodes { id name posts(limit: 3) { title author { email } } } nextCursor } }",
    "query ($limit: Int!, $cursor: String) { users(limit: $limit, cursor: $cursor, sort: NAME) { nodes { version } } }",
    "query ($id: ID!) { user(id: $id) { createdAt posts { body updatedAt } } }",
    "mutation ($name: String!, $email: String!) { createUser(name: $name, email: $email) { id createdAt } }",
    "mutation ($id: ID!) { deleteUser(id: $id) }",
    "{ __schema { types { name fields { name type { name } } } } }",
)


def asked(query, variables):
    """A query of the list, most times with variables that it can have."""
    number = zlib.crc32(f"{query} {variables}".encode("utf-8", "replace"))
    if number % 3 == 0:
        return {"query": query, "variables": variables}
    known = {
        "limit": number // 7 % 130,
        "id": str(same_id("user", number // 11 % 500)),
        "name": query[:120],
        "email": f"{number}@example.test",
    }
    return {"query": _QUERIES[number // 3 % len(_QUERIES)], "variables": known if number % 5 else variables}


def existing(kind, text, rows=ROWS):
    """An id of an existing row for every other id, the same one each time; anything else stays as it is."""
    try:
        number = 0 if text in _made else UUID(text).int
    except (ValueError, AttributeError, TypeError):
        return text
    return str(same_id(kind, number // 2 % rows[kind])) if number % 2 else text


@schemathesis.hook
def after_call(context, case, response):  # noqa: ARG001 - schemathesis names them
    if response.status_code == HTTPStatus.CREATED and response.headers.get("location"):
        _made.add(response.headers["location"][0].rpartition("/")[2])


@schemathesis.hook
def before_call(context, case, kwargs):  # noqa: ARG001 - schemathesis names them
    parameters = case.path_parameters
    if isinstance(parameters, dict):
        owner = re.match(r"/v[0-9]+/(user|post|course)s/", case.operation.path)
        for name, text in parameters.items():
            if name == "export_id" and isinstance(text, str) and zlib.crc32(text.encode()) % 2:
                parameters[name] = _EXPORTS[zlib.crc32(text.encode()) % len(_EXPORTS)]
            kind = _KINDS.get(name) or (owner and owner[1])
            if kind in ROWS:
                parameters[name] = existing(kind, text, _FEW if len(parameters) > 1 else ROWS)
    if isinstance(case.body, dict) and "author_id" in case.body:
        case.body["author_id"] = existing("user", case.body["author_id"])
    if case.operation.path == "/v1/graphql" and isinstance(case.body, dict) and isinstance(case.body.get("query"), str):
        case.body.update(asked(case.body["query"], case.body.get("variables")))
    # A random version is never the current one.
    version = (case.headers or {}).get("If-Match")
    if isinstance(version, str) and zlib.crc32(version.encode()) % 2:
        case.headers["If-Match"] = "*"
    # A key that comes twice with two bodies is rightly refused; here it would only hide what the body does.
    key = (case.headers or {}).get("Idempotency-Key")
    if key in _used:
        case.headers["Idempotency-Key"] = uuid4().hex
    elif key is not None:
        _used.add(key)
