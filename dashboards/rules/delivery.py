"""The four keys of delivery (DORA), from the deployments that the rollout controller counts.

Labels `namespace` (which is the environment) and `rollout`. A window is as long as Prometheus remembers, at most: the
profile `small` keeps hours, so there the figures of a month are those of these hours.
"""

from typing import Final

from dashboards.rules.groups import Recording, RuleGroup

WINDOWS: Final = ("7d", "28d")
EVERY: Final = 60
BY: Final = "namespace, rollout"


def groups() -> tuple[RuleGroup, ...]:
    """One group; the keys of all windows."""
    return (RuleGroup("slipway-delivery", EVERY, tuple(rule for window in WINDOWS for rule in _rules(window))),)


def deployments(results: str, window: str) -> str:
    """PromQL: how many deployments ended so. Two controllers count, of which one leads, so counts are summed."""
    return f'sum by ({BY}) (increase(slipway_deployments_total{{result=~"{results}"}}[{window}]))'


def _rules(window: str) -> tuple[Recording, ...]:
    days = window.removesuffix("d")
    reached = deployments("promoted|failed", window)
    return (
        Recording(
            f"slipway:deployments:per_day_{window}",
            f"{deployments('promoted', window)} / {days}",
            f"Deployment frequency: promotions a day, over {days} days.",
        ),
        *(
            Recording(
                f"slipway:deployment_{what}_seconds:median_{window}",
                f"histogram_quantile(0.5, sum by ({BY}, le) "
                f"(increase(slipway_deployment_{what}_seconds_bucket[{window}]))) >= 0",
                f"{meaning}, in seconds: the median over {days} days.",
            )
            for what, meaning in (
                ("lead", "Lead time for changes, from commit to promotion"),
                ("restore", "Failed deployment recovery time, from first request to the last"),
            )
        ),
        Recording(
            f"slipway:deployment_failures:ratio_{window}",
            # A promoted version that is reverted is one deployment, counted as promoted before; or before the window
            # began, or Prometheus lost it: no more than all can have failed.
            f"clamp_max({deployments('failed|reverted', window)} / ({reached} > 0), 1)",
            f"Change failure rate: share of the versions that reached users and were taken back, over {days} days.",
        ),
    )
