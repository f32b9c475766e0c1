"""The second version of a resource, by path and by Accept, beside the first over the same rows."""

import pytest

V1, V2 = (f"application/vnd.slipway.v{number}+json" for number in (1, 2))


def new_course(client, version: int = 1, **headers: str):
    seats = 3 if version == 1 else {"total": 3}
    return client.post(f"/v{version}/courses", json={"title": "Rust", "seats": seats}, headers=headers)


def test_both_versions_show_the_same_row_each_in_its_form(client):
    first = new_course(client)
    course = first.json["data"]["id"]
    second = client.get(f"/v2/courses/{course}")
    assert (first.json["data"]["seats"], first.json["data"]["seats_taken"]) == (3, 0)
    assert second.json["data"]["seats"] == {"total": 3, "taken": 0}
    assert "seats_taken" not in second.json["data"]
    assert first.headers["ETag"] == second.headers["ETag"]


def test_what_the_second_version_writes_the_first_reads(client):
    made = new_course(client, 2)
    location = made.headers["Location"]
    assert location.startswith("/v2/courses/")
    assert made.json["data"]["seats"] == {"total": 3, "taken": 0}
    assert client.patch(location, json={"seats": {"total": 5}}).json["data"]["seats"]["total"] == 5
    assert client.patch(location, json={"title": "Go"}).json["data"]["seats"]["total"] == 5
    assert client.put(location, json={"title": "C", "seats": {"total": 7}}).status_code == 200
    assert client.get(location.replace("/v2/", "/v1/")).json["data"]["seats"] == 7
    assert client.delete(location).status_code == 204


@pytest.mark.parametrize("seats", [3, {}, {"total": 0}, {"total": 3, "taken": 1}])
def test_the_second_version_has_rules_of_its_own(client, seats):
    answer = client.post("/v2/courses", json={"title": "Rust", "seats": seats})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"].startswith("seats")


def test_lists_of_the_second_version_have_its_fields_and_their_pages_go_on(client):
    for _ in range(3):
        new_course(client)
    first = client.get("/v2/courses?limit=2&fields=seats")
    assert first.json["data"] == [{"seats": {"total": 3, "taken": 0}}] * 2
    following = first.headers["Link"].partition(">")[0].lstrip("<")
    assert following.startswith("/v2/courses?")
    assert client.get(following).json["data"] == [{"seats": {"total": 3, "taken": 0}}]
    assert client.get("/v2/courses?fields=seats_taken").status_code == 422


def test_a_repeated_request_is_answered_in_the_form_of_its_version(client):
    first, again = (new_course(client, 2, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json["data"] == again.json["data"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in new_course(client, 1, **{"Idempotency-Key": "k"}).headers


@pytest.mark.parametrize(
    ("accept", "taken", "media"),
    [
        (V2, "object", V2),
        (V1, "number", V1),
        (f"{V1};q=0.5, {V2}", "object", V2),
        ("application/vnd.slipway.v9+json, " + V2 + ";q=0.1", "object", V2),
        ("application/json", "number", "application/json"),
        ("*/*", "number", "application/json"),
    ],
)
def test_accept_chooses_the_version_and_the_answer_says_which(client, accept, taken, media):
    new_course(client)
    answer = client.get("/api/courses", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, media)
    assert "Accept" in answer.headers["Vary"]
    (course,) = answer.json["data"]
    assert isinstance(course["seats"], dict if taken == "object" else int)


def test_a_version_that_does_not_change_a_resource_answers_as_the_one_before(client):
    answer = client.get("/api/users", headers={"Accept": V2})
    assert (answer.status_code, answer.mimetype, answer.json["data"]) == (200, V2, [])
    assert client.get("/v2/users").status_code == 404


@pytest.mark.parametrize("accept", ["application/vnd.slipway.v9+json", f"{V2};q=0", "application/vnd.slipway.v0+json"])
def test_a_version_that_is_not_there_is_406_and_changes_nothing(client, accept):
    body = {"title": "Rust", "seats": 3}
    assert client.post("/api/courses", json=body, headers={"Accept": accept}).status_code == 406
    assert client.get("/v1/courses").json["data"] == []


def test_an_error_keeps_its_own_form_and_a_version_in_the_path_is_the_version(client):
    missing = client.get("/api/courses/00000000-0000-4000-8000-000000000000", headers={"Accept": V2})
    assert (missing.status_code, missing.mimetype) == (404, "application/problem+json")
    assert client.get("/v1/courses", headers={"Accept": V2}).status_code == 406
    assert client.get("/api/nothing").status_code == 404
