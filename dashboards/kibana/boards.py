"""Kibana's dashboards: what is printed, and what was asked of services."""

from typing import Final

from dashboards.kibana.model import Dashboard, Kind, Measure, Only, Operation, Panel, Split
from slipway.logs.query import spellings

_LOAD: Final = "slipway loadtest run crud"
_ROLLOUT: Final = "slipway prove --only canary"
_BAD: Final = "slipway prove --only bad-errors"

_LINES: Final = (Measure("lines"),)
_ERRORS: Final = Measure("errors", only=(Only("log.level", spellings("error")),))
_LEVELLED: Final = (Only("log.level"),)
_CONTROLLER: Final = Only("service.name", ("rollout-controller",))
_DEPLOYMENT: Final = Only("event.action", ("deployment",))

_DURATION: Final = "event.duration"  # nanoseconds, as ECS says
_STATUS: Final = "http.response.status_code"
#: The line that a service prints for each request that it has answered; HAProxy's is another one of the same request.
_REQUESTS: Final = (Only(_STATUS), Only(_DURATION), Only("event.dataset", ("ingress.access",), others=True))
_FAILED: Final = Measure("failed", only=(Only(_STATUS, least=500),))
_SLOWEST: Final = Measure("slowest", Operation.MAX, _DURATION)


def _percentiles() -> tuple[Measure, ...]:
    return tuple(Measure(f"p{it}", Operation.PERCENTILE, _DURATION, it) for it in (50, 95, 99))


LOGS: Final = Dashboard(
    "slipway-logs-overview",
    "Slipway: logs overview",
    "Who prints how much, what of it is trouble, and what slow requests and rollouts left behind.",
    (
        Panel(
            "Lines by level",
            "Lines without a level are those that are not ECS; they are counted in the next panels.",
            _LINES,
            _LOAD,
            Kind.BARS,
            (Split("log.level"),),
        ),
        Panel(
            "Lines by service",
            "By the name that lines give themselves.",
            _LINES,
            _LOAD,
            Kind.BARS,
            (Split("service.name"),),
        ),
        Panel(
            "Lines by container",
            "Every line, also of programs that print no ECS. One that grows alone prints in a loop.",
            _LINES,
            _LOAD,
            Kind.BARS,
            (Split("kubernetes.container.name", 15),),
        ),
        Panel(
            "Errors over time",
            "Errors, and warnings with them. During a rollout the next panel tells which version prints them.",
            (_ERRORS, Measure("warnings and errors", only=(Only("log.level", spellings("warning")),))),
            _BAD,
            only=_LEVELLED,
        ),
        Panel(
            "Errors by service",
            "The service with most errors first; lines beside them tell whether it is a share or an outburst.",
            (_ERRORS, *_LINES),
            _BAD,
            Kind.TABLE,
            (Split("service.name"), Split("labels.colour", 3)),
            _LEVELLED,
        ),
        Panel(
            "Slowest requests",
            "The longest of all; `slipway logs --request ID` shows what happened in one.",
            (_SLOWEST,),
            _LOAD,
            Kind.TABLE,
            (Split("http.request.id", 15), Split("http.route", 1)),
            _REQUESTS,
        ),
        Panel(
            "Turns of rollouts",
            "What the rollout controller prints, by level.",
            _LINES,
            _ROLLOUT,
            Kind.BARS,
            (Split("log.level"),),
            (_CONTROLLER,),
        ),
        Panel(
            "Rollouts that ended",
            "One line each: a success was promoted, a failure was taken back.",
            _LINES,
            _ROLLOUT,
            Kind.TABLE,
            (Split("event.outcome"),),
            (_CONTROLLER, _DEPLOYMENT),
        ),
    ),
)

REQUESTS: Final = Dashboard(
    "slipway-requests",
    "Slipway: requests",
    "What was asked of services, as their own lines tell it: by route, status, version and time.",
    (
        Panel("By route", "Requests that were answered.", _LINES, _LOAD, Kind.BARS, (Split("http.route"),), _REQUESTS),
        Panel("By status", "Every status by itself.", _LINES, _LOAD, Kind.BARS, (Split(_STATUS, 12),), _REQUESTS),
        Panel(
            "Time to the answer",
            "Of the service alone, without the way to it: what half, 95 % and 99 % of the requests stay within.",
            _percentiles(),
            "slipway prove --only bad-latency",
            only=_REQUESTS,
        ),
        Panel(
            "Failed",
            "Requests that ended with a status of 500 or more, beside all.",
            (_FAILED, Measure("all")),
            _BAD,
            only=_REQUESTS,
        ),
        Panel(
            "By version",
            "During a rollout the bars change their colour.",
            _LINES,
            _ROLLOUT,
            Kind.BARS,
            (Split("labels.colour", 3),),
            _REQUESTS,
        ),
        Panel(
            "Routes",
            "The busiest first, with what failed and how long they take.",
            (Measure("requests"), _FAILED, *_percentiles()),
            _LOAD,
            Kind.TABLE,
            (Split("http.route", 20), Split("http.request.method", 5)),
            _REQUESTS,
            width=48,
        ),
    ),
)

ALL: Final = (LOGS, REQUESTS)
