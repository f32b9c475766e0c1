import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.plan import LoadPlan, PlanError, command, described, environment, target

BASE = "https://10.9.0.5:8443"


def plan(**changes):
    values = {"scenario": "crud", "base_url": BASE, "rate": 50, "duration": 10.0, "workdir": Path("/w")}
    return LoadPlan(**(values | changes))


def env(made):
    return environment(made, run_id="r", summary=Path("/w/r/summary.json"), home=Path("/w/r/home"), path="/bin")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenario": "crash"}, "scenario is 'crash'; allowed: smoke, crud, read-mostly, search, login, async, page"),
        ({"workload": "wild"}, "workload is 'wild'; allowed: constant, smoke, rollout, average"),
        ({"rate": 0}, "rate is 0; it must be at least 1"),
        ({"duration": 0.5}, "duration is 0.5"),
        ({"min_requests": 0}, "min_requests is 0"),
        ({"min_requests": 501}, "min_requests is 501, but 50/s for 10.0 s makes 500"),
        ({"stall": 0}, "stall is 0"),
        ({"answer_limit": -1}, "answer_limit is -1"),
        ({"base_url": "ftp://x"}, "base_url is 'ftp://x'"),
        ({"base_url": "https://x/v1"}, "base_url"),
        ({"base_url": "https://user:word@x"}, "base_url"),
        ({"base_url": "http://x", "ca": Path("/ca")}, "a CA needs https"),
        ({"netns": "../up"}, "netns is '../up'"),
        ({"netns": ""}, "netns is ''"),
        ({"secrets": {"LD_PRELOAD": "x"}}, "secrets holds LD_PRELOAD; allowed: SLIPWAY_TOKEN"),
    ],
)
def test_what_cannot_run_is_refused_by_name_and_value(changes, message):
    with pytest.raises(PlanError, match=message.replace("(", r"\(")):
        plan(**changes)


@given(st.integers(1, 200_000), st.integers(1, 5_000))
def test_a_plan_for_requests_makes_at_least_so_many(requests, rate):
    made = LoadPlan.for_requests(requests, rate=rate, scenario="crud", base_url=BASE, workdir=Path("/w"))
    assert made.planned >= requests == made.min_requests
    assert made.planned < requests + rate + 1


def test_a_plan_for_requests_needs_a_rate():
    with pytest.raises(PlanError, match="rate is 0"):
        LoadPlan.for_requests(10, rate=0, scenario="crud", base_url=BASE, workdir=Path("/w"))


@pytest.mark.parametrize(
    ("changes", "url", "hosts"),
    [
        ({}, "https://10.9.0.5:8443", {}),
        ({"host": "a.test"}, "https://a.test:8443", {"a.test": "10.9.0.5"}),
        ({"host": "a.test", "address": "10.0.0.1"}, "https://a.test:8443", {"a.test": "10.0.0.1"}),
        ({"base_url": "https://a.test", "address": "10.0.0.1:99"}, "https://a.test", {"a.test": "10.0.0.1:99"}),
        ({"base_url": "https://a.test/"}, "https://a.test", {}),
        ({"base_url": "https://[fd00::1]:8443", "host": "a.test"}, "https://a.test:8443", {"a.test": "fd00::1"}),
    ],
)
def test_the_name_goes_into_the_url_and_the_address_into_hosts(changes, url, hosts):
    assert target(plan(**changes)) == (url, hosts)
    assert json.loads(env(plan(**changes))["SLIPWAY_HOSTS"]) == hosts


def test_connections_cover_the_stall():
    assert plan(rate=100, stall=3).vus == 310


@given(st.integers(1, 5_000), st.floats(0.5, 30))
def test_without_a_word_connections_cover_as_long_as_an_answer_may_take_within_reason(rate, limit):
    made = plan(rate=rate, answer_limit=limit)
    assert 2 <= made.bears <= max(2, limit)
    assert made.bears >= limit or made.bears == 2 or made.vus == pytest.approx(510, abs=1)


def test_whoever_waits_for_an_export_has_a_connection_for_as_long_as_it_may_take():
    assert plan(scenario="async", rate=2, stall=3).vus == 36


def test_the_command_runs_in_the_namespace_and_keeps_the_control_server_off():
    made = command(plan(netns="slipway-node-1"), Path("/k6"), Path("/w/stream"))
    assert made[:4] == ["nsenter", "--net=/var/run/netns/slipway-node-1", "/k6", "run"]
    assert made[made.index("--address") + 1] == ""
    assert command(plan(), Path("/k6"), Path("/w/stream"))[0] == "/k6"


def test_secrets_are_in_the_environment_and_nowhere_else():
    made = plan(secrets={"SLIPWAY_TOKEN": "s3cret"})
    assert env(made)["SLIPWAY_TOKEN"] == "s3cret"
    assert "s3cret" not in repr(made)
    assert "s3cret" not in json.dumps(described(made))
    assert "s3cret" not in " ".join(command(made, Path("/k6"), Path("/s")))


def test_nothing_of_the_callers_environment_leaks_in(monkeypatch):
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "word")
    assert "PULUMI_CONFIG_PASSPHRASE" not in env(plan())


def test_only_the_given_authorities_are_trusted():
    made = env(plan(ca=Path("/ca.pem")))
    assert made["SSL_CERT_FILE"] == "/ca.pem"
    assert made["SSL_CERT_DIR"] == "/w/r/home"
    assert "SSL_CERT_FILE" not in env(plan())


def test_hygiene_and_protocol():
    made = env(plan())
    assert made["K6_NO_USAGE_REPORT"] == "true"
    assert made["GODEBUG"] == "http2client=0"
    assert "GODEBUG" not in env(plan(protocol="h2"))


@pytest.mark.parametrize(("workload", "most", "tail"), [("constant", "500", "1"), ("spike", "0", "0")])
def test_an_even_load_goes_on_a_moment_for_what_is_late_and_sends_no_more_than_planned(workload, most, tail):
    made = env(plan(workload=workload))
    assert (made["SLIPWAY_MOST"], made["SLIPWAY_TAIL"]) == (most, tail)


def test_the_deadline_is_beyond_everything_that_may_take_time():
    made = plan(duration=30)
    assert made.deadline > 30 + made.answer_limit
    assert made.graceful > made.answer_limit


def test_connections_are_kept_unless_each_request_is_to_make_its_own():
    assert env(plan())["SLIPWAY_RECONNECT"] == "0"
    assert env(plan(reconnect=True))["SLIPWAY_RECONNECT"] == "1"
    assert described(plan(reconnect=True))["reconnect"] is True


@pytest.mark.parametrize("rate", [1, 7, 130, 1500, 4999])
def test_a_plan_over_so_many_connections_has_no_more(rate):
    assert plan(rate=rate).over(32).vus == 32


def test_connections_that_are_always_there_cannot_be_taken_away():
    with pytest.raises(PlanError, match="connections is 10; it must be more than 10"):
        plan().over(10)
