"""The report `idle`: from what Prometheus answers to figures, bars and a verdict."""

import json
import subprocess
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from click.testing import CliRunner

from dashboards.live import Prometheus, PrometheusError
from slipway.cli import footprint as cli_footprint
from slipway.cli import idle
from slipway.reports import Verdict

END, MINUTES = 10_000.0, 15
PROGRAMS = idle.Programs(0.3, 2**30)
PODS = [
    {"metadata": {"namespace": "dev", "name": "payload-blue-1"}, "status": {"phase": "Running"}},
    {"metadata": {"namespace": "data", "name": "postgres-1"}, "status": {"phase": "Running"}},
    {"metadata": {"namespace": "dev", "name": "migration"}, "status": {"phase": "Succeeded"}},
]


def series(value, **labels):
    return {"metric": labels, "values": [[END, str(value)]]}


def quiet():
    """Begin of an expression -> what is answered."""
    return {
        "sum by (namespace, pod) (rate(container_cpu": [
            series(0.02, namespace="dev", pod="payload-blue-1"),
            series(0.05, namespace="data", pod="postgres-1"),
        ],
        "sum by (namespace, pod) (max_over_time(container_memory": [
            series(2**30, namespace="dev", pod="payload-blue-1"),
            series(2**31, namespace="data", pod="postgres-1"),
        ],
        "max by (alertname)": [series(1, alertname="Watchdog")],
        "count_over_time((max(ALERTS": [series(30)],
        "sum(increase(slipway_ingress_requests_total": [series(0)],
    }


def prometheus(answers, asked=None):
    def fetch(path):
        query = parse_qs(urlsplit(path).query)
        (expression,) = query["query"]
        assert query["start"] == query["end"] == ["10000"]
        if asked is not None:
            asked.append(expression)
        (result,) = [found for begin, found in answers.items() if expression.startswith(begin)]
        return json.dumps({"status": "success", "data": {"result": result}})

    return Prometheus(fetch)


def made(answers, programs=PROGRAMS):
    seen = idle.look(prometheus(answers), PODS, END, MINUTES)
    return idle.report(seen, programs, datetime(2026, 11, 28, tzinfo=UTC), 901.0)


def holds(report):
    return {bar.what.split(" of ")[0].split(" besides")[0]: bar.holds for bar in report.bars}


def test_a_quiet_platform_within_its_bars_passes():
    report = made(quiet())
    assert (report.name, report.verdict) == ("idle", Verdict.PASS)
    assert report.figures["parts"] == {
        "data": {"cores": 0.05, "memory GiB": 2.0},
        "dev": {"cores": 0.02, "memory GiB": 1.0},
        "the cluster's own programs": {"cores": 0.3, "memory GiB": 1.0},
    }
    assert (report.figures["cores"], report.figures["memory GiB"]) == (0.37, 4.0)


def test_everything_is_asked_about_the_whole_time_and_in_promql():
    asked = []
    idle.look(prometheus(quiet(), asked), PODS, END, MINUTES)
    assert len(asked) == 5
    assert all("[15m" in it and it.count("{") == it.count("}") and "{{" not in it for it in asked)


@pytest.mark.parametrize(
    ("programs", "failed"),
    [(idle.Programs(0.94, 0), "CPU"), (idle.Programs(0, 5.1 * 2**30), "memory")],
)
def test_the_clusters_own_programs_count_too(programs, failed):
    report = made(quiet(), programs)
    assert report.verdict is Verdict.FAIL
    assert [name for name, it in holds(report).items() if it is False] == [failed]


def test_an_alert_that_fired_at_any_time_fails_by_name():
    answers = quiet()
    answers["max by (alertname)"].append(series(1, alertname="TargetDown"))
    report = made(answers)
    assert report.verdict is Verdict.FAIL
    (bar,) = [bar for bar in report.bars if bar.holds is False]
    assert bar.measured == "TargetDown"


@pytest.mark.parametrize(
    ("change", "open_bar"),
    [
        ({"count_over_time((max(ALERTS": [series(29)]}, "share"),
        ({"count_over_time((max(ALERTS": []}, "share"),
        ({"sum(increase(slipway_ingress_requests_total": [series(12)]}, "users' requests meanwhile"),
        ({"sum(increase(slipway_ingress_requests_total": []}, "users' requests meanwhile"),
        (
            {"sum by (namespace, pod) (rate(container_cpu": [series(0.05, namespace="data", pod="postgres-1")]},
            "pods without figures",
        ),
    ],
    ids=["a gap", "nobody watched", "not idle", "nobody counts", "a pod unseen"],
)
def test_what_was_not_idle_or_not_seen_was_not_measured(change, open_bar):
    report = made(quiet() | change)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert [name for name, it in holds(report).items() if it is None] == [open_bar]


def test_a_cluster_elsewhere_is_judged_by_its_pods_and_says_so():
    report = made(quiet(), None)
    assert report.verdict is Verdict.PASS
    assert "the cluster's own programs are elsewhere" in report.bars[0].what


def test_a_prometheus_that_refuses_is_no_answer():
    refusing = Prometheus(lambda _path: json.dumps({"status": "error", "error": "no such function"}))
    with pytest.raises(PrometheusError, match="no such function"):
        idle.look(refusing, PODS, END, MINUTES)


def test_minutes_alone_are_a_wrong_call():
    result = CliRunner().invoke(cli_footprint.command, ["--minutes", "5"])
    assert result.exit_code == 2
    assert "say --live too" in result.output


def test_the_questions_mean_in_promql_what_the_report_says(tmp_path):
    """Evaluated by Prometheus' own engine: an alert of the past, a pod that grew, one that takes half a core."""
    asked = []
    idle.look(prometheus(quiet(), asked), PODS, END, MINUTES)
    cpu, memory, alerts, requests, watched = asked
    one = 'namespace="dev", pod="payload-blue-1"'
    file = {
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [
                    {
                        "series": f'container_cpu_usage_seconds_total{{{one}, container="service"}}',
                        "values": "0+15x40",
                    },
                    {"series": f'container_cpu_usage_seconds_total{{{one}, container=""}}', "values": "0+9x40"},
                    {"series": f'container_memory_working_set_bytes{{{one}, container="a"}}', "values": "5x20 9 5x19"},
                    {"series": f'container_memory_working_set_bytes{{{one}, container="b"}}', "values": "1x40"},
                    {"series": 'ALERTS{alertname="Watchdog", alertstate="firing"}', "values": "1x40"},
                    {"series": 'ALERTS{alertname="Late", alertstate="firing"}', "values": "_x20 1 stale"},
                    {"series": 'ALERTS{alertname="Never", alertstate="pending"}', "values": "1x40"},
                    {"series": 'slipway_ingress_requests_total{outcome="ok"}', "values": "7x40"},
                ],
                "promql_expr_test": [
                    {"expr": expression, "eval_time": "20m", "exp_samples": samples}
                    for expression, samples in (
                        (cpu, [{"labels": f"{{{one}}}", "value": 0.5}]),
                        (memory, [{"labels": f"{{{one}}}", "value": 10}]),
                        (
                            alerts,
                            [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in ("Late", "Watchdog")],
                        ),
                        (f"{watched} >= bool 30", [{"labels": "{}", "value": 1}]),
                        (requests, [{"labels": "{}", "value": 0}]),
                    )
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(file))
    done = subprocess.run(["promtool", "test", "rules", "test.yaml"], cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
