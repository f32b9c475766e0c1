import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from werkzeug.test import Client

from app.core.turns import Entry, Turns, entry


class Desk:
    """Asks for turns as the server does; requests are numbers, and end when they are let go."""

    def __init__(self, turns, pool):
        self.turns, self.go, self.lock = turns, threading.Event(), threading.Lock()
        self.inside, self.most, self.done, self.threads = 0, 0, [], set()
        turns.serve(lambda request: pool.submit(turns.run, request, self.work))

    def work(self, request):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.threads.add(threading.get_ident())
        assert self.go.wait(20)
        with self.lock:
            self.inside -= 1
            self.done.append(request)


def make(turns, aside, queue=99, patience=30.0):
    return Turns(turns, aside, queue=queue, patience=patience, registry=CollectorRegistry())


def until(true):
    while not true():  # the test has a timeout
        time.sleep(0.005)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_no_more_requests_are_worked_on_at_once_than_there_are_turns(pool):
    desk = Desk(make(2, 0), pool)
    assert all(desk.turns.ask(number) for number in range(6))
    until(lambda: desk.inside == 2)
    assert desk.turns.counts() == {"working": 2, "waiting": 4}
    desk.go.set()
    until(lambda: desk.turns.counts() == {"working": 0, "waiting": 0})
    assert desk.most == 2
    assert sorted(desk.done) == list(range(6))
    assert len(desk.threads) == 2, "who has ended goes on with the next one"


def test_a_request_that_ends_its_thread_keeps_no_turn_and_those_that_wait_are_served(pool):
    turns, done = make(1, 0), []
    begun, go = threading.Event(), threading.Event()

    def work(request):
        if request == 0:
            begun.set()
            assert go.wait(20)
            raise SystemExit
        done.append(request)

    turns.serve(lambda request: started.append(pool.submit(turns.run, request, work)))
    started = []
    assert turns.ask(0)
    assert begun.wait(20)
    assert turns.ask(1)
    go.set()
    with pytest.raises(SystemExit):
        started[0].result(20)
    until(lambda: turns.counts() == {"working": 0, "waiting": 0})
    assert done == [1]


def test_those_that_wait_are_served_in_the_order_in_which_they_came(pool):
    desk = Desk(make(1, 0), pool)
    for number in range(5):
        desk.turns.ask(number)
    desk.go.set()
    until(lambda: len(desk.done) == 5)
    assert desk.done == list(range(5))


def test_who_stands_aside_lets_another_one_work_and_goes_on_before_those_that_wait(pool):
    turns, passed = make(1, 1), threading.Event()
    seen = []

    def work(request):
        if request == "waits":
            while not passed.is_set():
                assert turns.stand_aside(0.01)
        seen.append(request)
        if request == "passes":
            turns.ask("comes later")
            passed.set()
            until(lambda: turns._returning)

    turns.serve(lambda request: pool.submit(turns.run, request, work))
    assert turns.ask("waits")
    assert turns.ask("passes")
    until(lambda: turns.counts() == {"working": 0, "waiting": 0})
    assert seen == ["passes", "waits", "comes later"]


def test_of_those_that_come_back_the_one_whose_time_ends_first_goes_on_first(pool):
    turns, seen = make(1, 3), []
    naps = {"came first": 0.6, "second": 0.5, "third": 0.4}

    def work(request):
        if request in naps:
            assert turns.stand_aside(naps[request])
        else:
            until(lambda: len(turns._returning) == 3)
        seen.append(request)

    turns.serve(lambda request: pool.submit(turns.run, request, work))
    assert all(turns.ask(request) for request in (*naps, "has the turn"))
    until(lambda: turns.counts() == {"working": 0, "waiting": 0})
    assert seen == ["has the turn", *naps]


def test_whose_time_ends_before_there_is_a_turn_answers_so_and_its_turn_is_nobodys(pool):
    turns, end, seen, after = make(1, 1, patience=0.3), threading.Event(), [], []

    def work(request):
        if request == "waits":
            seen.append((request, turns.stand_aside(0.05), turns.counts()))
        elif request == "has the turn":
            assert end.wait(20)
            seen.append(request)
        else:
            after.append(turns.counts())

    turns.serve(lambda request: pool.submit(turns.run, request, work))
    assert all(turns.ask(request) for request in ("waits", "has the turn", "comes later"))
    until(lambda: turns.counts()["working"] == 1 and seen)
    assert not after, "there was a turn too many: who waits must not have it"
    end.set()
    until(lambda: turns.counts() == {"working": 0, "waiting": 0})
    assert seen == [("waits", False, {"working": 2, "waiting": 1}), "has the turn"]
    assert after == [{"working": 1, "waiting": 0}]
    assert refused(turns) == {"waited too long": 1}
    assert turns.ask("comes later"), "no turn was lost"
    until(lambda: len(after) == 2)


def get(application, path):
    return Client(application).get(path).data


def test_who_has_a_turn_is_let_in_and_all_others_are_refused_but_probes(pool):
    turns = make(1, 0)

    def says(text):
        def application(_environ, start_response):
            start_response("200 OK", [])
            return [text]

        return application

    application = turns.around(says(b"in"), says(b"refused"))
    found = {}
    turns.serve(lambda asked: pool.submit(turns.run, asked, lambda path: found.update({path: get(application, path)})))
    assert turns.ask("/in")
    until(lambda: turns.counts()["working"] == 0)
    assert found == {"/in": b"in"}
    assert [get(application, path) for path in ("/", "/livez", "/readyz")] == [b"refused", b"in", b"in"]


def test_waits_end_with_the_request_that_they_are_part_of_also_if_it_waited_for_its_turn(pool):
    turns, ends, go = make(1, 0, patience=5.0), {}, threading.Event()

    def work(request):
        ends[request] = turns.until(60.0), turns.until(1.0)
        if request == "first":
            assert go.wait(20)

    turns.serve(lambda asked: pool.submit(turns.run, asked, work))
    asked = time.monotonic()
    assert turns.ask("first")
    assert turns.ask("second")
    time.sleep(0.5)
    begun = time.monotonic()
    go.set()
    until(lambda: turns.counts() == {"working": 0, "waiting": 0})
    for request in ("first", "second"):
        assert ends[request][0] == pytest.approx(asked + 5.0, abs=0.4)
    assert begun <= ends["second"][1] - 1.0 < begun + 3.0, "a shorter wait is as long as ever"
    assert turns.until(60.0) == pytest.approx(time.monotonic() + 60.0, abs=1.0), "without a turn nothing else counts"


def test_a_body_may_go_on_after_the_time_in_which_the_answer_had_to_begin(pool):
    turns, found = make(1, 0, patience=5.0), []

    def streams(_environ, start_response):
        found.append(turns.until(60.0))
        start_response("200 OK", [])

        def body():
            found.append(turns.until(60.0))
            yield b"last"

        return body()

    application = turns.around(streams, streams)
    turns.serve(lambda asked: pool.submit(turns.run, asked, lambda path: get(application, path)))
    assert turns.ask("/in")
    until(lambda: turns.counts()["working"] == 0)
    assert found[1] - found[0] > 50.0


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


def test_one_more_than_may_wait_is_refused_at_once_and_those_that_wait_are_served(pool):
    desk = Desk(make(2, 0, queue=3), pool)
    assert [desk.turns.ask(number) for number in range(9)] == [True] * 5 + [False] * 4
    desk.go.set()
    until(lambda: len(desk.done) == 5)
    assert refused(desk.turns) == {"queue full": 4}
    until(lambda: desk.turns.counts()["working"] == 0)
    assert desk.turns.ask(9)


def test_nobody_waits_longer_than_a_client_does(pool):
    desk = Desk(make(1, 0, queue=3, patience=0.2), pool)
    for number in range(3):
        assert desk.turns.ask(number)
    until(lambda: time.monotonic() >= desk.turns._waiting[-1][0])
    assert desk.turns.expired() == [1, 2]
    assert desk.turns.expired() == []
    assert refused(desk.turns) == {"waited too long": 2}
    assert all(desk.turns.ask(number) for number in range(3, 6)), "their places in the queue are free again"
    desk.go.set()
    until(lambda: desk.turns.counts() == {"working": 0, "waiting": 0})
    assert desk.done == [0, 3, 4, 5]
