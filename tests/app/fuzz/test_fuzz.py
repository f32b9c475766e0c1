"""Schemathesis against the real process with real Postgres and Redis: thousands of requests, none answered wrongly.

`make test` sends a few per route, `make fuzz` ten thousand and more. What the service itself logged is counted too:
a status that the generator did not look at would still be found there.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from app.core.database import Database
from app.openapi import FILE, described
from app.seed import seed
from app.services import exports
from slipway.reports import Bar, Report, derive, write

HERE = Path(__file__).parent
#: Cases for each route and phase in the long form, which `make fuzz` asks for; 0 is the short one.
LONG = int(os.environ.get("FUZZ_EXAMPLES", "0"))
WANTED = 10_000


@pytest.fixture
def target(serve, settings, redis_server, key_file, tmp_path):
    """A service with everything that it can have, and rows to work on."""
    database = Database(settings)
    seed(database, 400, datetime.now(UTC))
    database.close()
    redis = tmp_path / "redis-url"
    redis.write_text(redis_server.url)
    flags = tmp_path / "flags.json"
    flags.write_text('{"version": "1", "flags": {"graphql": {"on": true}, "graphql-introspection": {"on": true}}}')
    files = {
        "REDIS_URL_FILE": redis,
        "SIGNING_KEY_FILE": key_file,
        "REPLICA_URL_FILE": settings.replica_url_file,
        "FLAGS_FILE": flags,
    }
    # Streams of exports that nobody writes last as long as they may.
    variables = {**files, "STREAM_SECONDS": "0.2"}
    with serve(**{f"SLIPWAY_{name}": str(value) for name, value in variables.items()}) as running:
        yield running


@pytest.fixture
def ordered(target, settings) -> list[str]:
    """Ids of exports, every other one done."""
    database = Database(settings)
    ids: list[str] = []
    for number in range(7):
        body = {"kind": "users", "form": "csv" if number % 3 else "ndjson"}
        ids.append(httpx.post(f"{target.api}/v1/exports", json=body, headers=target.key).json()["data"]["id"])
        if number % 2:
            exports.build(database, UUID(ids[-1]), None)
    database.close()
    return ids


def run(target, ordered, tmp_path, examples: int, *options: str) -> tuple[str, dict]:
    """Run Schemathesis; return what it printed and its report."""
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", str(HERE / "schemathesis.toml")),
            *("run", str(FILE), "--url", target.api, "--max-examples", str(examples)),
            *("--report", "json", "--report-json-path", str(report), "--no-color", *options),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "FUZZ_KEY": target.key["X-API-Key"],
            "FUZZ_HOOKS": str(HERE / "hooks.py"),
            "FUZZ_EXPORTS": " ".join(ordered),
        },
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert report.exists(), done.stdout
    return done.stdout, json.loads(report.read_text("utf-8"))


def answers(target) -> Counter[tuple[str, int]]:
    """Route and status of every request that the service has logged."""
    lines = [json.loads(line) for line in target.log.read_text("utf-8").split("\n") if line]
    asked = [line for line in lines if "http.response.status_code" in line and line["message"] == "request"]
    return Counter(
        (f"{line['http.request.method']} {line['http.route']}", line["http.response.status_code"]) for line in asked
    )


def undocumented(seen: Counter[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Those of the answers that the description does not list; methods that a path lacks are 405."""
    listed = {
        (f"{method.upper()} {path.replace('{', '<uuid:').replace('}', '>')}", int(status))
        for path, methods in described()["paths"].items()
        for method, operation in methods.items()
        for status in operation["responses"]
    }
    routes = {route for route, _ in listed}
    return {
        (route, status): n for (route, status), n in seen.items() if route in routes and (route, status) not in listed
    }


def server_errors(seen: Counter[tuple[str, int]]) -> dict[tuple[str, int], int]:
    return {(route, status): number for (route, status), number in seen.items() if status >= 500}


@pytest.mark.timeout(0 if LONG else 600)
def test_every_answer_is_one_that_is_documented(target, ordered, tmp_path):
    began = datetime.now(UTC)
    options = ["--phases", "coverage,fuzzing,stateful"] if LONG else ["--phases", "coverage,fuzzing", "--seed", "1"]
    text, report = run(target, ordered, tmp_path, LONG or 2, *options)
    seen = answers(target)
    if LONG:
        tell(report, seen, began)
    assert report["failures"] == [], text
    assert report["errors"] == [], text
    assert report["operations"]["tested"] == sum(map(len, described()["paths"].values()))
    assert undocumented(seen) == {}
    assert server_errors(seen) == {}
    # It got behind the doors, and not only up to them.
    assert {status for _, status in seen} >= {200, 201, 202, 204, 404, 405, 409, 412, 422}
    assert seen["POST /v1/graphql", 200] > 0
    assert report["test_cases"]["generated"] >= (WANTED if LONG else 500)


def tell(report: dict, seen: Counter[tuple[str, int]], began: datetime) -> None:
    """Write the report `fuzz`."""
    statuses: Counter[int] = Counter()
    for (_, status), number in seen.items():
        statuses[status] += number
    bars = (
        Bar.at_least("cases", report["test_cases"]["generated"], WANTED),
        Bar.exactly("answers 5xx", sum(server_errors(seen).values()), 0),
        Bar.exactly("answers with a status that is not documented", sum(undocumented(seen).values()), 0),
        Bar.exactly("failed checks of Schemathesis", report["test_cases"]["with_failures"], 0),
        Bar.exactly("errors of Schemathesis", len(report["errors"]), 0),
    )
    figures = {
        "seed": report["seed"],
        "requests that the service logged": seen.total(),
        "answers by status": {str(status): number for status, number in sorted(statuses.items())},
        "failures": [f"{one['code']} {one['title']}" for one in report["failures"]],
    }
    seconds = (datetime.now(UTC) - began).total_seconds()
    path = write(Report(name="fuzz", started=began, seconds=seconds, figures=figures, bars=bars, verdict=derive(bars)))
    sys.stderr.write(f"\n{path}: {derive(bars)}\n")
