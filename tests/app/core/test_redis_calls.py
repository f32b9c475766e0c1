import threading

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisAwayError

from app.core import redis_calls
from app.core.redis_calls import RedisCalls


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(redis_calls.time, "monotonic", lambda: now[0])
    return now


def fail(_client):
    raise RedisAwayError("gone")


def told(caplog):
    return [vars(record)["error.count"] for record in caplog.records]


def test_an_outage_is_told_once_a_second_with_the_number_of_failures(clock, caplog):
    calls = RedisCalls(Redis(), "cache")
    calls.breaker.allows = lambda: True  # each call is made: what the breaker spares is not what this is about
    for tenth in range(35):
        clock[0] = 1000 + tenth / 10
        assert calls.make(fail) is None
    assert told(caplog) == [1, 10, 10, 10]
    assert {record.message for record in caplog.records} == {"redis did not answer"}
    assert {vars(record)["labels.purpose"] for record in caplog.records} == {"cache"}


def test_no_failure_is_left_out_of_the_count_however_many_fail_at_once(clock, caplog):
    calls = RedisCalls(Redis(), "limit")
    calls.breaker.allows = lambda: True
    threads = [threading.Thread(target=lambda: [calls.make(fail) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock[0] += 1
    calls.make(fail)
    assert told(caplog) == [1, 800]


def test_what_is_answered_is_returned_and_what_is_not_worth_it_is_not_called():
    calls = RedisCalls(Redis(), "cache")
    assert calls.make(lambda _client: "answer") == "answer"
    for _ in range(5):
        calls.make(fail)
    assert calls.breaker.is_open
    assert calls.make(lambda _client: pytest.fail("was called")) is None
    assert RedisCalls(None, "cache").make(lambda _client: pytest.fail("was called")) is None
