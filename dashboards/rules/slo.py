"""What a service promises, and how fast it is using up what it may fail: burn rates over several windows.

Names and windows are those that sloth gives (`slo:sli_error:ratio_rate5m`, ...), so dashboards made for it fit; the
labels `namespace` and `service` stand where sloth has one fixed service. Thresholds are those of the Google SRE
workbook, chapter 5, table "Recommended parameters for an SLO of 99.9 %".
"""

from dataclasses import dataclass
from typing import Final

from dashboards.rules.colours import REQUESTS, SECONDS
from dashboards.rules.groups import Alert, Recording, RuleGroup, Severity

BY: Final = "namespace, service"
DAYS: Final = 30
EVERY: Final = 15
#: Requests in the short window below which nobody is woken: one failure of three says nothing.
GUARD: Final = 20
#: Preview hosts are tried by machines; no user waits for them.
_USERS: Final = 'service!~".*-preview"'


@dataclass(frozen=True)
class Objective:
    """One promise about the requests of every service.

    Attributes:
        name: In the label `slo`.
        target: Share of the requests that keep it, 0 to 1.
        bad: PromQL of requests per second that break it, with `{window}` for the window.
        all: The same of all that count.
        meaning: In words.
    """

    name: str
    target: float
    bad: str
    all: str
    meaning: str

    def ratio(self, window: str) -> str:
        """Share of the requests that broke it, 0 to 1; nothing without requests."""
        bad, counted = (text.replace("{window}", window) for text in (self.bad, self.all))
        return f"{bad} / ({counted} > 0)"

    @property
    def budget(self) -> float:
        """Share that may break it."""
        return round(1 - self.target, 6)


def _rate(metric: str, matchers: str) -> str:
    return f"sum by ({BY}) (rate({metric}{{{matchers}, {_USERS}}}[{{window}}]))"


_COUNTED: Final = _rate(REQUESTS, 'outcome!="aborted"')
_ANSWERED: Final = f"sum by ({BY}) (rate({SECONDS}_count{{{_USERS}}}[{{window}}]))"

_WITHIN_A_SECOND: Final = _rate(f"{SECONDS}_bucket", 'le="1"')

OBJECTIVES: Final = (
    Objective(
        "availability",
        0.999,
        _rate(REQUESTS, 'outcome="failed"'),
        _COUNTED,
        "99.9 % of the requests are answered, without a server error, within 10 s.",
    ),
    Objective(
        "latency",
        0.99,
        f"({_ANSWERED} - {_WITHIN_A_SECOND})",
        _ANSWERED,
        "99 % of the answers begin within 1 s.",
    ),
)


@dataclass(frozen=True)
class Burn:
    """A speed at which the budget is used up, seen in two windows at once.

    Attributes:
        long, short: Windows; the short one ends the alert soon after the fault has ended.
        rate: Times the speed that would use up the budget in exactly `DAYS` days.
        severity: How soon a person is needed.
    """

    long: str
    short: str
    rate: float
    severity: Severity


BURNS: Final = (
    Burn("1h", "5m", 14.4, Severity.PAGE),
    Burn("6h", "30m", 6.0, Severity.PAGE),
    Burn("1d", "2h", 3.0, Severity.TICKET),
    Burn("3d", "6h", 1.0, Severity.TICKET),
)
WINDOWS: Final = tuple(dict.fromkeys(window for burn in BURNS for window in (burn.short, burn.long)))
#: Object in the runbook and in labels -> name of the alert.
_ALERTS: Final = {"availability": "ServiceFailing", "latency": "ServiceSlow"}


def groups() -> tuple[RuleGroup, ...]:
    """For each objective: the shares over all windows, what follows from them, and the alerts."""
    return tuple(group for it in OBJECTIVES for group in (_shares(it), _budget(it), _alerts(it)))


def recorded(objective: Objective, window: str) -> str:
    """The recorded share of one objective."""
    return f'slo:sli_error:ratio_rate{window}{{slo="{objective.name}"}}'


def _shares(it: Objective) -> RuleGroup:
    labels = {"slo": it.name}
    shares = [
        Recording(f"slo:sli_error:ratio_rate{window}", it.ratio(window), f"Share that broke it: {it.meaning}", labels)
        for window in WINDOWS
    ]
    # Thirty days from the shares of five minutes: raw series over a month are more than a small Prometheus can read.
    month = Recording(
        f"slo:sli_error:ratio_rate{DAYS}d",
        f"avg_over_time({recorded(it, '5m')}[{DAYS}d])",
        "Share that broke it over the whole period, or over as much of it as is kept, each five minutes alike.",
        labels,
    )
    return RuleGroup(f"slipway-slo-{it.name}", EVERY, (*shares, month))


def _budget(it: Objective) -> RuleGroup:
    labels = {"slo": it.name}
    known = f"group by ({BY}) ({recorded(it, '5m')})"
    return RuleGroup(
        f"slipway-slo-{it.name}-budget",
        EVERY,
        (
            Recording("slo:objective:ratio", f"{known} * {it.target:g}", "Share of requests that is promised.", labels),
            Recording("slo:error_budget:ratio", f"{known} * {it.budget:g}", "Share that may break it.", labels),
            Recording("slo:time_period:days", f"{known} * {DAYS}", "Days over which the promise holds.", labels),
            Recording(
                "slo:current_burn_rate:ratio",
                f"{recorded(it, '5m')} / {it.budget:g}",
                "How many times faster than allowed the budget is being used up now.",
                labels,
            ),
            Recording(
                "slo:period_burn_rate:ratio",
                f"{recorded(it, f'{DAYS}d')} / {it.budget:g}",
                "The same over the whole period.",
                labels,
            ),
            Recording(
                "slo:period_error_budget_remaining:ratio",
                f"1 - {recorded(it, f'{DAYS}d')} / {it.budget:g}",
                "Share of the budget that is left; negative if more was used.",
                labels,
            ),
        ),
    )


def _alerts(it: Objective) -> RuleGroup:
    name = _ALERTS[it.name]
    return RuleGroup(
        f"slipway-slo-{it.name}-alerts",
        EVERY,
        tuple(
            Alert(
                name,
                burning(it, severity),
                0,
                severity,
                f"{{{{ $labels.service }}}} in {{{{ $labels.namespace }}}} uses up its {it.name} budget",
                f"{it.meaning} At this speed the budget of {DAYS} days ends "
                f"{'within hours' if severity is Severity.PAGE else 'before its time'}.",
                {"slo": it.name},
            )
            for severity in (Severity.PAGE, Severity.TICKET)
        ),
    )


def burning(it: Objective, severity: Severity) -> str:
    """Whether the budget burns so fast that someone is needed, and on enough requests to say so."""
    parts: list[str] = []
    for burn in BURNS:
        if burn.severity is not severity:
            continue
        limit = f"{burn.rate * it.budget:.6g}"
        guard = f"sum by ({BY}) (increase({REQUESTS}{{{_USERS}}}[{burn.short}])) >= {GUARD}"
        parts.append(
            f"(max by ({BY}) ({recorded(it, burn.long)}) > {limit} and on ({BY}) "
            f"max by ({BY}) ({recorded(it, burn.short)}) > {limit} and on ({BY}) {guard})"
        )
    return " or ".join(parts)
