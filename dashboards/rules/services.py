"""How each colour does by its own account, for services that export a histogram of their requests.

A second opinion: it sees what never came through HAProxy, and not what never reached the pod. Labels `namespace`,
`service`, `colour` and `version` are the pod's, set where it is scraped.
"""

from dataclasses import dataclass
from typing import Final

from dashboards.rules.colours import BY, EVERY, QUANTILES
from dashboards.rules.groups import Recording, RuleGroup

WINDOW: Final = "1m"


@dataclass(frozen=True)
class Histogram:
    """A histogram of requests that some kind of service exports.

    Attributes:
        kind: What exports it, a part of the group's name.
        metric: Its name without `_bucket`, in seconds.
        failed: Matcher of the requests that failed.
    """

    kind: str
    metric: str
    failed: str


#: prometheus-flask-exporter, and the name that OpenTelemetry gives to the same.
KNOWN: Final = (
    Histogram("flask", "flask_http_request_duration_seconds", 'status=~"5.."'),
    Histogram("opentelemetry", "http_server_request_duration_seconds", 'http_response_status_code=~"5.."'),
)


def groups(known: tuple[Histogram, ...] = KNOWN) -> tuple[RuleGroup, ...]:
    """One group a kind; one whose series nobody exports records nothing."""
    return tuple(_group(it) for it in known)


def _group(it: Histogram) -> RuleGroup:
    def total(matcher: str = "") -> str:
        return f"sum by ({BY}) (rate({it.metric}_count{matcher}[{WINDOW}]))"

    kind = {"kind": it.kind}
    return RuleGroup(
        f"slipway-services-{it.kind}",
        EVERY,
        (
            Recording(f"slipway:service_requests:rate{WINDOW}", total(), "Requests per second.", kind),
            Recording(
                f"slipway:service_errors:ratio_rate{WINDOW}",
                # A service that never failed has no series for failures yet; that is 0, as long as there are requests.
                f"({total('{' + it.failed + '}')} or 0 * {total()}) / ({total()} > 0)",
                "Share of requests that the service answered with a server error, 0 to 1.",
                kind,
            ),
            *(
                Recording(
                    f"slipway:service_latency_seconds:quantile_rate{WINDOW}",
                    f"histogram_quantile({wanted}, sum by ({BY}, le) (rate({it.metric}_bucket[{WINDOW}]))) >= 0",
                    "Time in seconds that a share (label quantile) of the requests takes at most.",
                    {**kind, "quantile": f"{wanted:g}"},
                )
                for wanted in QUANTILES
            ),
        ),
    )
