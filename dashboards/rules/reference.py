"""`python -m dashboards.rules.reference` writes docs/reference/alerts.md from the rules."""

from pathlib import Path
from typing import Final

from dashboards.rules import alerts, slo
from dashboards.rules.groups import Alert
from dashboards.rules.present import Present

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "alerts.md"
_HEAD: Final = f"""# Alerts

This page is made from the rules by `python -m dashboards.rules.reference`; a test fails if it is not up to date.

A **page** needs a person now, at any hour; a **ticket** in working hours. Each has a runbook of its name. Prometheus
hands alerts to Alertmanager, which tells the webhook whose address is in the Secret that the setting
`slipway-platform:alertReceiver` names; without one they are only kept for people who look
(`kubectl -n monitoring port-forward service/alertmanager 9093`). A part that a platform does not have has no alerts.

## Promises to users

| objective | target over {slo.DAYS} days | what it says |
|---|---|---|
{{objectives}}

| pages and tickets | long window | short window | times faster than allowed |
|---|---|---|---|
{{burns}}

Both windows must burn, on at least {slo.GUARD} requests in the short one. Where Prometheus keeps less than a window
(12 h in the profile `small`), the window is what is kept.

## All alerts

| alert | severity | after | says |
|---|---|---|---|
{{alerts}}
"""


def render() -> str:
    """The whole page."""
    objectives = (f"| `{it.name}` | {100 * it.target:g} % | {it.meaning} |" for it in slo.OBJECTIVES)
    burns = (f"| {it.severity.value} | {it.long} | {it.short} | {it.rate:g} |" for it in slo.BURNS)
    every = [alert for group in (*slo.groups(), *alerts.groups(Present())) for alert in group.alerts]
    return _HEAD.format(
        objectives="\n".join(objectives),
        burns="\n".join(burns),
        alerts="\n".join(_row(alert) for alert in sorted(every, key=lambda it: (it.name, it.severity.value))),
    )


def _row(alert: Alert) -> str:
    after = f"{alert.after} s" if alert.after else "at once"
    link = f"[{alert.name}](../runbooks/{alert.name}.md)"
    return f"| {link} | {alert.severity.value} | {after} | {_plain(alert.summary)} |"


def _plain(text: str) -> str:
    """A summary with the names of its labels in place of Prometheus' templates."""
    return text.replace("{{ $labels.", "*").replace(" }}", "*")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
