"""The cache helps, is never trusted too long, and costs nothing when it is away."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry
from redis import Redis

from app.core import cache as module
from app.core.breaker import Breaker
from app.core.cache import Cache, connect
from app.core.parts import parts_of
from app.factory import create_app


@pytest.fixture
def cached(settings, redis_file):
    app = create_app(settings.model_copy(update={"redis_url_file": redis_file}), CollectorRegistry())
    yield app.test_client()
    parts_of(app).database.close()
    parts_of(app).cache._redis.client.close()


@pytest.fixture
def cache(redis_file, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 5)  # a busy machine is not what these tests are about
    client = connect(redis_file, 16)
    yield Cache(client, "dev", CollectorRegistry())
    client.close()


def user(client) -> str:
    return client.post("/v1/users", json={"name": "Ann", "email": "ann@example.test"}).headers["Location"]


def test_the_second_read_needs_no_database(cached, monkeypatch):
    location = user(cached)
    first = cached.get(location)
    monkeypatch.setattr(parts_of(cached.application).database, "read", lambda *_, **__: pytest.fail("was asked"))
    second = cached.get(location)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json["data"] == second.json["data"]
    assert first.headers["ETag"] == second.headers["ETag"]


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_change_is_seen_at_once_and_nobody_caches_the_old_row_meanwhile(cached, method):
    location = user(cached)
    cached.get(location)
    body = {} if method == "delete" else {"json": {"name": "Anna", "email": "ann@example.test"}}
    assert getattr(cached, method)(location, **body).status_code in {200, 204}
    after = cached.get(location)
    assert after.status_code == 404 if method == "delete" else after.json["data"]["name"] == "Anna"


def test_a_slow_reader_cannot_put_an_old_row_back_after_a_change(cache):
    def load_slowly():
        cache.forget("user:1")  # another request commits a change while this one holds the old row
        return {"name": "old"}

    assert cache.get_or_load("user:1", load_slowly) == {"name": "old"}
    assert cache.get_or_load("user:1", lambda: {"name": "new"}) == {"name": "new"}


def test_enrolling_forgets_the_course(cached):
    course = cached.post("/v1/courses", json={"title": "Rust", "seats": 3}).headers["Location"]
    student = user(cached).rpartition("/")[2]
    assert cached.get(course).json["data"]["seats_taken"] == 0
    cached.put(f"{course}/students/{student}")
    assert cached.get(course).json["data"]["seats_taken"] == 1
    cached.delete(f"{course}/students/{student}")
    assert cached.get(course).json["data"]["seats_taken"] == 0


def test_posts_are_not_cached_because_they_go_with_their_author(cached):
    author = user(cached)
    body = {"author_id": author.rpartition("/")[2], "title": "T", "body": ""}
    post = cached.post("/v1/posts", json=body).headers["Location"]
    assert cached.get(post).status_code == 200
    cached.delete(author)
    assert cached.get(post).status_code == 404


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"X-Consistency-Token": "0/0"}, "Ann"),
        ({"Cache-Control": "max-age=0, No-Cache"}, "Ann"),
        ({"Cache-Control": "max-age=0"}, "poisoned"),
        ({}, "poisoned"),
    ],
)
def test_a_client_that_asks_for_what_is_fresh_is_not_answered_from_the_cache(cached, redis_server, headers, name):
    location = user(cached)
    cached.get(location)
    with Redis.from_url(redis_server.url) as client:
        (key,) = client.keys("*user*")
        client.set(key, client.get(key).replace(b'"Ann"', b'"poisoned"'))
    assert cached.get(location, headers=headers).json["data"]["name"] == name


def test_many_misses_at_once_load_once(cache, monkeypatch):
    monkeypatch.setattr(module, "_POLLS", 500)
    monkeypatch.setattr(module, "_LOCK_MILLISECONDS", 20_000)
    entered, release, loads = threading.Event(), threading.Event(), []

    def load():
        loads.append(1)
        entered.set()
        release.wait(timeout=10)
        return {"n": 1}

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(cache.get_or_load, "x", load)
        entered.wait(timeout=10)
        others = [pool.submit(cache.get_or_load, "x", load) for _ in range(7)]
        release.set()
        values = [future.result(timeout=20) for future in [first, *others]]
    assert values == [{"n": 1}] * 8
    assert len(loads) == 1


def test_lifetimes_differ_so_that_what_was_filled_together_does_not_end_together(cache, redis_server):
    for number in range(20):
        cache.get_or_load(f"n{number}", lambda: {"n": 1})
    with Redis.from_url(redis_server.url) as client:
        lives = [client.pttl(key) for key in client.keys("*:n*")]
    assert len(lives) == 20
    assert all(0.79 * 60_000 < life <= 1.2 * 60_000 for life in lives)
    assert max(lives) - min(lives) > 1000


def test_what_does_not_exist_is_not_remembered(cache):
    assert cache.get_or_load("x", lambda: None) is None
    assert cache.get_or_load("x", lambda: {"n": 1}) == {"n": 1}


@pytest.mark.parametrize("how", ["stopped", "hanging"])
def test_without_redis_nothing_fails_and_soon_nothing_is_slower(cached, redis_server, how):
    location = user(cached)
    if how == "stopped":
        redis_server.stop()
    else:
        redis_server.signal(signal.SIGSTOP)
    try:
        for _ in range(6):
            assert cached.get(location).status_code == 200
        assert cached.patch(location, json={"name": "Anna"}).status_code == 200
        assert parts_of(cached.application).cache.breaker.is_open
        cost = time.perf_counter()
        for _ in range(100):
            parts_of(cached.application).cache.get_or_load("x", lambda: {"n": 1})
        cost = (time.perf_counter() - cost) / 100
        assert cost < 0.001
    finally:
        if how == "stopped":
            redis_server.start()
        else:
            redis_server.signal(signal.SIGCONT)


def test_a_breaker_opens_tries_once_and_closes(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("app.core.breaker.time.monotonic", lambda: now[0])
    breaker = Breaker(failures=2, pause=5)
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert breaker.is_open
    assert not breaker.allows()
    now[0] = 5.0
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.failed()
    now[0] = 9.0
    assert not breaker.allows()
    now[0] = 10.0
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
    assert not breaker.is_open
