"""What a service bears: the curve, its knee, the advice; and a server whose capacity is known, found by the real k6."""

import asyncio
import contextlib
import json
import math
import statistics
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from loadtests import k6
from loadtests.capacity import LEVELS, SATURATED, advise, bad_before, knee, levels, saturated
from loadtests.plan import LoadPlan
from loadtests.stream import Second
from slipway import cli

rates = st.floats(1, 10_000)


def second(at, offered, good):
    dropped = offered - good
    return Second(at, good, 0, 0, 0, dropped, 5.0, 9.0, 12.0, {"200": good}, started=good)


def ramp(highest, bears, seconds=100):
    """A run up a straight line, of a service that answers all it can and drops the rest."""
    offered = [max(1, round(highest * at / seconds)) for at in range(1, seconds + 1)]
    return [second(at, rate, min(rate, bears)) for at, rate in enumerate(offered)]


@given(st.integers(200, 5000), st.floats(0.2, 0.9))
def test_the_knee_is_where_the_service_stops_keeping_up(highest, share):
    bears = round(highest * share)
    found = knee(levels(ramp(highest, bears)))
    assert found is not None
    # It is the level with the end in it or the one below, and a level is told by its mean: half a level more.
    assert abs(found.good - bears) <= 1.5 * highest / LEVELS
    assert abs(found.offered - bears) <= 2 * highest / LEVELS


@given(st.integers(200, 5000), st.floats(1, 3))
def test_without_an_end_there_is_no_knee(highest, share):
    assert knee(levels(ramp(highest, math.ceil(highest * share)))) is None


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), min_size=3, max_size=60))
def test_no_second_is_lost_between_the_levels(pairs):
    timeline = [second(at, max(pair), min(pair)) for at, pair in enumerate(pairs)]
    curve = levels(timeline)
    assert sum(it.seconds for it in curve) == len(timeline) - 2
    whole = sum(it.good * it.seconds for it in curve)
    assert whole == pytest.approx(sum(it.requests for it in timeline[1:-1]))
    assert [it.offered for it in curve] == sorted(it.offered for it in curve)
    assert len(curve) <= LEVELS


def test_a_few_levels_are_no_curve():
    assert not saturated(levels([second(at, 100, 10) for at in range(30)]))
    assert levels([]) == levels(ramp(10, 10, 2)) == ()


def test_failures_below_the_knee_are_counted_and_those_above_are_not():
    timeline = ramp(1000, 500)
    curve = levels(timeline)
    assert bad_before(curve, knee(curve)) == 0
    timeline[20] = Second(20, 210, 7, 0, 0, 0, 5.0, 9.0, 12.0, {"500": 7}, started=210)
    curve = levels(timeline)
    assert bad_before(curve, knee(curve)) == pytest.approx(7)


@given(rates, st.integers(1, 50), rates, st.floats(1, 5), st.floats(1, 4))
def test_the_advised_pods_bear_the_load_with_one_gone(bears, pods, usual, times, headroom):
    advice = advise(bears, pods=pods, usual=usual, peak=usual * times, headroom=headroom)
    each = bears / pods
    assert 2 <= advice.min_replicas <= advice.max_replicas
    assert (advice.max_replicas - 1) * each * (1 + 1e-6) >= usual * times * headroom
    assert (advice.min_replicas - 1) * each * (1 + 1e-6) >= usual * headroom
    assert advice.per_pod * headroom == pytest.approx(each)
    assert advice.utilization <= 100 / headroom


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pods": 0}, "pods is 0"),
        ({"headroom": 0.9}, "headroom is 0.9; it must be at least 1"),
        ({"peak": 10}, "peak is 10/s and usual is 50/s"),
    ],
)
def test_advice_on_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        advise(100, **({"pods": 2, "usual": 50, "peak": 90} | changes))


AT_ONCE, EACH = 3, 0.025  # requests, seconds: 120 a second and no more


class Narrow:
    """A server that answers so many at once, each in the same time, and lets the others wait."""

    def __enter__(self):
        self._ready, self._connections, self.held = threading.Event(), set(), []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self):
        self._loop, self._stop, self._places = asyncio.get_running_loop(), asyncio.Event(), asyncio.Semaphore(AT_ONCE)
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, reader, writer):
        task = asyncio.current_task()
        self._connections.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    async with self._places:
                        taken = time.monotonic()
                        await asyncio.sleep(EACH)
                        self.held.append(time.monotonic() - taken)
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    await writer.drain()
        finally:
            self._connections.discard(task)
            writer.transport.abort()


def test_the_capacity_of_a_narrow_server_is_found(tmp_path, monkeypatch):
    with Narrow() as server:
        plan = LoadPlan(
            scenario="page", workload="breakpoint", base_url=f"http://127.0.0.1:{server.port}", rate=300, duration=20,
            workdir=tmp_path / "runs", stall=0.5,
        )  # fmt: skip
        result = k6.run(plan)
    assert result.dropped > 0, "it was pushed until it broke"
    monkeypatch.chdir(tmp_path)
    command = ["loadtest", "capacity", str(result.folder), "--pods", "2", "--cores", "0.5", "--peak", "240"]
    done = CliRunner().invoke(cli.cli, command)
    assert done.exit_code == 0, done.output
    report = json.loads(Path("build/reports/loadtest-capacity.json").read_text())
    found = report["figures"]["requests per s at the knee"]
    # A busy machine wakes late, so what it really bore is told by how long its places were held.
    assert 0.8 * AT_ONCE / statistics.fmean(server.held) < found < 1.02 * AT_ONCE / EACH
    assert report["figures"]["per pod"] == pytest.approx(found / 2, abs=0.1)
    assert report["figures"]["per core"] == pytest.approx(found, abs=0.1)
    assert report["figures"]["HorizontalPodAutoscaler"]["maxReplicas"] >= 1 + math.ceil(240 * 1.4 / 60)
    assert "knee" in Path("build/reports/loadtest-capacity.html").read_text()


def test_a_run_that_never_broke_is_inconclusive_and_says_what_was_borne(plain_server, tmp_path, monkeypatch):
    plan = LoadPlan(
        scenario="page", path="/v1/users", workload="stairs", base_url=plain_server.url, address="127.0.0.1",
        rate=50, duration=10, workdir=tmp_path / "runs",
    )  # fmt: skip
    folder = k6.run(plan).folder
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.cli, ["loadtest", "capacity", str(folder), "--pods", "1", "--cores", "1"])
    assert done.exit_code == 3, done.output
    assert "requests per s, at least: " in done.output
    assert SATURATED < 1
