import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from app.core.parts import parts_of

ANN = {"name": "Ann", "email": "ann@example.test"}


def create(client: FlaskClient, number: int = 0, **headers: str):
    body = {"name": f"User {number}", "email": f"user-{number}@example.test"}
    return client.post("/v1/users", json=body, headers=headers)


def test_create_answers_201_with_location_etag_and_envelope(client):
    answer = client.post("/v1/users", json=ANN)
    assert answer.status_code == 201
    user = answer.json["data"]
    assert (user["name"], user["email"]) == ("Ann", "ann@example.test")
    assert answer.headers["Location"] == f"/v1/users/{user['id']}"
    assert answer.headers["ETag"] == '"v1"'
    assert answer.json["meta"]["request_id"] == answer.headers["X-Request-ID"]
    assert client.get(answer.headers["Location"]).json["data"] == user


def test_every_answer_names_colour_and_version(client):
    for path in ("/livez", "/v1/users", "/no/such/path"):
        headers = client.get(path).headers
        assert (headers["X-Slipway-Colour"], headers["X-Slipway-Version"]) == ("blue", "1.2.3")


def test_a_request_id_is_echoed_and_a_hostile_one_replaced(client):
    assert client.get("/livez", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    assert client.get("/livez", headers={"X-Request-ID": "a b{}"}).headers["X-Request-ID"] != "a b{}"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name", "email"}),
        ({"name": "", "email": "ann@example.test"}, {"name"}),
        ({"name": "x" * 101, "email": "ann@example.test"}, {"name"}),
        ({"name": "a\x00b", "email": "ann@example.test"}, {"name"}),
        ({"name": "Ann", "email": "not an address"}, {"email"}),
        ({"name": "Ann", "email": "a\x85b@example.test"}, {"email"}),
        ({"name": "Ann", "email": "a\ufeffb@example.test"}, {"email"}),
        ({**ANN, "admin": True}, {"admin"}),
    ],
)
def test_a_broken_rule_is_422_and_names_the_field(client, body, fields):
    answer = client.post("/v1/users", json=body)
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    assert {error["field"] for error in answer.json["errors"]} == fields
    assert answer.json["status"] == 422
    assert answer.json["code"] == "validation"


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"name": "\\ud800", "email": "a@b.test"}', "application/json", 400),
        (b"name=Ann", "application/x-www-form-urlencoded", 415),
        (b"x" * 70_000, "application/json", 413),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(client, data, kind, status):
    answer = client.post("/v1/users", data=data, content_type=kind)
    assert answer.status_code == status
    assert answer.json["status"] == status


def test_two_users_cannot_share_an_address_whatever_its_case(client):
    assert client.post("/v1/users", json=ANN).status_code == 201
    answer = client.post("/v1/users", json={"name": "Other", "email": "ANN@example.test"})
    assert (answer.status_code, answer.json["code"]) == (409, "email_taken")


def test_a_missing_user_is_404_and_a_path_that_is_no_id_too(client):
    for path in ("/v1/users/00000000-0000-4000-8000-000000000000", "/v1/users/7"):
        answer = client.get(path)
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_a_path_with_too_many_slashes_is_404_and_no_redirect(client):
    assert client.get("/v1//users").status_code == 404


def test_405_lists_what_is_allowed(client):
    answer = client.post("/v1/users/00000000-0000-4000-8000-000000000000", json=ANN)
    assert answer.status_code == 405
    assert {"GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} == set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml;q=0.9", "application/json;q=0, */*", "application/problem+json"]
)
def test_an_accept_without_json_is_406_and_changes_nothing(client, accept):
    answer = create(client, Accept=accept)
    assert (answer.status_code, answer.mimetype) == (406, "application/problem+json")
    assert answer.json["code"] == "not_acceptable"
    assert create(client).status_code == 201


@pytest.mark.parametrize("accept", ["*/*", "application/*", "text/html, */*;q=0.1", "application/json; charset=utf-8"])
def test_an_accept_that_json_can_meet_is_answered(client, accept):
    assert create(client, Accept=accept).status_code == 201
    assert client.get("/livez", headers={"Accept": "text/html"}).status_code == 200


def test_get_with_the_current_etag_is_304_without_a_body(client):
    location = create(client).headers["Location"]
    answer = client.get(location, headers={"If-None-Match": '"v1"'})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", '"v1"')
    assert client.get(location, headers={"If-None-Match": '"v2"'}).status_code == 200


def test_put_replaces_and_patch_changes(client):
    location = create(client).headers["Location"]
    replaced = client.put(location, json=ANN)
    assert (replaced.status_code, replaced.headers["ETag"]) == (200, '"v2"')
    patched = client.patch(location, json={"name": "Anna"})
    assert (patched.status_code, patched.headers["ETag"]) == (200, '"v3"')
    assert (patched.json["data"]["name"], patched.json["data"]["email"]) == ("Anna", "ann@example.test")
    assert patched.json["data"]["updated_at"] > patched.json["data"]["created_at"]


def test_an_empty_patch_and_a_null_are_422(client):
    location = create(client).headers["Location"]
    assert client.patch(location, json={}).status_code == 422
    assert client.patch(location, json={"name": None}).status_code == 422


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_if_match_with_an_old_version_is_412_and_changes_nothing(client, method):
    location = create(client).headers["Location"]
    call = getattr(client, method)
    body = {} if method == "delete" else {"json": ANN}
    assert call(location, headers={"If-Match": '"v9", "other"'}, **body).status_code == 412
    assert client.get(location).headers["ETag"] == '"v1"'
    assert call(location, headers={"If-Match": '"v9", "v1"'}, **body).status_code in {200, 204}


def test_if_match_star_matches_any_version_of_an_existing_user(client):
    location = create(client).headers["Location"]
    assert client.put(location, json=ANN, headers={"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_changing_a_missing_user_is_404(client, method):
    answer = getattr(client, method)("/v1/users/00000000-0000-4000-8000-000000000000", json=ANN)
    assert answer.status_code == 404


def test_changing_to_a_taken_address_is_409(client):
    client.post("/v1/users", json=ANN)
    location = create(client).headers["Location"]
    assert client.patch(location, json={"email": "ann@example.test"}).status_code == 409


def test_delete_is_204_and_then_the_user_is_gone(client):
    location = create(client).headers["Location"]
    answer = client.delete(location)
    assert (answer.status_code, answer.data) == (204, b"")
    assert client.get(location).status_code == 404
    assert client.delete(location).status_code == 404


def test_pages_are_bounded_newest_first_and_miss_nothing(client):
    for number in range(7):
        create(client, number)
    seen, path = [], "/v1/users?limit=3"
    pages = 0
    while path:
        answer = client.get(path)
        seen += [user["name"] for user in answer.json["data"]]
        link = answer.headers.get("Link", "")
        path = link.partition(">")[0].lstrip("<") if 'rel="next"' in link else ""
        pages += 1
    assert seen == [f"User {number}" for number in reversed(range(7))]
    assert pages == 3
    assert answer.json["meta"]["next_cursor"] is None


def test_a_user_created_meanwhile_does_not_shift_the_next_page(client):
    for number in range(3):
        create(client, number)
    first = client.get("/v1/users?limit=2").json
    create(client, 9)
    second = client.get("/v1/users", query_string={"limit": 2, "cursor": first["meta"]["next_cursor"]}).json
    assert [user["name"] for user in second["data"]] == ["User 0"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=abc", "page=2", "limit=1&limit=2", "cursor=%F0%9F%98%80"]
)
def test_a_query_that_is_not_allowed_is_422(client, query):
    answer = client.get(f"/v1/users?{query}")
    assert answer.status_code == 422
    assert len(answer.json["errors"]) == 1


def test_the_same_key_creates_once_and_answers_the_same(client):
    first = client.post("/v1/users", json=ANN, headers={"Idempotency-Key": "k"})
    second = client.post("/v1/users", json=ANN, headers={"Idempotency-Key": "k"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json["data"] == second.json["data"]
    assert first.headers["Location"] == second.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(client.get("/v1/users").json["data"]) == 1


def test_the_same_key_with_another_body_is_422(client):
    client.post("/v1/users", json=ANN, headers={"Idempotency-Key": "k"})
    answer = create(client, 1, **{"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")


def test_a_refused_request_does_not_use_up_its_key(client):
    client.post("/v1/users", json=ANN)
    refused = client.post("/v1/users", json=ANN, headers={"Idempotency-Key": "k"})
    assert refused.status_code == 409
    assert create(client, 1, **{"Idempotency-Key": "k"}).status_code == 201


def test_a_key_that_is_too_long_is_422(client):
    assert create(client, **{"Idempotency-Key": "k" * 256}).status_code == 422


def test_concurrent_duplicates_wait_for_the_first_and_get_its_answer(client):
    app = client.application
    gate = threading.Barrier(4)

    def send(_):
        gate.wait(timeout=10)
        return app.test_client().post("/v1/users", json=ANN, headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json["data"]["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 3
    assert len(client.get("/v1/users").json["data"]) == 1


def test_an_unexpected_error_is_500_without_inner_details(client, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("inner secret")

    monkeypatch.setattr(parts_of(client.application).database, "read", broken)
    answer = client.get("/v1/users")
    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert b"inner secret" not in answer.data


def test_a_browser_is_told_to_do_nothing_with_an_answer(client):
    for path in ("/livez", "/v1/users", "/no/such/path"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Cache-Control"] == "private, no-cache"
