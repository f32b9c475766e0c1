"""The sliding window: what it allows, that Redis and one process count alike, and that Redis may be away."""

import itertools
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from app.core import cache as connections
from app.core.cache import connect
from app.core.rate_limit import Policy, RateLimiter, outcome, taken

policies = st.builds(Policy, st.just("requests"), st.integers(1, 20), st.integers(1, 3))
steps = st.lists(st.integers(0, 1500), min_size=1, max_size=40)
START = 1_800_000_000_000


def play(policy: Policy, steps: list[int]):
    """Each request of a sequence: when, the count after it, and whether it was allowed."""
    count = None
    for now in itertools.accumulate([START + steps[0], *steps[1:]]):
        count, allowed = taken(count, policy, now)
        yield now, count, allowed


@given(policies, steps)
def test_no_window_holds_more_than_is_allowed_and_refused_requests_do_not_count(policy, steps):
    allowed = [now for now, _, ok in play(policy, steps) if ok]
    for _, group in itertools.groupby(allowed, key=lambda now: now // policy.window):
        assert len(list(group)) <= policy.requests


@given(policies.filter(lambda policy: policy.requests > 1), st.integers(0, 3000))
def test_who_asks_evenly_and_one_less_than_is_allowed_is_never_refused(policy, offset):
    pause = -(-policy.window // (policy.requests - 1))
    assert all(ok for _, _, ok in play(policy, [offset, *[pause] * 60]))


@given(policies, steps)
def test_the_next_request_is_allowed_after_the_time_that_is_told_and_not_before(policy, steps):
    for now, count, ok in play(policy, steps):
        told = outcome(count, ok, policy, now)
        if not ok:
            assert taken(count, policy, now + told.seconds * 1000)[1]
            assert not taken(count, policy, now + (told.seconds - 1) * 1000)[1]


@given(policies, steps)
def test_as_many_may_follow_at_once_as_is_told_and_no_more(policy, steps):
    for now, count, ok in play(policy, steps):
        told = outcome(count, ok, policy, now)
        at_once = count
        for _ in range(told.remaining):
            at_once, again = taken(at_once, policy, now)
            assert again
        assert not taken(at_once, policy, now)[1]


@pytest.fixture
def client(redis_file, monkeypatch):
    monkeypatch.setattr(connections, "_TIMEOUT_SECONDS", 5)  # a busy machine is not what these tests are about
    made = connect(redis_file, 16)
    yield made
    made.close()


def limiter(client, clock=time.time) -> RateLimiter:
    return RateLimiter(client, "dev", CollectorRegistry(), clock)


def places(made: RateLimiter) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["outcome"], sample.labels["place"]): sample.value
        for metric in made._requests.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def test_redis_and_a_process_count_alike(client):
    numbers = itertools.count()

    @settings(max_examples=60)
    @given(policies, st.lists(st.integers(-700, 1500), min_size=1, max_size=30))
    def check(policy, steps):  # clocks of several processes: time may also go back a little
        moments = itertools.chain(itertools.accumulate(steps, initial=START), itertools.repeat(START))
        alike = [next(moments) / 1000 for _ in range(len(steps) + 1)]
        shared, alone = (limiter(one, iter(alike).__next__) for one in (client, None))
        who = f"caller-{next(numbers)}"
        for _ in alike:
            assert shared.take(policy, who) == alone.take(policy, who)
        assert {place for _, place in places(shared)} == {"redis"}

    check()


def test_processes_count_together_and_no_request_slips_through(client):
    policy = Policy("requests", 100, 60)
    limiters = [limiter(client, lambda: START / 1000) for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda number: limiters[number % 4].take(policy, "ann"), range(160)))
    assert sum(one.allowed for one in told) == 100
    assert sorted(one.remaining for one in told if one.allowed) == list(range(100))


def test_callers_and_policies_are_counted_apart_and_nothing_stays(client):
    made = limiter(client)
    one, other = Policy("requests", 1, 2), Policy("logins", 1, 2)
    assert [made.take(policy, who).allowed for who in ("ann", "bob") for policy in (one, one, other)] == [
        True,
        False,
        True,
    ] * 2
    lives = [client.pttl(key) for key in client.keys("payload:dev:limit:*")]
    assert len(lives) == 4
    assert all(0 < life <= 4000 for life in lives)


@pytest.mark.parametrize("how", ["stopped", "hanging"])
def test_without_redis_a_process_counts_alone_and_soon_nothing_is_slower(redis_file, redis_server, how):
    policy = Policy("requests", 200, 60)
    client = connect(redis_file, 16)
    made = limiter(client)
    assert made.take(policy, "ann").allowed
    if how == "stopped":
        redis_server.stop()
    else:
        redis_server.signal(signal.SIGSTOP)
    try:
        for _ in range(6):
            assert made.take(policy, "ann").allowed
        began = time.perf_counter()
        told = [made.take(policy, "ann") for _ in range(200)]
        assert (time.perf_counter() - began) / len(told) < 0.001
        assert [one.allowed for one in told] == [True] * 194 + [False] * 6
        assert told[-1].seconds >= 1
    finally:
        if how == "stopped":
            redis_server.start()
        else:
            redis_server.signal(signal.SIGCONT)
    made.breaker._closed_again = 0.0  # its pause is over
    while ("allowed", "redis") not in places(made) or places(made)["allowed", "redis"] < 2:
        made.breaker._closed_again = 0.0
        made.take(policy, "bob")
    assert made.take(policy, "ann").remaining < 200
    client.close()


FAR = Policy("requests", 600, 60)


def calls_of(made: RateLimiter, monkeypatch) -> list[object]:
    """Each question to Redis from now on."""
    calls, ask = [], made._script

    def counted(**given):
        calls.append(given)
        return ask(**given)

    monkeypatch.setattr(made, "_script", counted)
    return calls


def test_who_is_far_from_the_limit_is_asked_after_seldom_and_told_the_truth(client, monkeypatch):
    made = limiter(client, lambda: START / 1000)
    calls = calls_of(made, monkeypatch)
    told = [made.take(FAR, "ann") for _ in range(601)]
    assert [one.remaining for one in told if one.allowed] == list(reversed(range(600)))
    assert not told[600].allowed
    assert len(calls) < 400  # the last 200 one by one, and one for the one that is refused
    assert len(calls) > 201


def test_no_request_slips_through_where_several_count_ahead(client):
    limiters = [limiter(client, lambda: START / 1000) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda number: limiters[number % 3].take(FAR, "ann"), range(900)))
    assert sum(one.allowed for one in told) == 600


def test_what_was_counted_ahead_and_never_came_is_at_most_eight_for_each_process(client):
    for number in range(1, 10):
        assert limiter(client, lambda: START / 1000).take(FAR, "ann").allowed
        (name,) = client.keys("payload:dev:limit:*")
        assert number <= int(client.hget(name, "count")) <= 9 * number


def test_what_was_counted_ahead_ends_with_its_window(client, monkeypatch):
    now = [START / 1000]
    made = limiter(client, lambda: now[0])
    for _ in range(4):
        made.take(FAR, "ann")
    now[0] += 60
    calls = calls_of(made, monkeypatch)
    made.take(FAR, "ann")
    assert len(calls) == 1


def test_near_the_limit_nothing_is_counted_ahead(client, monkeypatch):
    made = limiter(client, lambda: START / 1000)
    calls = calls_of(made, monkeypatch)
    for _ in range(100):
        made.take(Policy("logins", 100, 60), "ann")
    assert len(calls) == 100
