"""GraphQL for users: off unless a flag says so, in few statements, within limits, and with the rules of REST."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from app_statements import counted
from flask.testing import FlaskClient
from graphql import get_introspection_query, get_named_type, is_object_type, parse
from graphql.execution.values import get_variable_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from app.api.graphql_limits import MOST_DEPTH, MOST_FIELDS, MOST_READS, Demand, Measure
from app.api.graphql_schema import NEEDS, make_schema
from app.core.parts import parts_of
from app.core.principals import PERMISSIONS
from app.factory import create_app

ROOT = Path(__file__).parents[2]
NOBODY = UUID(int=0)  # the same in every process: the names of tests are made of it
SCHEMA = make_schema()
ALL_ON = {"graphql": {"on": True}, "graphql-introspection": {"on": True}}


@pytest.fixture
def app_with(settings, tmp_path):
    """Makes an application with these flags."""
    made = []

    def make(**flags):
        path = tmp_path / "flags.json"
        path.write_text(json.dumps({"version": "1", "flags": flags}))
        made.append(create_app(settings.model_copy(update={"flags_file": path}), CollectorRegistry()))
        return made[-1]

    yield make
    for app in made:
        parts_of(app).database.close()


@pytest.fixture
def api(app_with) -> FlaskClient:
    client = app_with(graphql={"on": True}).test_client()
    client.get("/v1/users")  # its connections
    client.delete(f"/v1/users/{uuid4()}")
    return client


def ask(client, query, headers=None, **variables):
    return client.post("/v1/graphql", json={"query": query, "variables": variables}, headers=headers)


def data(client, query, **variables):
    answer = ask(client, query, **variables)
    assert answer.status_code == 200, answer.json
    return answer.json["data"]


def person(client, number=0, posts=0):
    body = {"name": f"P{number}", "email": f"p{number}@example.test"}
    user = client.post("/v1/users", json=body).json["data"]["id"]
    for which in range(posts):
        post = {"author_id": user, "title": f"T{number}.{which}", "body": ""}
        assert client.post("/v1/posts", json=post).status_code == 201
    return user


def scoped(client, *scopes):
    made = client.post("/v1/keys", json={"name": "k", "scopes": list(scopes)})
    return {"X-API-Key": made.json["data"]["key"]}


def test_it_is_off_unless_the_flag_is_on(client, app_with):
    for off in (client, app_with(graphql={"on": False}).test_client()):
        answer = ask(off, "{ users { nodes { id } } }")
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert ask(app_with(graphql={"on": True}).test_client(), "{ users { nodes { id } } }").status_code == 200


def test_its_library_is_not_loaded_where_nobody_asks():
    code = "import sys, app.serve, app.factory; sys.exit('graphql' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_it_shows_what_rest_shows(api):
    user = person(api)
    rest = api.get(f"/v1/users/{user}")
    found = data(api, "query ($id: ID!) { user(id: $id) { id name email createdAt updatedAt version } }", id=user)
    shown = rest.json["data"]
    assert found["user"] == {
        "id": user,
        "name": "P0",
        "email": "p0@example.test",
        "createdAt": shown["created_at"],
        "updatedAt": shown["updated_at"],
        "version": 1,
    }
    assert rest.headers["ETag"] == '"v1"'
    assert data(api, "query ($id: ID!) { user(id: $id) { id } }", id=str(uuid4())) == {"user": None}
    again = data(
        api, "query ($id: ID!) { user(id: $id) { createdAt } }", id=user
    )  # from where it was kept, if anywhere
    assert again["user"]["createdAt"] == shown["created_at"]


def test_posts_of_many_users_and_their_authors_are_one_statement_each(api):
    for number in range(5):
        person(api, number, posts=3)
    with counted() as statements:
        found = data(api, "{ users { nodes { name posts(limit: 2) { title author { name posts { id } } } } } }")
    assert len(statements) == 4  # users, posts, authors, their posts
    assert [(user["name"], [post["title"] for post in user["posts"]]) for user in found["users"]["nodes"]] == [
        (f"P{number}", [f"T{number}.2", f"T{number}.1"]) for number in reversed(range(5))
    ]
    for user in found["users"]["nodes"]:
        assert all(post["author"]["name"] == user["name"] for post in user["posts"])
        assert all(len(post["author"]["posts"]) == 3 for post in user["posts"])


def test_the_same_question_twice_is_one_statement_and_another_limit_another(api):
    person(api, posts=3)
    with counted() as statements:
        found = data(api, "{ users { nodes { a: posts { id } b: posts { title } c: posts(limit: 1) { id } } } }")
    assert len(statements) == 3
    assert [len(found["users"]["nodes"][0][name]) for name in "abc"] == [3, 3, 1]


def test_pages_go_on_where_they_ended_here_and_in_rest(api):
    names = [f"P{number}" for number in range(5)]
    for number in range(5):
        person(api, number)
    query = (
        "query ($cursor: String) { users(limit: 2, cursor: $cursor, sort: NAME) { nodes { name version } nextCursor } }"
    )
    seen, cursor = [], None
    while True:
        page = data(api, query, cursor=cursor)["users"]
        seen += [user["name"] for user in page["nodes"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == names
    rest = api.get("/v1/users?limit=2&sort=name").json["meta"]["next_cursor"]
    assert data(api, query, cursor=rest)["users"]["nodes"][0]["name"] == "P2"
    backwards = data(api, "{ users(sort: NAME_DESCENDING) { nodes { name } } }")
    assert [user["name"] for user in backwards["users"]["nodes"]] == names[::-1]


CREATE = "mutation ($name: String!, $email: String!) { createUser(name: $name, email: $email) { id name version } }"
# Not by chance: tests that run side by side must agree on their names.
NOBODY = "00000000-0000-4000-8000-000000000000"
ANN = {"name": "Ann", "email": "ann@example.test"}


def test_a_user_is_created_once_with_an_idempotency_key_announced_and_remembered(api, postgres, migrated):
    with counted() as statements:
        first = ask(api, CREATE, {"Idempotency-Key": "k"}, **ANN)
    assert len(statements) == 2
    again = ask(api, CREATE, {"Idempotency-Key": "k"}, **ANN)
    assert first.json == again.json
    assert ["Idempotency-Replayed" in answer.headers for answer in (first, again)] == [False, True]
    assert "X-Consistency-Token" in first.headers
    assert api.get(f"/v1/users/{first.json['data']['createUser']['id']}").json["data"]["name"] == "Ann"
    other = ask(api, CREATE, {"Idempotency-Key": "k"}, name="Bob", email="bob@example.test")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    with postgres.admin(migrated) as admin:
        audit = admin.execute("SELECT actor, action FROM audit_log").fetchall()
        topics = admin.execute("SELECT topic FROM messages").fetchall()
    assert (audit, topics) == ([("key:bootstrap", "user.create")], [("user.created",)])


@pytest.mark.parametrize("query", ["{ users { nodes { id } } }", "{", CREATE])
def test_a_malformed_idempotency_key_is_refused_also_where_nothing_is_created(api, query):
    answer = ask(api, query, {"Idempotency-Key": "two words"}, **(ANN if query == CREATE else {}))
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key")
    assert ask(api, "{ users { nodes { id } } }", {"Idempotency-Key": "k"}).json["data"] == {"users": {"nodes": []}}


def test_a_refused_change_is_told_as_in_rest(api, postgres, migrated):
    data(api, CREATE, **ANN)
    taken = ask(api, CREATE, **ANN)
    assert (taken.status_code, taken.json["code"]) == (409, "email_taken")
    broken = ask(api, CREATE, name="", email="nobody")
    assert (broken.status_code, broken.json["code"]) == (422, "validation")
    assert [error["field"] for error in broken.json["errors"]] == ["name", "email"]
    bad_key = ask(api, CREATE, {"Idempotency-Key": "a b"}, name="Bob", email="bob@example.test")
    assert (bad_key.status_code, bad_key.json["code"]) == (422, "idempotency_key")
    with postgres.admin(migrated) as admin:
        assert admin.execute("SELECT count(*) FROM users").fetchone() == (1,)


def test_a_user_is_deleted_if_the_version_is_still_the_same(api, postgres, migrated):
    query = "mutation ($id: ID!, $version: Int) { deleteUser(id: $id, version: $version) }"
    user = person(api)
    newer = ask(api, query, id=user, version=7)
    assert (newer.status_code, newer.json["code"]) == (412, "version_mismatch")
    assert data(api, query, id=user, version=1) == {"deleteUser": user}
    assert ask(api, query, id=user).status_code == 404
    assert data(api, query, id=person(api))  # without a version: whichever
    course = api.post("/v1/courses", json={"title": "C", "seats": 1}).json["data"]["id"]
    student = person(api)
    api.put(f"/v1/courses/{course}/students/{student}")
    assert ask(api, query, id=student).json["code"] == "user_enrolled"
    with postgres.admin(migrated) as admin:
        acts = admin.execute("SELECT count(*) FROM audit_log WHERE action = 'user.delete'").fetchone()
    assert acts == (2,)


@pytest.mark.parametrize(
    ("scopes", "query", "status"),
    [
        (["users:read"], "{ users { nodes { id } } }", 200),
        (["users:read"], "{ users { nodes { posts { id } } } }", 403),
        (["users:read"], "{ ...all } fragment all on Query { users { nodes { ... on User { posts { id } } } } }", 403),
        (["users:read", "posts:read"], "{ users { nodes { posts { author { id } } } } }", 200),
        (["users:read"], 'mutation { createUser(name: "A", email: "a@b.test") { id } }', 403),
        (["users:read"], f'mutation {{ deleteUser(id: "{NOBODY}") }}', 403),
        (["users:read", "users:write"], 'mutation { createUser(name: "A", email: "a@b.test") { id } }', 200),
        (["users:write"], 'mutation { createUser(name: "A", email: "a@b.test") { id } }', 403),
    ],
)
def test_each_field_needs_what_its_route_needs_before_anything_is_done(api, scopes, query, status):
    me = scoped(api, *scopes)
    person(api, posts=1)
    with counted() as statements:
        answer = ask(api, query, me)
    assert answer.status_code == status
    assert status == 200 or not [text for text in statements if "users" in text or "posts" in text]


def test_every_field_that_asks_a_service_says_what_it_needs():
    for root in (SCHEMA.query_type, SCHEMA.mutation_type):
        assert {f"{root.name}.{name}" for name in root.fields} <= set(NEEDS)
    resolved = {
        f"{one.name}.{name}"
        for one in SCHEMA.type_map.values()
        if is_object_type(one)
        for name, field in one.fields.items()
        if field.resolve is not None
    }
    introspection = {name for name in resolved if name.startswith("__")}
    assert resolved - introspection == set(NEEDS)
    assert set(NEEDS.values()) <= PERMISSIONS


DEEP = "{ users { nodes { posts { author { posts { author { id } } } } } } }"
WIDE = "{ users(limit: 100) { nodes { posts(limit: 100) { id } } } }"
DOUBLING = "{ users { nodes { ...f0 } } } " + " ".join(
    f"fragment f{n} on User {{ a{n}: id b{n}: name "
    + (f"...f{n + 1} ... on User {{ ...f{n + 1} }} }}" if n < 40 else "}")
    for n in range(41)
)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (DEEP, "is 7 fields deep; allowed: 6"),
        (WIDE, "may hold 10201 fields; allowed: 5000"),
        ("{" + " ".join(f'u{n}: user(id: "{NOBODY}") {{ id }}' for n in range(11)) + "}", "11 times; allowed: 10"),
        (DOUBLING, "fields; allowed: 5000"),
        ("{users" * 400, "nested deeper|Syntax|tokens"),
        ("{ a" + "(x: " + "[" * 900, "nested deeper|Syntax|tokens"),
    ],
    ids=["deep", "wide", "many", "doubling", "braces", "brackets"],
)
def test_what_asks_for_too_much_is_refused_before_the_database_is_asked(api, query, told):
    with counted() as statements:
        answer = ask(api, query)
    assert answer.status_code == 422
    assert any(word in json.dumps(answer.json) for word in told.split("|")), answer.json
    assert statements == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"query": "{"}, 422, "query"),
        ({"query": "{ users { nodes { password } } }"}, 422, "query"),
        ({"query": "{ users { nodes { id } } } # " + "x " * 2, "extensions": {"a": 1}}, 200, None),
        ({"query": "{ " + "id " * 1001 + "}"}, 422, "query"),
        ({"query": "query ($n: Int!) { users(limit: $n) { nextCursor } }"}, 422, "variables"),
        ({"query": "query ($n: Int!) { users(limit: $n) { nextCursor } }", "variables": {"n": "x"}}, 422, "variables"),
        ({"query": "query a { users { nextCursor } } query b { users { nextCursor } }"}, 422, "operationName"),
        ({"query": "query a { users { nextCursor } }", "operationName": "b"}, 422, "operationName"),
        ({"query": "query a { users { nextCursor } } query b { __typename }", "operationName": "b"}, 200, None),
        ({"query": "subscription { users { nextCursor } }"}, 422, "query"),
        ({"query": "fragment a on User { id }"}, 422, "query"),
        ({"query": "{ users(limit: 0) { nextCursor } }"}, 422, "limit"),
        ({"query": "{ users(limit: -3) { nextCursor } }"}, 422, "limit"),
        ({"query": "{ users(limit: null) { nextCursor } }"}, 422, "query"),
        ({"query": '{ users(cursor: "x") { nextCursor } }'}, 422, "cursor"),
        ({"query": '{ user(id: "x") { id } }'}, 422, "id"),
        ({"query": '{ user(id: "\\u0000") { id } }'}, 422, "id"),
        ({"query": "mutation { __typename }"}, 200, None),
        ({"query": "{ users { nodes { id } } }", "queri": 1}, 422, "queri"),
        ({"variables": {}}, 422, "query"),
    ],
    ids=[str(number) for number in range(20)],  # the bodies themselves are no names that a command line takes
)
def test_a_request_that_is_wrong_is_told_where(api, body, status, field):
    answer = api.post("/v1/graphql", json=body)
    assert answer.status_code == status, answer.json
    assert field is None or answer.json["errors"][0]["field"] == field


def test_one_request_changes_one_thing(api):
    person(api)
    two = [f'u{n}: createUser(name: "A", email: "a{n}@b.test") {{ id }}' for n in range(2)]
    answer = ask(api, f"mutation {{ {' '.join(two)} }}")
    assert (answer.status_code, answer.json["errors"][0]["message"]) == (
        422,
        "changes 2 things; allowed: one in a request",
    )
    assert len(api.get("/v1/users").json["data"]) == 1


def test_the_schema_is_told_only_with_a_flag_of_its_own(api, app_with):
    refused = ask(api, get_introspection_query())
    assert refused.status_code == 422
    assert "introspection" in refused.json["errors"][0]["message"]
    told = data(app_with(**ALL_ON).test_client(), get_introspection_query())
    assert {"User", "Post", "NewUser"} <= {one["name"] for one in told["__schema"]["types"]}


def test_a_database_that_is_away_is_told_as_in_rest(api, monkeypatch):
    database = parts_of(api.application).database

    def away(*_, **__):
        raise TimeoutError("away")

    monkeypatch.setattr(database, "read", away)
    answer = ask(api, "{ users { nodes { id } } }")
    assert (answer.status_code, answer.json["code"]) == (500, "internal")


def selections(name, depth):
    """Any selection of a type, with limits that answers stay small with."""
    fields = SCHEMA.type_map[name].fields
    leaves = [one for one in fields if get_named_type(fields[one].type).name not in {"User", "Post", "UserPage"}]
    choices = [st.sampled_from(leaves)] if leaves else []
    if depth > 0:
        for one in ("posts", "author", "nodes", "users"):
            if one in fields:
                inner = selections(get_named_type(fields[one].type).name, depth - 1)
                limits = st.sampled_from(["", "(limit: 1)", "(limit: 3)"] if "limit" in fields[one].args else [""])
                choices.append(
                    st.builds(lambda one, limit, inner: f"{one}{limit} {inner}", st.just(one), limits, inner)
                )
    lines = st.lists(st.one_of(choices), min_size=1, max_size=3)
    return lines.map(lambda found: "{ " + " ".join(f"k{n}: {line}" for n, line in enumerate(found)) + " }")


def size(value):
    """How many fields an answer holds, and how deep they are."""
    if isinstance(value, list):
        sizes = [size(one) for one in value]
        return sum(count for count, _ in sizes), max((depth for _, depth in sizes), default=0)
    if isinstance(value, dict):
        sizes = [size(one) for one in value.values()]
        return sum(1 + count for count, _ in sizes), 1 + max((depth for _, depth in sizes), default=0)
    return 0, 0


def demand_of(query) -> Demand:
    document = parse(query)
    return Measure(SCHEMA, {}, get_variable_values(SCHEMA, (), {}), NEEDS).of(document.definitions[0])


@given(query=selections("Query", 6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_answer_is_larger_deeper_or_dearer_than_was_added_up(api, query):
    if not api.get("/v1/users").json["data"]:
        for number in range(4):
            person(api, number, posts=4)
    demand = demand_of(query)
    with counted() as statements:
        answer = ask(api, query)
    within = demand.fields <= MOST_FIELDS and demand.depth <= MOST_DEPTH and demand.reads <= MOST_READS
    assert answer.status_code == (200 if within else 422), answer.json
    if within:
        fields, depth = size(answer.json["data"])
        assert (fields <= demand.fields, depth <= demand.depth, len(statements) <= demand.reads) == (True, True, True)
    else:
        assert statements == []
