"""How often one may ask, as a client sees it."""

import re

import pytest
from prometheus_client import CollectorRegistry

from app.core.parts import parts_of
from app.core.settings import RateLimits, SettingsError, load_settings
from app.factory import create_app

PASSWORD = "correct horse battery staple"


@pytest.fixture
def app_for(settings, key_file, redis_server, tmp_path):
    """An application whose time stands still until a test moves it."""
    made = []

    def go(*, redis=False, **limits):
        changes = {"signing_key_file": key_file, "rate_limits": RateLimits(**limits)}
        if redis:
            changes["redis_url_file"] = tmp_path / "redis-url"
            changes["redis_url_file"].write_text(redis_server.url)
        app = create_app(settings.model_copy(update=changes), CollectorRegistry())
        app.now = 1_800_000_000.0
        parts_of(app).limiter._clock = lambda: app.now
        made.append(app)
        return app

    yield go
    for app in made:
        parts_of(app).database.close()
        if parts_of(app).limiter._redis.client is not None:
            parts_of(app).limiter._redis.client.close()


def new_key(client, *scopes: str) -> dict[str, str]:
    return {"X-API-Key": client.post("/v1/keys", json={"name": "k", "scopes": scopes}).json["data"]["key"]}


@pytest.mark.parametrize("redis", [True, False])
def test_one_request_too_many_is_429_changes_nothing_and_is_allowed_later(app_for, redis):
    app = app_for(redis=redis, requests=3)
    client = app.test_client()
    mine = new_key(client, "courses:read", "courses:write")
    for left in (2, 1, 0):
        answer = client.get("/v1/courses", headers=mine)
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Policy"] == '"requests";q=3;w=60'
        assert re.fullmatch(rf'"requests";r={left};t=[1-9][0-9]?', answer.headers["RateLimit"])
    refused = client.post("/v1/courses", json={"title": "C", "seats": 1}, headers=mine)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    wait = int(refused.headers["Retry-After"])
    assert refused.headers["RateLimit"] == f'"requests";r=0;t={wait}'
    assert client.get("/v1/courses").json["data"] == []
    app.now += wait - 1
    assert client.get("/v1/courses", headers=mine).status_code == 429
    app.now += 1
    assert client.get("/v1/courses", headers=mine).status_code == 200


def test_principals_are_counted_apart_and_the_operators_key_has_no_limit(app_for):
    client = app_for(requests=1).test_client()
    ann, bob = (new_key(client, "courses:read") for _ in range(2))
    assert [client.get("/v1/courses", headers=key).status_code for key in (ann, ann, bob, bob)] == [200, 429, 200, 429]
    answers = [client.get("/v1/courses") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert "RateLimit" not in answers[0].headers


def test_who_is_refused_is_counted_too(app_for):
    client = app_for(requests=2).test_client()
    may_not = new_key(client, "courses:read")
    assert [client.get("/v1/users", headers=may_not).status_code for _ in range(3)] == [403, 403, 429]
    unknown = [{"X-API-Key": "unknown"}, {"Authorization": "Basic x"}, {"Authorization": ""}]
    assert [client.get("/v1/users", headers=header).status_code for header in unknown] == [401, 401, 429]


def test_what_is_no_route_of_the_api_is_not_counted(app_for):
    client = app_for(requests=1).test_client()
    mine = new_key(client, "courses:read")
    for path, status in (("/livez", 200), ("/version", 200), ("/openapi.json", 200), ("/v1/nothing", 404)):
        assert [client.get(path, headers=mine).status_code for _ in range(3)] == [status] * 3
    assert client.options("/v1/courses", headers=mine).status_code == 200
    assert client.get("/v1/courses", headers=mine).status_code == 200


def test_tries_to_log_in_are_counted_for_each_account(app_for):
    client = app_for(logins=2).test_client()
    emails = ("ann@example.test", "bob@example.test")
    for email in emails:
        user = client.post("/v1/users", json={"name": "A", "email": email}).json["data"]["id"]
        client.put(f"/v1/users/{user}/password", json={"password": PASSWORD})

    def login(email: str, password: str = PASSWORD):
        return client.post("/v1/tokens", json={"email": email, "password": password}, headers={"Authorization": ""})

    tries = [login(emails[0], "wrong"), login(emails[0].upper(), "wrong"), login(emails[0])]
    assert [answer.status_code for answer in tries] == [401, 401, 429]
    assert tries[0].headers["RateLimit-Policy"] == '"logins";q=2;w=60'
    assert login(emails[1]).status_code == 200


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "203.0.113.9"), (2, "198.51.100.7")])
def test_an_address_is_believed_only_from_proxies_that_are_there(settings, postgres, migrated, proxies, address):
    app = create_app(settings.model_copy(update={"trusted_proxies": proxies}), CollectorRegistry())
    forwarded = {"X-Forwarded-For": "192.0.2.1, 198.51.100.7, 203.0.113.9"}
    body = {"title": "C", "seats": 1}
    assert app.test_client().post("/v1/courses", json=body, headers=forwarded).status_code == 201
    parts_of(app).database.close()
    with postgres.admin(migrated) as connection:
        row = connection.execute(
            "SELECT host(client_ip::inet) FROM audit_log WHERE action = 'course.create'"
        ).fetchone()
    assert row == (address,)


def test_a_refresh_token_is_tried_only_so_often(app_for):
    client = app_for(logins=2).test_client()
    answers = [client.post("/v1/tokens/refresh", json={"refresh_token": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_nobody_counts_if_there_are_no_limits(app_for):
    client = app_for(requests=0, logins=0).test_client()
    mine = new_key(client, "courses:read")
    answers = [
        client.get("/v1/courses", headers=mine),
        client.post("/v1/tokens", json={"email": "x", "password": "x"}, headers={"Authorization": ""}),
    ]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert all("RateLimit" not in answer.headers for answer in answers)


def test_the_order_of_what_surrounds_a_request_is_pinned(app_for):
    app = app_for()
    before = [f"{one.__module__}.{one.__name__}" for one in app.before_request_funcs[None]]
    assert before == [
        "app.core.requests.begin",  # an id first: everything after it may fail
        "app.core.faults.harm",  # what is injected is measured
        "app.api.contract.refuse_unmet_accept",
        "app.api.guard.identify",
        "app.api.limits.limit",  # by who asks, so after that is known; before anything is done for them
        "app.api.guard.permit",
    ]
    after = [f"{one.__module__}.{one.__name__}" for one in app.after_request_funcs[None]]
    assert after == [
        "app.core.requests.finish",
        "app.core.metrics.answered",
        "app.api.limits.tell",
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [('{"requests": -1}', "RATE_LIMITS.REQUESTS"), ('{"request": 1}', "RATE_LIMITS.REQUEST"), ("600", "RATE_LIMITS")],
)
def test_a_limit_that_is_none_is_refused(settings, monkeypatch, text, named):
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(settings.database_url_file))
    monkeypatch.setenv("SLIPWAY_RATE_LIMITS", text)
    with pytest.raises(SettingsError, match=f"SLIPWAY_{named}"):
        load_settings()


def test_limits_come_from_the_environment(settings, monkeypatch):
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(settings.database_url_file))
    monkeypatch.setenv("SLIPWAY_RATE_LIMITS", '{"requests": 100}')
    assert load_settings().rate_limits == RateLimits(requests=100, logins=10, window_seconds=60)
