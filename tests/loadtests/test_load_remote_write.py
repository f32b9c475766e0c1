"""k6's figures reach a real Prometheus by remote write, under the run's own labels."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from ports import free_port

from loadtests import k6
from loadtests.plan import LoadPlan, PlanError
from loadtests.verdict import ExitClass


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """Address of a Prometheus that takes what is written to it."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
    port = free_port()
    program = shutil.which("prometheus")
    assert program, "apt-get install prometheus, or `make setup-test`"
    command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(f"{url}/-/ready") as answer:  # noqa: S310
            if answer.status == 200:
                break
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.2)
    yield url
    process.terminate()
    process.wait(20)


def asked(url, expression):
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}") as answer:  # noqa: S310
        return json.loads(answer.read())["data"]["result"]


def test_what_was_sent_is_what_was_counted(prometheus, server, tls, tmp_path):
    server.colour, server.version = "green", "abc123"
    plan = LoadPlan(
        scenario="crud", base_url=server.url, rate=60, duration=3, workdir=tmp_path, ca=tls.ca, seeds=4,
        address="127.0.0.1", remote_write=f"{prometheus}/api/v1/write",
    )  # fmt: skip
    result = k6.run(plan)
    assert (result.exit_class, result.failed) == (ExitClass.PASS, 0), result.reasons
    over = f'last_over_time(k6_slipway_requests_total{{run="{result.run_id}"}}[5m])'
    (total,) = asked(prometheus, f"sum({over})")
    assert int(total["value"][1]) == result.requests
    latency = asked(prometheus, f'last_over_time(k6_slipway_ms_p99{{run="{result.run_id}"}}[5m])')
    assert {it["metric"]["scenario"] for it in latency}
    assert all(float(it["value"][1]) > 0 for it in latency)
    assert {(it["metric"]["colour"], it["metric"]["version"]) for it in latency} == {("green", "abc123")}


@pytest.mark.parametrize("url", ["ftp://a/b", "localhost:9090", "http://me:secret@h:9090/api/v1/write", "http://"])
def test_an_address_that_cannot_be_is_refused_and_no_password_is_shown(url, tmp_path):
    with pytest.raises(PlanError, match="remote_write is") as caught:
        LoadPlan(scenario="page", base_url="http://h", rate=1, duration=1, workdir=tmp_path, remote_write=url)
    assert "me:secret" not in str(caught.value)
