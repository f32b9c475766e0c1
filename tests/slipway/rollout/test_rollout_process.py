"""The controller as a process: it takes the Lease, shows how it is, and leaves cleanly when told to."""

import json
import signal
import subprocess
import sys
import time

import httpx
import pytest
from ports import free_port
from rollout_control_plane import CONTROLLER

LEASE = "/apis/coordination.k8s.io/v1/namespaces/slipway-system/leases/slipway-rollout"


def holder(control_plane) -> str:
    found = control_plane.request("GET", LEASE)
    return found.json()["spec"].get("holderIdentity", "") if found.is_success else ""


@pytest.mark.timeout(120)
def test_it_leads_shows_itself_and_gives_the_lease_up_on_sigterm(control_plane, tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "slipway.rollout", f"--metrics-port={port}", "--reader=statistics"]
    command += [f"--kubeconfig={control_plane.kubeconfig(CONTROLLER)}", "--identity=this-process"]
    log = tmp_path / "log"
    with log.open("wb") as told:
        process = subprocess.Popen(command, stderr=told)
    try:
        end = time.monotonic() + 60
        while holder(control_plane) != "this-process":
            assert time.monotonic() < end, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/other").status_code == 404
        while "slipway_rollout_leading 1.0" not in httpx.get(f"http://127.0.0.1:{port}/metrics").text:
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert holder(control_plane) == ""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["message"] for line in lines if line["message"] in {"started", "stopped"}] == ["started", "stopped"]
    assert all({"@timestamp", "log.level", "log.logger"} <= set(line) for line in lines)
