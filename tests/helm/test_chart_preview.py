"""The check of the preview host: the script that the chart carries, run by the real k6, as the Rollout says."""

import json
import subprocess
import time
from http.server import BaseHTTPRequestHandler

import pytest

from loadtests import binary
from slipway.rollout import measure
from slipway.rollout.observation import JobView
from slipway.rollout.resource import SPEC
from slipway.rollout.status import Verdict


class Version(BaseHTTPRequestHandler):
    """A version behind an ingress: what it answers, how late, and for whom it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.headers["Host"], self.path))
        time.sleep(self.server.late)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def version(serve):
    return serve(Version, asked=[], status=200, late=0.0)


@pytest.fixture
def check(chart, tmp_path):
    def run(target, **values):
        over = {"target": target, "rate": 20, "seconds": 2, "p95Milliseconds": 500, **values}
        rendered = chart({"preview": {"check": over}})
        spec = SPEC.validate_python(rendered.one("Rollout", "payload")["spec"])
        script = tmp_path / "preview.js"
        script.write_text(rendered.one("ConfigMap", spec.preview.config_map)["data"]["preview.js"])
        told = [str(script) if argument == "/scripts/preview.js" else argument for argument in spec.preview.args]
        done = subprocess.run([binary.find(), *told], capture_output=True, text=True, timeout=60, check=False)
        answer = measure.of_job(JobView(done.returncode, done.stderr))
        return answer.conclusion or Verdict.ERROR, done

    return run


def test_a_version_that_holds_passes_and_was_asked_under_its_preview_name(check, version):
    verdict, done = check(f"http://127.0.0.1:{version.server_port}")
    assert verdict is Verdict.PASS, done.stderr
    assert set(version.asked) == {("preview.payload.dev.slipway.test", path) for path in ("/livez", "/version")}
    told = json.loads(done.stdout)
    assert told["requests"] == len(version.asked) >= 40
    assert told["failed"] == 0


@pytest.mark.parametrize(("status", "late"), [(500, 0.0), (404, 0.0), (200, 1.0)], ids=["errors", "no such", "slow"])
def test_a_version_that_does_not_hold_fails(check, version, status, late):
    version.status, version.late = status, late
    verdict, done = check(f"http://127.0.0.1:{version.server_port}")
    assert verdict is Verdict.FAIL, done.stderr


def test_an_ingress_that_does_not_answer_says_nothing_of_the_version(check, version):
    version.shutdown()
    version.server_close()
    verdict, done = check(f"http://127.0.0.1:{version.server_port}")
    assert verdict is Verdict.ERROR
    assert "the ingress did not answer" in done.stderr


def test_without_an_image_nothing_is_checked(chart):
    without = chart({"preview": {"check": {"image": ""}}})
    assert "preview" not in without.one("Rollout", "payload")["spec"]
    assert "ConfigMap payload-preview" not in without.names()
