"""Migrations without hooks: the controller runs them, and pods look for themselves."""

import os
import subprocess

import pytest


def pod(rendered):
    return rendered.one("PodTemplate", "payload")["template"]["spec"]


def waiting(rendered):
    [container] = pod(rendered)["initContainers"]
    return container


def test_the_controller_runs_them_and_the_chart_no_job(chart):
    assert not chart().all("Job")
    assert chart().one("Rollout", "payload")["spec"]["migrations"]["command"] == ["python", "-m", "app.migrate"]


def test_waiting_reads_what_the_service_reads(chart):
    [service] = pod(chart())["containers"]
    container = waiting(chart())
    assert container["image"] == service["image"]
    assert container["envFrom"] == service["envFrom"]
    assert container["volumeMounts"] == service["volumeMounts"]
    assert {one["name"] for one in container["env"]} >= {"SLIPWAY_DATABASE_URL_FILE"}


def test_without_migrations_nobody_waits(chart):
    rendered = chart({"migrations": {"enabled": False}})
    assert "initContainers" not in pod(rendered)
    assert "migrations" not in rendered.one("Rollout", "payload")["spec"]


def run_wait(container, tmp_path, codes):
    """Runs the waiting loop in a real shell; the command exits with one code after the other. Gives result, calls."""
    calls = tmp_path / "calls"
    calls.write_text("")
    command = tmp_path / "migrate"
    command.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >> {calls}\n'
        f"set -- {' '.join(map(str, codes))}\n"
        f"shift $(($(wc -l < {calls}) - 1))\n"
        'exit "$1"\n',
    )
    command.chmod(0o755)
    nap = tmp_path / "sleep"  # the loop's naps are not what is tested
    nap.write_text("#!/bin/sh\nexit 0\n")
    nap.chmod(0o755)
    arguments = [*container["command"][:4], str(command)]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=30, check=False)
    return result, [line.partition(" ")[0] for line in calls.read_text().splitlines()]


@pytest.mark.parametrize(
    ("codes", "exit_code", "calls"),
    [
        ([0], 0, ["check"]),
        ([3, 0, 0], 0, ["check", "expand", "check"]),
        ([3, 1, 3, 0, 0], 0, ["check", "expand", "check", "expand", "check"]),
        ([1, 0], 0, ["check", "check"]),
        ([3, 4], 4, ["check", "expand"]),
        ([4], 4, ["check"]),
    ],
    ids=["applied", "pending", "an error is tried again", "no answer yet", "turns out unsafe", "unsafe"],
)
def test_waiting_ends_when_applied_or_unsafe(chart, tmp_path, codes, exit_code, calls):
    result, called = run_wait(waiting(chart()), tmp_path, codes)
    assert result.returncode == exit_code, result.stderr
    assert called == calls
    assert result.stderr.count("not applied yet") == codes.count(1)


def test_waiting_runs_the_command_that_was_given(chart):
    command = waiting(chart())["command"]
    assert command[:2] == ["/bin/sh", "-c"]
    assert command[4:] == ["python", "-m", "app.migrate"]
