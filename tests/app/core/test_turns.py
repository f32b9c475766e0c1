import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from werkzeug.test import Client

from app.core.turns import Entry, Turns, entry


class Service:
    """A WSGI application whose requests wait until they are let go; it knows how many are under way."""

    def __init__(self):
        self.go, self.inside, self.most, self.lock = threading.Event(), 0, 0, threading.Lock()

    def __call__(self, environ, start_response):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            if environ["PATH_INFO"] == "/broken":
                raise LookupError("broken")
            assert self.go.wait(20)
            start_response("200 OK", [])
            return [b"answer"]
        finally:
            with self.lock:
                self.inside -= 1


def full(_environ, start_response):
    start_response("503 Full", [])
    return [b""]


def make(turns, aside, queue=99, patience=30.0):
    return Turns(turns, aside, queue=queue, patience=patience, registry=CollectorRegistry())


def get(application, path="/"):
    answer = Client(application).get(path)
    answer.close()
    return answer.status_code


def until(true):
    while not true():  # the test has a timeout
        time.sleep(0.005)


def test_no_more_requests_are_worked_on_at_once_than_there_are_turns():
    service = Service()
    application = make(2, 0).around(service, full)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(get, application) for _ in range(6)]
        until(lambda: service.inside == 2)
        service.go.set()
        assert [it.result() for it in asked] == [200] * 6
    assert service.most == 2


def test_a_turn_is_kept_until_the_end_of_the_answer():
    service, application = Service(), None
    service.go.set()
    application = make(1, 0).around(service, full)
    first = Client(application).get("/", buffered=False)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(get, application)
        with pytest.raises(TimeoutError):
            second.result(0.2)
        first.close()
        assert second.result() == 200


def test_a_request_that_breaks_gives_its_turn_back():
    service = Service()
    service.go.set()
    application = make(1, 0).around(service, full)
    for _ in range(3):
        with pytest.raises(LookupError):
            get(application, "/broken")
    assert get(application) == 200


def test_who_stands_aside_lets_another_one_work_and_goes_on_in_a_turn():
    turns, passed = make(1, 1), threading.Event()
    seen = []

    def waits(environ, start_response):
        if environ["PATH_INFO"] == "/wait":
            while not passed.is_set():
                assert turns.stand_aside(0.01)
            seen.append("waited")
        else:
            seen.append("passed")
            passed.set()
        start_response("200 OK", [])
        return [b""]

    application = turns.around(waits, full)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(get, application, "/wait")
        assert get(application) == 200
        assert first.result() == 200
    assert seen == ["passed", "waited"]


@pytest.mark.parametrize("aside", [0, 1, 3])
def test_only_so_many_stand_aside_at_once(aside):
    turns = make(4, aside)
    with ThreadPoolExecutor(max(1, aside)) as pool:
        waiting = [pool.submit(turns.stand_aside, 1.0) for _ in range(aside)]
        if aside:
            until(lambda: turns._aside._value == 0)
        begun = time.monotonic()
        assert not turns.stand_aside(20.0)
        assert time.monotonic() - begun < 5
        assert all(it.result() for it in waiting)
    assert turns.stand_aside(0.0) == (aside > 0)


@given(free=st.integers(0, 9), waiting=st.integers(0, 9), most=st.integers(0, 9))
def test_whoever_finds_a_turn_works_and_only_so_many_wait(free, waiting, most):
    expected = Entry.WORKS if free else Entry.WAITS if waiting < most else Entry.REFUSED
    assert entry(free, waiting, most) is expected


def refused(turns):
    return {it.labels["reason"]: it.value for it in turns._refused.collect()[0].samples if it.name.endswith("_total")}


def test_one_more_than_may_wait_is_refused_at_once_and_those_that_wait_are_served():
    service, turns = Service(), make(2, 0, queue=3)
    application = turns.around(service, full)
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(get, application) for _ in range(5)]
        until(lambda: service.inside == 2 and turns._waiting == 3)
        assert [get(application) for _ in range(4)] == [503] * 4
        service.go.set()
        assert [it.result() for it in asked] == [200] * 5
    assert refused(turns) == {"queue full": 4}
    assert get(application) == 200


def test_nobody_waits_longer_than_a_client_does():
    service, turns = Service(), make(1, 0, queue=3, patience=0.1)
    application = turns.around(service, full)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(get, application)
        until(lambda: service.inside == 1)
        assert pool.submit(get, application).result(20) == 503
        service.go.set()
        assert first.result() == 200
    assert refused(turns) == {"waited too long": 1}
    assert get(application) == 200, "its place in the queue is free again"


def test_probes_are_answered_whoever_else_waits():
    service = Service()
    application = make(1, 0, queue=0).around(service, full)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(get, application, path) for path in ("/", "/livez")]
        until(lambda: service.inside == 2)
        assert get(application) == 503
        service.go.set()
        assert [it.result() for it in asked] == [200] * 2
