"""What a process keeps of the cache is what Redis has, or is not believed."""

import signal
import threading
import time

import httpx
import pytest
from prometheus_client import CollectorRegistry
from redis import Redis

from app.core import cache as connections
from app.core import near as module
from app.core.cache import Cache, connect


@pytest.fixture
def cache_of(redis_file, redis_server, monkeypatch):
    """Caches as processes have them: what they ask by, and what they are told by."""
    monkeypatch.setattr(connections, "_TIMEOUT_SECONDS", 5)  # a busy machine is not what these tests are about
    clients, caches = [], []

    def make():
        clients.extend([connect(redis_file, 4), connect(redis_file, 1, protocol=2)])
        caches.append(Cache(clients[-2], "dev", CollectorRegistry(), clients[-1]))
        return caches[-1]

    yield make
    for cache in caches:
        cache.near._client = None  # so its thread ends
    with Redis.from_url(redis_server.url) as killer:
        killer.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    for thread in threading.enumerate():
        if thread.name == "near":
            thread.join()
    for client in clients:
        client.close()


def until(condition):
    while not condition():  # the test's timeout ends a hopeless wait
        time.sleep(0.01)


def asked_of(cache, monkeypatch):
    """The calls to Redis from now on."""
    calls, make = [], cache._redis.make
    monkeypatch.setattr(cache._redis, "make", lambda call: calls.append(1) or make(call))
    return calls


def following(cache):
    """Make it keep values, and wait until it does."""
    cache.near.follow()
    until(lambda: cache.near._trusted_until > time.monotonic())
    return cache


def kept(cache, value, name="x"):
    """Make it keep this one, and wait until it does."""

    def is_near():
        assert cache.get_or_load(name, lambda: value) == value
        return cache.near.get(cache._prefix + name) is not None

    until(is_near)


def never():
    pytest.fail("was loaded")


def test_what_is_asked_often_is_not_asked_of_redis(cache_of, monkeypatch):
    cache = following(cache_of())
    kept(cache, {"n": 1})
    calls = asked_of(cache, monkeypatch)
    assert [cache.get_or_load("x", never) for _ in range(50)] == [{"n": 1}] * 50
    assert calls == []


def test_a_caller_may_change_what_it_was_given(cache_of):
    cache = following(cache_of())
    kept(cache, {"n": 1})
    cache.get_or_load("x", never)["n"] = 2
    assert cache.get_or_load("x", never) == {"n": 1}


def test_who_does_not_follow_keeps_nothing(cache_of, monkeypatch):
    cache = cache_of()
    cache.get_or_load("x", lambda: {"n": 1})
    calls = asked_of(cache, monkeypatch)
    assert [cache.get_or_load("x", never) for _ in range(5)] == [{"n": 1}] * 5
    assert len(calls) == 5


def test_a_change_by_another_process_is_told(cache_of):
    mine, other = following(cache_of()), cache_of()
    kept(mine, {"n": 1})
    other.forget("x")
    until(lambda: mine.near.get(mine._prefix + "x") is None)
    assert mine.get_or_load("x", lambda: {"n": 2}) == {"n": 2}


def test_a_change_by_this_process_is_known_at_once(cache_of):
    cache = following(cache_of())
    for number in range(20):
        kept(cache, {"n": 0}, f"x{number}")
        cache.forget(f"x{number}")
        assert cache.get_or_load(f"x{number}", lambda: {"n": 1}) == {"n": 1}


@pytest.mark.parametrize("how", ["FLUSHALL", "DEL", "PEXPIRE"])
def test_what_redis_no_longer_has_is_not_kept(cache_of, redis_server, how):
    cache = following(cache_of())
    kept(cache, {"n": 1})
    key = cache._prefix + "x"
    arguments = {"FLUSHALL": (), "DEL": (key,), "PEXPIRE": (key, 1)}[how]
    with Redis.from_url(redis_server.url) as client:
        client.execute_command(how, *arguments)
    until(lambda: cache.near.get(key) is None)


def test_an_answer_from_before_a_write_is_not_kept(cache_of):
    cache = following(cache_of())
    before = cache.near.writes
    cache.near.forget("another")
    cache.near.put("x", b'{"n": "old"}', before)
    assert cache.near.get("x") is None


def test_what_is_asked_often_is_asked_of_redis_now_and_then(cache_of, monkeypatch):
    monkeypatch.setattr(module, "_LIFE_SECONDS", 0.2)
    cache = following(cache_of())
    kept(cache, {"n": 1})
    calls = asked_of(cache, monkeypatch)
    until(lambda: cache.get_or_load("x", never) and calls)


@pytest.mark.parametrize("how", ["stopped", "hanging"])
def test_without_redis_nothing_is_believed_and_with_it_again(cache_of, redis_server, monkeypatch, how):
    monkeypatch.setattr(connections, "_TIMEOUT_SECONDS", 0.05)
    cache = following(cache_of())
    kept(cache, {"n": 1})
    gone = time.monotonic()
    if how == "stopped":
        redis_server.stop()
    else:
        redis_server.signal(signal.SIGSTOP)
    try:
        until(lambda: cache.near.get(cache._prefix + "x") is None)
        assert cache.near._trusted_until <= gone + module._TRUST_SECONDS
    finally:
        if how == "stopped":
            redis_server.start()
        else:
            redis_server.signal(signal.SIGCONT)
    until(lambda: cache.near._trusted_until > time.monotonic())
    until(lambda: not cache.breaker.is_open)
    kept(cache, {"n": 2} if how == "stopped" else {"n": 1})


def test_where_nothing_may_be_told_nothing_is_kept(cache_of, redis_file, redis_server):
    with Redis.from_url(redis_server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "strict", "on", "nopass", "~*", "&*", "+@all", "-client|tracking")
        try:
            redis_file.write_text(redis_server.url.replace("//", "//strict:none@"))
            cache = cache_of()
            cache.near.follow()
            until(lambda: "client|tracking" in str(admin.acl_log()))
            assert [cache.get_or_load("x", lambda: {"n": 1}) for _ in range(5)] == [{"n": 1}] * 5
            assert cache.near.get(cache._prefix + "x") is None
        finally:
            admin.execute_command("ACL", "DELUSER", "strict")


def test_a_process_that_serves_follows(serve_with, settings, redis_file):
    with serve_with(settings, SLIPWAY_REDIS_URL_FILE=str(redis_file)) as service:
        place = httpx.post(
            f"{service.api}/v1/users", json={"name": "Ann", "email": "ann@example.test"}, headers=service.key
        ).headers["Location"]

        def told():
            assert httpx.get(f"{service.api}{place}", headers=service.key).status_code == 200
            return 'payload_cache_requests_total{outcome="near"}' in httpx.get(f"{service.metrics}/metrics").text

        until(told)
