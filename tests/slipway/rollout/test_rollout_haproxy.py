"""HAProxy's statistics page: parsed from a real process, and every rule about addresses, slots and counts."""

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from rollout_played import HAProxy

from slipway.rollout.haproxy import (
    Server,
    StatisticsError,
    Tally,
    backend_prefix,
    free_slots,
    parse,
    parse_observed,
    parse_pid,
    view,
)
from slipway.rollout.loop import Unavailable
from slipway.rollout.routers import ObserverReader, Observers, Statistics, StatisticsReader
from slipway.rollout.status import Colour

BLUE, GREEN = "127.1.0.1", "127.1.0.2"
COLOURS = {BLUE: Colour.BLUE, GREEN: Colour.GREEN}
LIVE, PREVIEW = backend_prefix("dev", "payload"), backend_prefix("dev", "payload-preview")


def server(
    address: str = BLUE, *, weight: int = 100, slot: str = "srv001", usable: bool = True, **counts: int
) -> Server:
    responses = {"2xx": counts.get("good", 0), "5xx": counts.get("bad", 0)}
    return Server("dev_payload_http", slot, address, weight if usable else 0, usable, 0, responses, 0, 0.02)


def look(*servers: Server):
    return view(servers, process="0/1", live=LIVE, preview=PREVIEW, colours=COLOURS)


def test_weights_are_read_by_address_and_strangers_do_not_count():
    found = look(server(BLUE, weight=256), server(GREEN, weight=13, slot="srv002"), server("10.9.9.9", weight=50))
    assert found is not None
    assert (found.blue, found.green, found.blue_servers, found.green_servers) == (256, 13, 1, 1)


def test_a_server_that_takes_nothing_has_no_weight():
    found = look(server(BLUE), server(GREEN, usable=False))
    assert found is not None
    assert (found.green, found.green_servers) == (0, 0)


def test_a_process_that_does_not_know_the_service_has_said_nothing():
    assert look() is None


def test_the_preview_is_another_backend_and_not_taken_for_the_live_one():
    shown = Server("dev_payload-preview_http", "srv001", GREEN, 100, True, 0, {}, 0, 0.0)
    found = look(server(BLUE), shown)
    assert found is not None
    assert (found.green, found.preview) == (0, (0, 100))


def test_only_growth_at_the_same_address_in_the_same_process_counts():
    tally = Tally()
    tally.add("a", "0/1", (server(good=1000, bad=50),), LIVE, COLOURS)
    assert sum(tally.responses.values()) == 0, "what was counted before we looked is not ours"
    tally.add("a", "0/1", (server(good=1010, bad=52),), LIVE, COLOURS)
    assert tally.responses[Colour.BLUE, "2xx"] == 10
    assert tally.responses[Colour.BLUE, "5xx"] == 2
    assert tally.seconds[Colour.BLUE] == pytest.approx(12 * 0.02)
    tally.add("a", "0/1", (server(GREEN, good=1500, bad=52),), LIVE, COLOURS)
    assert (Colour.GREEN, "2xx") not in tally.responses, "the slot got another pod: its counters are the old pod's"
    tally.add("a", "0/2", (server(GREEN, good=3, bad=0),), LIVE, COLOURS)
    tally.add("a", "0/2", (server(GREEN, good=8, bad=0),), LIVE, COLOURS)
    assert tally.responses[Colour.GREEN, "2xx"] == 5


@pytest.mark.parametrize("text", ["", "<html>", "# pxname,other\n", "# pxname,svname,weight\nb,s,1\n"])
def test_something_else_is_no_statistics_page(text):
    with pytest.raises(StatisticsError):
        parse(text)


def test_a_page_without_a_process_number_is_refused():
    with pytest.raises(StatisticsError, match="process number"):
        parse_pid("<html></html>")


OBSERVED = {
    "process": {"pid": 4711, "started": 1700000000},
    "servers": [
        {
            "backend": "dev_payload_http",
            "slot": "srv001",
            "address": f"{address}:8080",
            "state": state,
            "weight": weight,
            "sessions": 2,
            "queued": 1,
        }
        for address, state, weight in ((BLUE, "UP", 256), (GREEN, "no check", 13), ("127.0.0.1", "MAINT", 0))
    ],
}


def test_an_observer_says_the_same():
    pid, servers = parse_observed(json.dumps(OBSERVED))
    found = look(*servers)
    assert found is not None
    assert (pid, found.blue, found.green) == ("4711", 256, 13)
    assert found.open_requests[Colour.BLUE] == 3
    assert free_slots(servers, LIVE) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"servers": [{}], "process": {"pid": 1}}', "HAProxy did not answer"])
def test_something_else_is_no_answer_of_an_observer(text):
    with pytest.raises(StatisticsError, match="no answer of an observer"):
        parse_observed(text)


class Observer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "Bearer right" and self.path == "/servers"
        body = json.dumps(OBSERVED).encode() if known else b"no"
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden argument
        del format, args


def test_an_observer_is_asked_with_its_token_which_may_change_in_place(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Observer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    token = tmp_path / "token"
    token.write_text("right\n")

    async def go() -> None:
        reader = ObserverReader(Observers(token, port=server.server_address[1]))
        pid, servers = await reader.read("127.0.0.1")
        assert (pid, len(servers)) == ("4711", 3)
        token.write_text("wrong")
        with pytest.raises(Unavailable, match="401"):
            await reader.read("127.0.0.1")
        token.unlink()
        with pytest.raises(Unavailable, match="token"):
            await reader.read("127.0.0.1")
        await reader.close()

    try:
        asyncio.run(go())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def haproxy(tmp_path):
    found = HAProxy(tmp_path)
    asyncio.run(found.up())
    yield found
    found.close()


def read(haproxy: HAProxy, *, password: str = "secret", address: str = "127.0.0.1"):  # noqa: S107 - of a proxy of this test
    async def go():
        access = Statistics(port=haproxy.statistics, user="slipway", password=password)
        reader = StatisticsReader(access)
        try:
            return await reader.read(address)
        finally:
            await reader.close()

    return asyncio.run(go())


def test_a_real_haproxy_shifts_without_another_process_and_says_what_it_holds(haproxy):
    haproxy.sync("dev_payload_http", {BLUE: 256, GREEN: 13})
    first, servers = read(haproxy)
    found = look(*servers)
    assert found is not None
    assert (found.blue, found.green) == (256, 13)
    assert free_slots(servers, LIVE) == 10
    haproxy.sync("dev_payload_http", {BLUE: 0, GREEN: 100})
    second, servers = read(haproxy)
    found = look(*servers)
    assert found is not None
    assert (found.blue, found.green) == (0, 100)
    assert first == second == str(haproxy.process.pid)


def test_a_real_slot_gets_another_pod_and_the_weight_follows_the_address(haproxy):
    haproxy.sync("dev_payload_http", {BLUE: 100})
    haproxy.sync("dev_payload_http", {GREEN: 100})
    _, servers = read(haproxy)
    found = look(*servers)
    assert found is not None
    assert (found.blue, found.green) == (0, 100)
    assert {it.slot for it in servers if it.usable and it.backend == "dev_payload_http"} == {"srv001"}


def test_a_wrong_password_and_a_dead_address_are_no_answer(haproxy):
    with pytest.raises(Unavailable, match="401"):
        read(haproxy, password="wrong")
    with pytest.raises(Unavailable, match=r"127\.9\.9\.9"):
        read(haproxy, address="127.9.9.9")
