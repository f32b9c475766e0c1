"""The four keys of delivery, evaluated by promtool over a month of made-up deployments."""

import pytest

from dashboards.rules import delivery

WHERE = 'namespace="production", rollout="payload"'


@pytest.fixture
def evaluated(evaluate):
    """Checks what the keys come to after 28 days, over series with a point each hour."""

    def check(series, expected):
        evaluate(delivery.groups(), series, expected, at="28d", every="1h")

    return check


def deployments(result, values, pod="one"):
    return {f'slipway_deployments_total{{{WHERE}, result="{result}", pod="{pod}"}}': values}


def reached(count, over=672):
    """A count that rises evenly from 0 to this over the window (28 days of hours)."""
    return f"0+{count / over:.10f}x{over}"


def recorded(name):
    return f"{name}{{{WHERE}}}"


def test_promotions_are_counted_by_day_over_both_controllers(evaluated):
    evaluated(
        {**deployments("promoted", reached(56)), **deployments("promoted", reached(28), "two")},
        {f"round({delivery.groups()[0].rules[4].record}, 0.01)": {f"{{{WHERE}}}": 3}},
    )


def test_failures_are_a_share_of_what_users_met(evaluated):
    evaluated(
        {
            **deployments("promoted", reached(60)),
            **deployments("failed", reached(20)),
            **deployments("reverted", reached(4)),
            **deployments("unseen", reached(100)),
            **deployments("superseded", reached(100)),
        },
        {"round(slipway:deployment_failures:ratio_28d, 0.001)": {f"{{{WHERE}}}": 0.3}},
    )


def test_without_a_failure_the_rate_is_0_and_without_a_deployment_there_is_none(evaluated):
    quiet = {**deployments("failed", "0x672"), **deployments("reverted", "0x672")}
    evaluated(
        {**deployments("promoted", reached(7)), **quiet},
        {"slipway:deployment_failures:ratio_28d": {recorded("slipway:deployment_failures:ratio_28d"): 0}},
    )
    evaluated({**deployments("promoted", "0x672"), **quiet}, {"slipway:deployment_failures:ratio_28d": {}})


def test_what_was_promoted_before_the_window_makes_no_more_than_all_fail(evaluated):
    evaluated(
        {
            **deployments("promoted", reached(1)),
            **deployments("failed", "0x672"),
            **deployments("reverted", reached(3)),
        },
        {"slipway:deployment_failures:ratio_28d": {recorded("slipway:deployment_failures:ratio_28d"): 1}},
    )


@pytest.mark.parametrize("what", ["lead", "restore"])
def test_times_are_medians_of_what_was_seen(evaluated, what):
    def bucket(le, count):
        return {f'slipway_deployment_{what}_seconds_bucket{{{WHERE}, le="{le}"}}': reached(count)}

    name = f"slipway:deployment_{what}_seconds:median_28d"
    evaluated(
        {**bucket("60", 0), **bucket("300", 10), **bucket("900", 10), **bucket("+Inf", 10)},
        {f"round({name}, 1)": {f"{{{WHERE}}}": 180}},
    )
    evaluated({f'slipway_deployment_{what}_seconds_bucket{{{WHERE}, le="+Inf"}}': "0x672"}, {name: {}})
