"""The rules of colours, evaluated by promtool on series that are made up: each gives the number that it promises."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.rules import colours, services
from dashboards.rules.groups import Recording, RuleGroup

ALL = (*colours.groups(), *services.groups())
SERVICE = 'namespace="dev", service="payload"'
BLUE, GREEN = (f'{SERVICE}, colour="{colour}"' for colour in ("blue", "green"))


@pytest.fixture
def evaluated(evaluate):
    """Checks what expressions come to, over series that start at 0 and grow at each scrape (5 s)."""

    def check(series, expected, at="2m"):
        evaluate(ALL, series, expected, at=at, every="5s")

    return check


def grows(by):
    return f"0+{by}x40"


def requests(colour, outcome, pod="one"):
    return f'slipway_ingress_requests_total{{{SERVICE}, colour="{colour}", pod="{pod}", outcome="{outcome}"}}'


def buckets(colour, counts):
    return {
        f'slipway_ingress_request_seconds_bucket{{{SERVICE}, colour="{colour}", le="{le}"}}': grows(count)
        for le, count in counts.items()
    }


def test_requests_are_counted_by_colour_over_all_pods(evaluated):
    evaluated(
        {
            requests("blue", "ok"): grows(50),
            requests("blue", "ok", "two"): grows(25),
            requests("green", "ok"): grows(5),
        },
        {
            f"slipway:requests:rate{window}": {
                f"slipway:requests:rate{window}{{{BLUE}}}": 15,
                f"slipway:requests:rate{window}{{{GREEN}}}": 1,
            }
            for window in ("30s", "1m")
        },
    )


def test_the_share_of_failures_is_of_one_colour(evaluated):
    series = {
        requests("blue", "ok"): grows(100),
        requests("blue", "failed"): grows(0),
        requests("green", "ok"): grows(8),
        requests("green", "failed"): grows(2),
    }
    expected = {f"slipway:errors:ratio_rate30s{{{BLUE}}}": 0, f"slipway:errors:ratio_rate30s{{{GREEN}}}": 0.2}
    evaluated(series, {"slipway:errors:ratio_rate30s": expected})


def test_a_client_that_leaves_is_neither_a_failure_nor_a_success(evaluated):
    series = {
        requests("green", "ok"): grows(8),
        requests("green", "failed"): grows(2),
        requests("green", "aborted"): grows(90),
    }
    evaluated(
        series,
        {
            "slipway:errors:ratio_rate30s": {f"slipway:errors:ratio_rate30s{{{GREEN}}}": 0.2},
            "slipway:requests:rate30s": {f"slipway:requests:rate30s{{{GREEN}}}": 2},
        },
    )


def test_no_requests_give_no_ratio_and_no_latency(evaluated):
    series = {
        requests("green", "ok"): grows(0),
        requests("green", "failed"): grows(0),
        **buckets("green", {"0.1": 0, "+Inf": 0}),
    }
    evaluated(series, {"slipway:errors:ratio_rate30s": {}, "slipway:latency_seconds:quantile_rate30s": {}})


def test_a_first_failure_is_seen_because_its_series_was_there_before(evaluated):
    evaluated(
        {requests("green", "ok"): grows(10), requests("green", "failed"): "0x23 10"},
        {"slipway:errors:ratio_rate30s > 0": {f"slipway:errors:ratio_rate30s{{{GREEN}}}": 10 / 70}},
    )


def test_quantiles_are_of_one_colour(evaluated):
    series = {
        **buckets("blue", {"0.1": 100, "0.25": 100, "+Inf": 100}),
        **buckets("green", {"0.1": 50, "0.25": 100, "+Inf": 100}),
    }
    name = "slipway:latency_seconds:quantile_rate1m"
    evaluated(
        series,
        {
            f'{name}{{quantile="0.95"}}': {
                f'{name}{{{BLUE}, quantile="0.95"}}': 0.095,
                f'{name}{{{GREEN}, quantile="0.95"}}': 0.1 + 0.15 * 0.9,
            },
            f'{name}{{quantile="0.5", colour="green"}}': {f'{name}{{{GREEN}, quantile="0.5"}}': 0.1},
        },
    )


def test_the_mean_is_of_one_colour(evaluated):
    series = {
        f'slipway_ingress_request_seconds_sum{{{SERVICE}, colour="green"}}': grows(3),
        f'slipway_ingress_request_seconds_count{{{SERVICE}, colour="green"}}': grows(10),
    }
    name = "slipway:latency_seconds:mean_rate30s"
    evaluated(series, {name: {f"{name}{{{GREEN}}}": 0.3}})


def test_attempts_that_a_retry_made_good_show(evaluated):
    series = {
        f'slipway_ingress_attempts_failed_total{{{SERVICE}, colour="green", pod="a", kind="{kind}"}}': grows(5)
        for kind in ("connection", "response")
    }
    evaluated(series, {"slipway:attempts_failed:rate30s": {f"slipway:attempts_failed:rate30s{{{GREEN}}}": 2}})


def test_the_split_is_by_the_weights_of_all_haproxies(evaluated):
    series = {
        f'{colours.WEIGHT}{{{SERVICE}, colour="{colour}", pod="{pod}", instance="{haproxy}"}}': f"{weight}x40"
        for colour, pods, weight in (("blue", 3, 100), ("green", 1, 100))
        for pod in range(pods)
        for haproxy in ("a", "b")
    }
    expected = {f"slipway:weight:share{{{BLUE}}}": 0.75, f"slipway:weight:share{{{GREEN}}}": 0.25}
    evaluated(series, {"slipway:weight:share": expected})


def test_a_colour_without_weight_has_a_share_of_zero(evaluated):
    series = {
        f'slipway_ingress_server_weight{{{SERVICE}, colour="{colour}", pod="a"}}': f"{weight}x40"
        for colour, weight in (("blue", 100), ("green", 0))
    }
    expected = {f"slipway:weight:share{{{BLUE}}}": 1, f"slipway:weight:share{{{GREEN}}}": 0}
    evaluated(series, {"slipway:weight:share": expected})


def test_a_services_own_histogram_gives_the_same_figures(evaluated):
    base = "flask_http_request_duration_seconds"
    series = {
        f'{base}_count{{{GREEN}, status="200"}}': grows(90),
        f'{base}_count{{{GREEN}, status="503"}}': grows(10),
        f'{base}_count{{{BLUE}, status="200"}}': grows(10),
        f'{base}_bucket{{{GREEN}, status="200", le="0.1"}}': grows(100),
        f'{base}_bucket{{{GREEN}, status="200", le="+Inf"}}': grows(100),
    }
    errors, latency = "slipway:service_errors:ratio_rate1m", "slipway:service_latency_seconds:quantile_rate1m"
    evaluated(
        series,
        {
            errors: {f'{errors}{{{GREEN}, kind="flask"}}': 0.1, f'{errors}{{{BLUE}, kind="flask"}}': 0},
            f'{latency}{{quantile="0.99"}}': {f'{latency}{{{GREEN}, kind="flask", quantile="0.99"}}': 0.099},
        },
    )


@pytest.mark.parametrize("window", colours.WINDOWS)
def test_every_window_holds_several_scrapes(window):
    seconds = int(window[:-1]) * (60 if window.endswith("m") else 1)
    assert seconds >= 4 * colours.EVERY


def test_names_are_unique_and_each_has_a_meaning():
    names = [group.name for group in ALL]
    assert len(names) == len(set(names))
    series = [(rule.record, tuple(sorted(rule.labels.items()))) for group in ALL for rule in group.rules]
    assert len(series) == len(set(series))
    assert all(rule.meaning.endswith(".") for group in ALL for rule in group.rules)


def test_one_service_can_be_asked_for():
    chosen = colours.selector(namespace="dev", service="payload", colour="green")
    assert chosen == 'namespace="dev", service="payload", colour="green"'
    assert colours.samples("30s", chosen) == (
        f'sum by ({colours.BY}) (increase(slipway_ingress_requests_total{{outcome!="aborted", {chosen}}}[30s]))'
    )


@given(st.text(max_size=30))
def test_nothing_gets_out_of_a_selector(text):
    if set(text) & set('"\\\n'):
        with pytest.raises(ValueError, match="quotes and backslashes are not allowed"):
            colours.selector(namespace=text, service="a")
    else:
        assert re.fullmatch(r'namespace="[^"\\\n]*", service="a"', colours.selector(namespace=text, service="a"))


@pytest.mark.parametrize("wanted", [0, 1, -0.5, 99])
def test_a_quantile_that_is_none_is_refused(wanted):
    with pytest.raises(ValueError, match=f"the quantile {wanted} must be between 0 and 1"):
        colours.quantile(wanted, "30s")


@pytest.mark.parametrize("name", ["requests", "slipway:requests", "Slipway:requests:rate", "a:b:c:d"])
def test_a_record_of_another_form_is_refused(name):
    with pytest.raises(ValueError, match="must be named level:metric:operation"):
        Recording(name, "1", "A meaning.")


@pytest.mark.parametrize(("name", "every", "count"), [("A", 5, 1), ("a", 0, 1), ("a", 5, 0)])
def test_a_group_that_prometheus_could_not_use_is_refused(name, every, count):
    with pytest.raises(ValueError, match="the rule group"):
        RuleGroup(name, every, (Recording("a:b:c", "1", "A meaning."),) * count)
