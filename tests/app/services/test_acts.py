"""Each act is written down as what it was, to what it was done and by whom; what is missing is named."""

from uuid import UUID

import pytest

from app.core.parts import parts_of
from app.services import exports

NOBODY = "00000000-0000-4000-8000-000000000000"
PASSWORD = "correct horse battery"
ANN = {"name": "Ann", "email": "ann@example.test"}


@pytest.fixture
def written(postgres, migrated):
    """The log: action, subject and actor of each entry, in their order."""

    def read():
        with postgres.admin(migrated) as admin:
            return admin.execute("SELECT action, subject, actor FROM audit_log ORDER BY at, action").fetchall()

    return read


def made(client, path, body):
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code in {201, 202}, answer.text
    return answer.json["data"]["id"]


def test_what_is_done_with_what_there_is(client, written):
    by = "key:bootstrap"
    user = made(client, "users", ANN)
    client.patch(f"/v1/users/{user}", json={"name": "Anna"})
    client.put(f"/v1/users/{user}/profile", json={"bio": "I learn"})
    post = made(client, "posts", {"author_id": user, "title": "T", "body": "B"})
    client.delete(f"/v1/posts/{post}")
    course = made(client, "courses", {"title": "C", "seats": 1})
    client.put(f"/v1/courses/{course}/students/{user}")
    client.put(f"/v1/courses/{course}/students/{user}")  # nothing happens
    client.delete(f"/v1/courses/{course}/students/{user}")
    client.delete(f"/v1/users/{user}")
    assert written() == [
        ("user.create", user, by),
        ("user.change", user, by),
        ("profile.put", user, by),
        ("post.create", post, by),
        ("post.delete", post, by),
        ("course.create", course, by),
        ("course.enrol", f"{course}/{user}", by),
        ("course.leave", f"{course}/{user}", by),
        ("user.delete", user, by),
    ]


def test_how_somebody_gets_in(client, written):
    user = made(client, "users", ANN)
    client.put(f"/v1/users/{user}/password", json={"password": PASSWORD})
    login = {"email": ANN["email"], "password": PASSWORD}
    anonymous = {"Authorization": ""}
    client.post("/v1/tokens", json={**login, "password": "wrong"}, headers=anonymous)
    client.post("/v1/tokens", json={**login, "email": "nobody@example.test"}, headers=anonymous)
    token = client.post("/v1/tokens", json=login, headers=anonymous).json["data"]["refresh_token"]
    for _ in range(2):
        client.post("/v1/tokens/refresh", json={"refresh_token": token}, headers=anonymous)
    key = made(client, "keys", {"name": "k", "scopes": ["users:read", "posts:read"]})
    client.delete(f"/v1/keys/{key}")
    found = written()
    family = UUID(next(subject for action, subject, _ in found if action == "token.reused"))
    assert found == [
        ("user.create", user, "key:bootstrap"),
        ("credential.set", user, "key:bootstrap"),
        ("token.refused", user, "anonymous"),
        ("token.refused", "unknown", "anonymous"),
        ("token.login", user, f"user:{user}"),
        ("token.reused", str(family), "anonymous"),
        ("key.create", key, "key:bootstrap"),
        ("key.delete", key, "key:bootstrap"),
    ]


def test_an_export_is_announced_when_it_is_ordered_and_once_when_it_is_finished(client, written, postgres, migrated):
    made(client, "users", ANN)
    export = made(client, "exports", {"kind": "users"})
    for _ in range(2):  # the second time finds it done
        exports.build(parts_of(client.application).database, UUID(export), "r-1")
    assert [row for row in written() if row[0] != "user.create"] == [("export.create", export, "key:bootstrap")]
    with postgres.admin(migrated) as admin:
        told = admin.execute("SELECT topic, payload FROM messages WHERE topic <> 'user.created' ORDER BY id").fetchall()
        by = admin.execute("SELECT trace FROM messages WHERE topic = 'export.finished'").fetchall()
    assert told == [("export.ordered", {"id": export}), ("export.finished", {"id": export, "rows": 1})]
    assert by == [("r-1",)]


@pytest.mark.parametrize(
    ("asked", "body", "kind"),
    [
        ("GET /v1/users/{}", None, "user"),
        ("PATCH /v1/users/{}", {"name": "x"}, "user"),
        ("DELETE /v1/posts/{}", None, "post"),
        ("GET /v1/users/{}/profile", None, "profile"),
        ("PUT /v1/users/{}/profile", {"bio": "x"}, "user"),
        ("PUT /v1/users/{}/password", {"password": PASSWORD}, "user"),
        ("GET /v1/courses/{}/students", None, "course"),
        ("PUT /v1/courses/{}/students/{}", None, "course"),
        ("DELETE /v1/courses/{}/students/{}", None, "enrolment"),
        ("DELETE /v1/keys/{}", None, "key"),
        ("GET /v1/exports/{}", None, "export"),
        ("GET /v1/exports/{}/content", None, "export"),
    ],
)
def test_what_is_missing_is_named(client, written, asked, body, kind):
    method, path = asked.split()
    answer = client.open(path.format(NOBODY, NOBODY), method=method, json=body)
    assert (answer.status_code, answer.json["detail"]) == (404, f"There is no such {kind}.")
    assert written() == []


def test_a_student_who_does_not_exist_is_named(client):
    course = made(client, "courses", {"title": "C", "seats": 1})
    answer = client.put(f"/v1/courses/{course}/students/{NOBODY}")
    assert (answer.status_code, answer.json["detail"]) == (404, "There is no such user.")


def test_keys_are_listed_with_what_they_may_and_without_doubles(client):
    key = client.post("/v1/keys", json={"name": "k", "scopes": ["users:read", "posts:read", "users:read"]}).json["data"]
    assert key["key"].startswith(f"swk_{UUID(key['id']).hex}_")
    (listed,) = client.get("/v1/keys").json["data"]
    assert (listed["id"], listed["name"], listed["scopes"]) == (key["id"], "k", ["posts:read", "users:read"])


def test_a_profile_counts_its_versions_and_says_when_it_changed(client):
    user = made(client, "users", ANN)
    tags = [client.put(f"/v1/users/{user}/profile", json={"bio": str(number)}).headers["ETag"] for number in range(3)]
    assert tags == ['"v1"', '"v2"', '"v3"']
    assert client.get(f"/v1/users/{user}/profile").json["data"]["bio"] == "2"
