"""The real k6 against a small server on loopback: a run of one to three seconds each, some 100 requests."""

import re
import shutil
import time
from dataclasses import replace

import pytest

from loadtests import k6
from loadtests.page import report, sections
from loadtests.plan import SCRIPT, LoadPlan
from loadtests.stream import Answered
from loadtests.verdict import MIN_KEYED_SHARE, MIN_UNCACHED_SHARE, ExitClass
from slipway.reports import Verdict, render


@pytest.fixture
def plan(server, tls, tmp_path):
    return LoadPlan(
        scenario="crud", base_url=server.url, rate=110, duration=1, workdir=tmp_path, ca=tls.ca, address="127.0.0.1",
        min_requests=108, seeds=4, stall=2,
    )  # fmt: skip


def why(result):
    return " ".join(result.failure_reasons)


@pytest.mark.parametrize("scenario", ["smoke", "crud"])
def test_a_good_service_passes_over_kept_connections(plan, server, scenario):
    made = replace(plan, scenario=scenario, rate=40, duration=3, stall=1.5)
    result = k6.run(made)
    assert (result.exit_class, result.reasons) == (ExitClass.PASS, ()), result.failure_reasons
    assert result.requests == made.planned > made.vus
    assert result.failed == 0
    assert result.shares["uncached reads"] >= MIN_UNCACHED_SHARE
    assert result.shares["writes with a key"] >= MIN_KEYED_SHARE
    assert sum(second.requests for second in result.timeline) == result.requests
    assert sum(result.statuses.values()) == result.requests
    assert {"GET", "POST", "PUT", "PATCH"} <= {seen[0] for seen in server.requests}


def test_each_request_makes_a_connection_of_its_own_if_asked(plan, server):
    numbers = []
    server.fault = lambda asked: numbers.append(asked.number)
    result = k6.run(replace(plan, reconnect=True))
    assert (result.exit_class, result.reasons) == (ExitClass.PASS, ()), result.failure_reasons
    assert len(numbers) >= result.requests
    assert set(numbers) == {1}


def test_each_request_carries_an_identifier_of_its_own(plan, server):
    result = k6.run(plan)
    given = [headers["x-request-id"] for _, _, headers in server.requests]
    assert len(given) == len(set(given)) > result.requests  # setup's too
    assert all(re.fullmatch(rf"{result.run_id}-\d+-\d+", it) for it in given)
    assert max(map(len, given)) <= 64, "services take no longer ones"


def test_read_mostly_reads_mostly(plan):
    result = k6.run(replace(plan, scenario="read-mostly"))
    assert (result.exit_class, result.reasons) == (ExitClass.PASS, ()), result.failure_reasons
    assert result.shares["cached reads"] == pytest.approx(0.55, abs=0.05)
    assert result.shares["uncached reads"] == pytest.approx(0.35, abs=0.05)


@pytest.mark.parametrize(("scenario", "what"), [("search", "wrote a post"), ("login", "set a password")])
def test_a_service_without_what_a_scenario_needs_fails_by_name(plan, scenario, what):
    result = k6.run(replace(plan, scenario=scenario, min_requests=50))
    assert result.exit_class is ExitClass.FAIL
    assert f"setup {what} for 0 of 4 seed users" in why(result)


def follow(plan, **changes):
    # A user is not asked again within the second that the server names, so this takes a second longer than it says.
    return k6.run(replace(plan, **{"scenario": "async", "rate": 20, "duration": 2, "min_requests": 38, **changes}))


def test_an_export_is_followed_from_its_order_to_its_file(plan, server):
    server.exporting = 1.3
    result = follow(plan)
    assert (result.exit_class, result.reasons) == (ExitClass.PASS, ()), result.failure_reasons
    assert result.finished.count == len(server.exports) >= 38
    assert result.requests == 4 * len(server.exports)  # ordered, asked twice, fetched
    assert 2000 <= result.finished.p50 <= result.finished.p95 <= result.finished.slowest < 10_000
    assert result.statuses == {"202": len(server.exports), "200": 3 * len(server.exports)}
    made = report(plan, result)
    assert made.figures["from order to file ms"]["p95"] == pytest.approx(result.finished.p95, abs=0.01)


def test_nobody_asks_sooner_than_the_service_says(plan, server):
    seen = []
    server.fault = lambda asked: seen.append((time.monotonic(), asked))
    assert follow(plan, rate=1, duration=1, min_requests=1).exit_class is ExitClass.PASS
    ordered, asked = (
        next(at for at, it in seen if it.method == way and "export" in it.path) for way in ("POST", "GET")
    )
    assert asked - ordered >= 0.99


def test_an_export_that_is_never_done_fails_by_name(plan, server):
    server.exporting = 60
    result = follow(plan, answer_limit=1.5, min_requests=1)
    assert (result.exit_class, result.finished) == (ExitClass.FAIL, None)
    assert "not done in time" in why(result)
    assert any("0 exports were fetched, at least 1 are needed" in reason for reason in result.reasons)


@pytest.mark.parametrize(
    ("lost", "fault", "reason"),
    [
        (1, lambda _asked: None, "body other number of rows"),
        (0, lambda asked: 500 if asked.path.endswith("/content") else None, "status 500"),
        (0, lambda asked: 503 if asked.path == "/v1/exports" else None, "status 503"),
    ],
    ids=["a row lost", "no file", "no order"],
)
def test_a_part_of_an_export_that_is_wrong_fails(plan, server, lost, fault, reason):
    server.lost, server.fault = lost, fault
    result = follow(plan, min_requests=1)
    assert result.exit_class is ExitClass.FAIL
    assert reason in why(result)
    assert result.finished is None


def test_exports_that_were_not_fetched_are_missed_though_nothing_failed(plan):
    with k6.start(replace(plan, scenario="async", rate=20, duration=8, min_requests=120)) as running:
        while running.totals().requests < 130:
            assert running.alive()
            time.sleep(0.05)
        result = running.finish()
    assert (result.exit_class, result.failed) == (ExitClass.FAIL, 0)
    assert f"{result.finished.count} exports were fetched, at least 120 are needed" in result.reasons


def test_a_part_of_the_mix_that_never_happened_is_no_pass(plan, monkeypatch):
    # A third of the counters is lost on the way: every request was good, and yet nobody knows what was sent.
    assert k6.run(plan).exit_class is ExitClass.PASS
    broken = shutil.copytree(SCRIPT.parent, plan.workdir / "script", ignore=shutil.ignore_patterns("*.py"))
    crud = broken / "scenarios" / "crud.js"
    crud.write_text(crud.read_text() + "\ncrud.shares.cached = 1;\n")
    monkeypatch.setattr("loadtests.plan.SCRIPT", broken / "main.js")
    result = k6.run(replace(plan, rate=150, min_requests=148))
    assert result.exit_class is ExitClass.INCONCLUSIVE
    assert "slipway_cached_reads count>=48" in " ".join(result.reasons)


def test_a_spike_rises_and_falls(plan):
    # Its height lasts two seconds of the ten: wherever the run begins, one whole second of the clock lies in it.
    result = k6.run(replace(plan, workload="spike", rate=100, duration=10, min_requests=1).guarded())
    assert (result.exit_class, result.reasons) == (ExitClass.PASS, ())
    rates = [second.requests for second in result.timeline]
    assert rates[0] < 30
    assert max(rates[3:8]) > 60
    assert rates[-1] < 30


def test_a_run_that_looks_for_the_breaking_point_ends_there(plan, server):
    server.fault = lambda _asked: 500 if len(server.requests) > 200 else None
    result = k6.run(replace(plan, workload="breakpoint", rate=200, duration=30, min_requests=1))
    assert result.exit_class is ExitClass.FAIL
    assert result.seconds < 25
    assert result.failed >= 20


def test_a_page_of_any_service_is_read_and_nothing_is_made(plan, server):
    result = k6.run(replace(plan, scenario="page", path="/v1/users?limit=1"))
    assert (result.exit_class, result.failed) == (ExitClass.PASS, 0), result.reasons
    assert {(method, path) for method, path, _ in server.requests} == {("GET", "/v1/users?limit=1")}
    assert k6.run(replace(plan, scenario="page", path="/nothing")).exit_class is ExitClass.FAIL


def test_each_answer_is_counted_for_the_colour_that_it_names(plan, server):
    server.colour = "green"
    result = k6.run(plan)
    assert result.colours == {"green": Answered(result.requests, 0)}
    server.colour = None
    assert k6.run(plan).colours == {}


def test_each_planned_request_is_made_once_and_none_after_them(plan, server):
    # The generator goes on for a moment, for those that a pause of the machine kept from being begun in time.
    result = k6.run(plan)
    assert (result.exit_class, result.reasons) == (ExitClass.PASS, ())
    made_and_read = 2 * plan.seeds  # before the load
    assert result.requests == plan.planned == len(server.requests) - made_and_read


def test_what_a_user_made_it_removes(plan, server):
    # A virtual user removes only what it made itself: with few of them each gets that far. Drops do not matter here.
    assert k6.run(replace(plan, stall=0.05)).requests > 0
    assert "DELETE" in {seen[0] for seen in server.requests}


def test_emails_and_keys_are_unique_and_uncached_reads_say_so(plan, server):
    assert k6.run(plan).exit_class is ExitClass.PASS
    emails = [user["email"] for user in server.users.values()]
    keys = [headers["idempotency-key"] for _, _, headers in server.requests if "idempotency-key" in headers]
    assert len(emails) == len(set(emails)) > 5
    assert len(keys) == len(set(keys)) > 20
    fresh = [headers for method, _, headers in server.requests if method == "GET" and "cache-control" in headers]
    assert len(fresh) >= 0.3 * 108


def test_server_errors_fail(plan, server):
    server.fault = lambda asked: 500 if asked.method == "PATCH" else None
    result = k6.run(plan)
    assert result.exit_class is ExitClass.FAIL
    assert 0 < result.failed == result.statuses["500"]
    assert "status 500" in why(result)


def test_a_wrong_body_fails_though_its_status_is_right(plan, server):
    server.fault = lambda asked: "garbage" if asked.method == "PUT" else None
    result = k6.run(plan)
    assert result.exit_class is ExitClass.FAIL
    assert "500" not in result.statuses
    assert "body other email" in why(result)


def test_answers_after_the_limit_fail(plan, server):
    # The limit is a setting of the generator for this test alone; the definition says 10 s.
    server.fault = lambda asked: 0.6 if "limit=" in asked.path else None
    result = k6.run(replace(plan, answer_limit=0.5, min_requests=50, rate=60))
    assert result.exit_class is ExitClass.FAIL
    assert "slow" in why(result)


def test_requests_that_find_no_free_connection_fail(plan, server):
    server.fault = lambda asked: 0.4 if asked.method == "GET" else None
    result = k6.run(replace(plan, stall=0.05, seeds=1))
    assert result.exit_class is ExitClass.FAIL
    assert result.dropped > 0
    assert result.failed >= result.dropped
    assert any("dropped" in reason for reason in result.reasons)
    assert sum(second.dropped for second in result.timeline) == result.dropped


@pytest.mark.parametrize("named", [True, False], ids=["connections named", "timings alone"])
def test_what_the_library_sends_twice_counts_as_failed(plan, server, named):
    # On a reused connection Go sends reads and writes with a key again by itself; only our check sees it.
    server.names_connections = named
    server.fault = lambda asked: "hang up" if asked.number == 3 else None
    result = k6.run(replace(plan, stall=0.1))
    assert result.exit_class is ExitClass.FAIL
    assert result.resent > 0
    assert result.unkeyed_failed + result.failed > 0
    assert "resent" in why(result)


def test_each_second_sending_is_found_by_the_connection(plan, server):
    """Exactly: every hang-up is a failed answer or a found second sending."""
    server.names_connections = True
    hung_up = []

    def fault(asked):
        if asked.number != 5:
            return None
        hung_up.append(asked)
        return "hang up"

    server.fault = fault
    result = k6.run(replace(plan, stall=0.1, seeds=1))  # few enough that none is of the setup
    assert result.failed - result.dropped + result.unkeyed_failed == len(hung_up) > 0
    assert result.resent > 0


def test_connections_that_end_between_two_requests_are_no_second_sending(plan, server):
    server.names_connections = True
    server.closes_after = 5
    result = k6.run(replace(plan, stall=0.1))  # so few connections that each is used again; on a busy machine too few
    assert (result.failed - result.dropped, result.unkeyed_failed, result.resent) == (0, 0, 0)
    assert result.requests > 60


def test_http2_works_and_is_asked_for_by_name(plan):
    # The server here speaks HTTP/1.1 only: k6 must fall back to it, and nothing may fail.
    assert k6.run(replace(plan, protocol="h2", min_requests=50)).exit_class is ExitClass.PASS


def test_nobody_there_fails_and_is_not_blamed_on_the_script(plan):
    result = k6.run(replace(plan, base_url="https://payload.dev.slipway.test:1", min_requests=50))
    assert result.exit_class is ExitClass.FAIL
    assert set(result.statuses) == {"0"}
    assert "setup made 0 of 4 seed users" in why(result)


def test_a_certificate_of_a_stranger_fails(plan, tls):
    result = k6.run(replace(plan, ca=tls.stranger, min_requests=50))
    assert result.exit_class is ExitClass.FAIL
    assert set(result.statuses) == {"0"}


def test_too_few_requests_fail_though_none_did(plan):
    # An end on purpose long before the wanted number: nothing failed, and yet it is no pass.
    with k6.start(replace(plan, duration=5, min_requests=300)) as running:
        while running.totals().requests < 20:
            assert running.alive()
        result = running.finish()
    assert result.failed == 0
    assert result.exit_class is ExitClass.FAIL
    assert "at least 300 are needed" in result.reasons[0]


def test_allowed_503_and_unkeyed_writes_have_columns_of_their_own(plan, server):
    def fault(asked):
        return 503 if asked.method in {"PUT", "PATCH"} else None

    server.fault = fault
    allowed = k6.run(replace(plan, allow_503=True))
    assert allowed.exit_class is ExitClass.PASS
    assert allowed.allowed == allowed.statuses["503"] > 0
    assert k6.run(replace(plan, min_requests=50)).exit_class is ExitClass.FAIL


def test_the_run_stops_at_the_first_failure_if_asked(plan, server):
    server.fault = lambda asked: 500 if "limit=" in asked.path else None
    result = k6.run(replace(plan, duration=20, rate=20, min_requests=1, stop_on_failure=True))
    assert result.exit_class is ExitClass.FAIL
    assert result.seconds < 20


def test_plain_http_and_stairs(plain_server, tmp_path):
    made = LoadPlan(
        scenario="crud", workload="stairs", base_url=plain_server.url, address="127.0.0.1", rate=100, duration=5,
        workdir=tmp_path, seeds=2, min_requests=270, stall=2,
    )  # fmt: skip
    result = k6.run(made)
    assert (result.exit_class, result.reasons) == (ExitClass.PASS, ())
    rates = [second.requests for second in result.timeline]
    assert max(rates[-2:]) > rates[1]


def test_the_report_of_a_failed_run_shows_what_failed(plan, server):
    server.fault = lambda asked: 500 if asked.method == "PATCH" else None
    result = k6.run(replace(plan, min_requests=50))
    made = report(plan, result)
    page = render(made, sections(result))
    assert made.verdict is Verdict.FAIL
    assert made.name == "loadtest-crud"
    assert "edit: status 500" in page
    assert "<svg" in page
    assert re.search(r"p99", page)
