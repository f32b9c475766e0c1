"""Profiles (one to one), posts (one to many), courses and enrolments (many to many)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from app_statements import counted
from prometheus_client import CollectorRegistry
from redis import Redis

from app.core.parts import parts_of
from app.factory import create_app
from app.services.enrolments import MOST_COURSES

NOBODY = "00000000-0000-4000-8000-000000000000"


def user(client, number: int = 0) -> str:
    body = {"name": f"User {number}", "email": f"user-{number}@example.test"}
    return client.post("/v1/users", json=body).json["data"]["id"]


def post(client, author: str, title: str = "Hello") -> dict[str, str]:
    answer = client.post("/v1/posts", json={"author_id": author, "title": title, "body": "Text\nover lines"})
    assert answer.status_code == 201
    return answer.json["data"]


def course(client, seats: int = 2, title: str = "Rust") -> str:
    return client.post("/v1/courses", json={"title": title, "seats": seats}).json["data"]["id"]


def test_a_user_has_one_profile_made_by_put(client):
    path = f"/v1/users/{user(client)}/profile"
    assert client.get(path).status_code == 404
    first = client.put(path, json={"bio": "I learn"})
    assert (first.status_code, first.json["data"]["website"], first.headers["ETag"]) == (200, None, '"v1"')
    second = client.put(path, json={"bio": "I teach", "website": "https://example.test/"})
    assert second.headers["ETag"] == '"v2"'
    assert client.get(path).json["data"]["bio"] == "I teach"
    for refused in ("javascript:alert(1)", "http://[", "https://me:word@example.test", "https://\u2100.test/"):
        assert client.put(path, json={"bio": "x", "website": refused}).status_code == 422


def test_nobody_has_no_profile(client):
    assert client.put(f"/v1/users/{NOBODY}/profile", json={"bio": "x"}).status_code == 404


def test_posts_belong_to_their_author_and_go_with_him(client):
    ann, bob = user(client, 1), user(client, 2)
    posts = [post(client, ann, f"Post {number}") for number in range(3)]
    other = post(client, bob)
    listed = client.get(f"/v1/posts?author_id={ann}").json["data"]
    assert [item["id"] for item in listed] == [item["id"] for item in reversed(posts)]
    changed = client.patch(f"/v1/posts/{posts[0]['id']}", json={"title": "New"})
    assert (changed.json["data"]["title"], changed.json["data"]["author_id"]) == ("New", ann)
    assert client.delete(f"/v1/users/{ann}").status_code == 204
    assert client.get(f"/v1/posts/{posts[0]['id']}").status_code == 404
    assert client.get(f"/v1/posts/{other['id']}").status_code == 200


def test_a_post_needs_an_author_who_exists_and_keeps_him(client):
    answer = client.post("/v1/posts", json={"author_id": NOBODY, "title": "T", "body": ""})
    assert (answer.status_code, answer.json["code"]) == (409, "no_such_author")
    mine = post(client, user(client))
    assert (
        client.put(f"/v1/posts/{mine['id']}", json={"author_id": NOBODY, "title": "T", "body": ""}).status_code == 422
    )


def test_enrolling_takes_a_seat_once_and_leaving_frees_it(client):
    ann, rust = user(client), course(client)
    path = f"/v1/courses/{rust}/students/{ann}"
    assert [client.put(path).status_code for _ in range(2)] == [201, 204]
    assert client.get(f"/v1/courses/{rust}").json["data"]["seats_taken"] == 1
    assert [item["name"] for item in client.get(f"/v1/courses/{rust}/students").json["data"]] == ["User 0"]
    assert [item["title"] for item in client.get(f"/v1/users/{ann}/courses").json["data"]] == ["Rust"]
    assert [client.delete(path).status_code for _ in range(2)] == [204, 404]
    assert client.get(f"/v1/courses/{rust}").json["data"]["seats_taken"] == 0
    assert client.get(f"/v1/courses/{rust}/students").json["data"] == []


def test_a_full_course_refuses(client):
    rust = course(client, seats=1)
    assert client.put(f"/v1/courses/{rust}/students/{user(client, 1)}").status_code == 201
    answer = client.put(f"/v1/courses/{rust}/students/{user(client, 2)}")
    assert (answer.status_code, answer.json["code"]) == (409, "course_full")


def test_enrolling_needs_both_to_exist(client):
    assert client.put(f"/v1/courses/{NOBODY}/students/{user(client)}").status_code == 404
    assert client.put(f"/v1/courses/{course(client)}/students/{NOBODY}").status_code == 404
    assert client.get(f"/v1/courses/{NOBODY}/students").status_code == 404


def test_what_is_in_use_cannot_be_deleted_or_shrunk(client):
    ann, rust = user(client), course(client)
    client.put(f"/v1/courses/{rust}/students/{ann}")
    client.put(f"/v1/courses/{rust}/students/{user(client, 1)}")
    codes = [client.delete(f"/v1/users/{ann}"), client.delete(f"/v1/courses/{rust}")]
    codes.append(client.patch(f"/v1/courses/{rust}", json={"seats": 1}))
    assert [(answer.status_code, answer.json["code"]) for answer in codes] == [
        (409, "user_enrolled"),
        (409, "course_in_use"),
        (409, "seats_taken"),
    ]


def test_a_student_cannot_slip_past_the_limit_by_asking_at_the_same_time(client):
    app, ann = client.application, user(client)
    courses = [course(client, seats=9, title=f"Course {number}") for number in range(MOST_COURSES + 2)]
    for first in courses[: MOST_COURSES - 1]:
        assert client.put(f"/v1/courses/{first}/students/{ann}").status_code == 201
    with ThreadPoolExecutor(3) as pool:
        answers = list(
            pool.map(
                lambda last: app.test_client().put(f"/v1/courses/{last}/students/{ann}"), courses[MOST_COURSES - 1 :]
            )
        )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert len(client.get(f"/v1/users/{ann}/courses").json["data"]) == MOST_COURSES


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("-created_at", ["b", "a", "b", "a"]),
        ("title,created_at", ["a", "a", "b", "b"]),
    ],
)
def test_every_order_pages_through_everything_once(client, sort, expected):
    author = user(client)
    for title in ("a", "b", "a", "b"):
        post(client, author, title)
    titles, ids, cursor = [], set(), None
    while True:
        query = {"sort": sort, "limit": 1, **({"cursor": cursor} if cursor else {})}
        answer = client.get("/v1/posts", query_string=query)
        titles += [item["title"] for item in answer.json["data"]]
        ids |= {item["id"] for item in answer.json["data"]}
        cursor = answer.json["meta"]["next_cursor"]
        if cursor is None:
            break
    assert titles == expected
    assert len(ids) == 4


def test_a_cursor_of_another_order_or_filter_is_refused(client):
    for number in range(3):
        user(client, number)
    cursor = client.get("/v1/users?limit=1").json["meta"]["next_cursor"]
    assert client.get("/v1/users", query_string={"cursor": cursor, "sort": "name"}).status_code == 422
    assert client.get("/v1/posts", query_string={"cursor": cursor}).status_code == 422


def test_descending_names_are_the_ascending_ones_reversed(client):
    for number in (2, 1, 3):
        user(client, number)
    up, down = (
        [item["name"] for item in client.get(f"/v1/users?sort={sort}").json["data"]] for sort in ("name", "-name")
    )
    assert up == ["User 1", "User 2", "User 3"] == list(reversed(down))


def test_fields_may_be_named_as_often_as_one_likes(client):
    created = client.post("/v1/courses", json={"title": "C", "seats": 1}).headers["Location"]
    answer = client.get(created, query_string={"fields": ",".join(["created_at", "title"] * 20)})
    assert (answer.status_code, set(answer.json["data"])) == (200, {"created_at", "title"})


def test_only_the_named_fields_are_sent(client):
    location = f"/v1/users/{user(client)}"
    assert client.get("/v1/users?fields=name").json["data"] == [{"name": "User 0"}]
    assert client.get(f"{location}?fields=email,name").json["data"] == {
        "name": "User 0",
        "email": "user-0@example.test",
    }


@pytest.mark.parametrize("query", ["sort=email", "fields=password", "author_id=x", "fields="])
def test_an_order_or_field_that_is_not_allowed_is_422_and_says_what_is(client, query):
    answer = client.get(f"/v1/users?{query}")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] in query


def test_numbers_about_courses_are_one_statement_and_then_none(client, settings, redis_server, tmp_path):
    assert client.get("/v1/statistics").json["data"] == {
        "courses": 0, "seats": 0, "seats_taken": 0, "most_wanted": []
    }  # fmt: skip
    users = [user(client, number) for number in range(3)]
    courses = [course(client, 3 + number, f"C{number}") for number in range(7)]
    for many, place in zip((3, 1, 2, 0, 1, 1, 1), courses, strict=True):
        for student in users[3 - many :]:
            client.put(f"/v1/courses/{place}/students/{student}")  # the last user may take five only
    with counted() as statements:
        found = client.get("/v1/statistics").json["data"]
    assert len(statements) == 1
    wanted = found.pop("most_wanted")
    taken = sum(it["seats_taken"] for it in client.get("/v1/courses").json["data"])
    assert found == {"courses": 7, "seats": sum(range(3, 10)), "seats_taken": taken}
    assert [(it["title"], it["seats_taken"]) for it in wanted] == [
        ("C0", 3), ("C2", 2), ("C1", 1), ("C4", 1), ("C5", 1)
    ]  # fmt: skip
    assert wanted[0]["id"] == courses[0]
    file = tmp_path / "cache-url"
    file.write_text(redis_server.url)
    app = create_app(settings.model_copy(update={"cache_url_file": file}), CollectorRegistry())
    with Redis.from_url(redis_server.url) as redis:
        redis.flushall()
    cached = app.test_client()
    with counted() as statements:
        answers = [cached.get("/v1/statistics").json["data"] for _ in range(3)]
    assert len(statements) == 1
    assert answers == [{**found, "most_wanted": wanted}] * 3
    parts_of(app).database.close()
    parts_of(app).cache._redis.client.close()
    parts_of(app).limiter._redis.client.close()
