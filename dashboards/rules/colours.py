"""How each colour of each service does, as HAProxy sees it: so it holds for any container that speaks HTTP.

The series come from the observers beside HAProxy (docs/reference/metrics.md), which name the colour themselves: no rule
here joins anything, so each expression holds for any window. `rate`, `errors`, `quantile` and `samples` give the
expressions to whoever needs another window than those that are recorded.
"""

from typing import Final

from dashboards.rules.groups import Recording, RuleGroup

#: Series that the observers give; `docs/reference/metrics.md` describes each.
REQUESTS: Final = "slipway_ingress_requests_total"
SECONDS: Final = "slipway_ingress_request_seconds"
ATTEMPTS: Final = "slipway_ingress_attempts_failed_total"
WEIGHT: Final = "slipway_ingress_server_weight"
RETRIES: Final = "slipway_ingress_retries_total"

#: What every rule is told apart by.
BY: Final = "namespace, service, colour"
#: Windows of the recorded rules. The shortest holds six scrapes, so that one that is late leaves enough.
WINDOWS: Final = ("30s", "1m", "5m")
QUANTILES: Final = (0.5, 0.95, 0.99)
#: Seconds between two evaluations: as often as is scraped.
EVERY: Final = 5
#: Requests that count: those that a client gave up are nobody's failure and no success.
_COUNTED: Final = 'outcome!="aborted"'
_FAILED: Final = 'outcome="failed"'


def selector(*, namespace: str, service: str, colour: str = "") -> str:
    """Matchers of one service, or of one of its colours, to put into an expression.

    Raises:
        ValueError: A value holds what would end the matcher.
    """
    given = {"namespace": namespace, "service": service, **({"colour": colour} if colour else {})}
    for name, value in given.items():
        if set(value) & set('"\\\n'):
            raise ValueError(f"the {name} {value!r} cannot be in a selector: quotes and backslashes are not allowed")
    return ", ".join(f'{name}="{value}"' for name, value in given.items())


def rate(window: str, matchers: str = "") -> str:
    """Finished requests per second, by colour.

    Args:
        window: Prometheus duration, such as `30s`.
        matchers: Further matchers, without braces (`selector` makes them).
    """
    return f"sum by ({BY}) (rate({REQUESTS}{{{_matchers(_COUNTED, matchers)}}}[{window}]))"


def errors(window: str, matchers: str = "") -> str:
    """Share of requests that failed, 0 to 1, by colour. No requests give no number, never 0."""
    failed = f"sum by ({BY}) (rate({REQUESTS}{{{_matchers(_FAILED, matchers)}}}[{window}]))"
    return f"{failed} / ({rate(window, matchers)} > 0)"


def quantile(wanted: float, window: str, matchers: str = "") -> str:
    """Time to the answer in seconds that `wanted` of the requests keep within, by colour.

    Args:
        wanted: 0 to 1, both excluded.
        window: Prometheus duration.
        matchers: Further matchers.

    Raises:
        ValueError: `wanted` is no quantile.
    """
    if not 0 < wanted < 1:
        raise ValueError(f"the quantile {wanted} must be between 0 and 1, such as 0.99")
    buckets = f"rate({SECONDS}_bucket{_braces(matchers)}[{window}])"
    return f"histogram_quantile({wanted}, sum by ({BY}, le) ({buckets})) >= 0"


def mean(window: str, matchers: str = "") -> str:
    """Mean time to the answer in seconds, by colour."""
    over, count = (f"sum by ({BY}) (rate({SECONDS}_{part}{_braces(matchers)}[{window}]))" for part in ("sum", "count"))
    return f"{over} / ({count} > 0)"


def samples(window: str, matchers: str = "") -> str:
    """How many requests a figure over the window rests on, by colour."""
    return f"sum by ({BY}) (increase({REQUESTS}{{{_matchers(_COUNTED, matchers)}}}[{window}]))"


def attempts(window: str, matchers: str = "") -> str:
    """Failed attempts per second, by colour: also those that a retry on another pod made good."""
    return f"sum by ({BY}) (rate({ATTEMPTS}{_braces(matchers)}[{window}]))"


def weight_share() -> str:
    """Share of the requests that a colour should get by the weights that HAProxy holds, 0 to 1."""
    return (
        f"sum by ({BY}) ({WEIGHT}) / on (namespace, service) group_left () sum by (namespace, service) ({WEIGHT}) > -1"
    )


def _matchers(*given: str) -> str:
    return ", ".join(it for it in given if it)


def _braces(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""


def groups() -> tuple[RuleGroup, ...]:
    """One group a window, and one for the weights."""
    return (*(_window(window) for window in WINDOWS), _weights())


def _window(window: str) -> RuleGroup:
    return RuleGroup(
        f"slipway-colours-{window}",
        EVERY,
        (
            Recording(f"slipway:requests:rate{window}", rate(window), "Finished requests per second."),
            Recording(f"slipway:errors:ratio_rate{window}", errors(window), "Share of requests that failed, 0 to 1."),
            *(
                Recording(
                    f"slipway:latency_seconds:quantile_rate{window}",
                    quantile(it, window),
                    "Time to the answer in seconds that a share (label quantile) of the requests keeps within.",
                    {"quantile": f"{it:g}"},
                )
                for it in QUANTILES
            ),
            Recording(f"slipway:latency_seconds:mean_rate{window}", mean(window), "Mean time to the answer, seconds."),
            Recording(
                f"slipway:attempts_failed:rate{window}",
                attempts(window),
                "Failed attempts to reach a pod per second, also those that a retry made good.",
            ),
        ),
    )


def _weights() -> RuleGroup:
    return RuleGroup(
        "slipway-weights",
        EVERY,
        (
            Recording(
                "slipway:weight:share",
                weight_share(),
                "Share of the requests that a colour should get by the weights that HAProxy holds, 0 to 1.",
            ),
        ),
    )
