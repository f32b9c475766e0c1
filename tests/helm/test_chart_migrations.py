"""Migrations without hooks: a Job for each image, and pods that wait for themselves."""

import os
import subprocess

import pytest


def waiting(rendered, colour="blue"):
    [container] = rendered.one("Deployment", f"payload-{colour}")["spec"]["template"]["spec"]["initContainers"]
    return container


def jobs(rendered):
    return {one["spec"]["template"]["spec"]["containers"][0]["image"]: one for one in rendered.all("Job")}


def test_each_image_has_its_job(chart):
    rendered = chart()
    images = {one["image"] for colour in ("blue", "green") for one in [waiting(rendered, colour)]}
    assert set(jobs(rendered)) == images
    assert len({one["metadata"]["name"] for one in rendered.all("Job")}) == 2


def test_colours_with_one_image_share_a_job(chart):
    image = "registry.example.test/payload:1"
    assert len(chart({"colours": {"blue": {"image": image}, "green": {"image": image}}}).all("Job")) == 1


def test_job_is_named_by_what_it_runs(chart):
    def name(values):
        [job] = chart(
            {"colours": {"blue": {"image": "a:1"}, "green": {"image": ""}}, "weights": {"blue": 100, "green": 0}}
            | values
        ).all("Job")
        return job["metadata"]["name"]

    first = name({})
    assert first.startswith("payload-migrate-")
    assert name({"probes": {"liveness": {"periodSeconds": 20}}}) == first, "a Job must not run again for nothing"
    changes = [{"migrations": {"expand": ["other"]}}, {"env": {"A": "b"}}, {"secrets": []}, {"security": {"user": 5}}]
    assert len({first, *map(name, changes)}) == 5, "a Job cannot be changed, so each change needs a new one"


def test_job_is_an_ordinary_object(chart):
    for job in chart().all("Job"):
        assert not [key for key in job["metadata"].get("annotations", {}) if key.startswith("helm.sh/hook")]
        # A Job that vanished would be made and run again by the next installation.
        assert "ttlSecondsAfterFinished" not in job["spec"]
        assert job["spec"]["activeDeadlineSeconds"] == 600
        spec = job["spec"]["template"]["spec"]
        assert spec["restartPolicy"] == "OnFailure"
        assert "initContainers" not in spec
        assert spec["containers"][0]["command"] == ["python", "-m", "app.migrate", "expand", "--json"]


def test_migration_reads_what_the_service_reads(chart):
    rendered = chart()
    [service] = rendered.one("Deployment", "payload-green")["spec"]["template"]["spec"]["containers"]
    job = jobs(rendered)[service["image"]]["spec"]["template"]["spec"]["containers"][0]
    for container in (job, waiting(rendered, "green")):
        assert container["envFrom"] == service["envFrom"]
        assert container["volumeMounts"] == service["volumeMounts"]
        assert {one["name"] for one in container["env"]} >= {"SLIPWAY_DATABASE_URL_FILE"}


def test_without_migrations_nobody_waits(chart):
    for deployment in chart({"migrations": {"enabled": False}}).all("Deployment"):
        assert "initContainers" not in deployment["spec"]["template"]["spec"]


def run_wait(container, tmp_path, codes):
    """Runs the waiting loop in a real shell; the check exits with one code after the other. Gives result and count."""
    counter = tmp_path / "count"
    counter.write_text("")
    check = tmp_path / "check"
    check.write_text(
        "#!/bin/sh\n"
        f"printf x >> {counter}\n"
        f"set -- {' '.join(map(str, codes))}\n"
        f"shift $(($(wc -c < {counter}) - 1))\n"
        'exit "$1"\n',
    )
    check.chmod(0o755)
    nap = tmp_path / "sleep"  # the loop's naps are not what is tested
    nap.write_text("#!/bin/sh\nexit 0\n")
    nap.chmod(0o755)
    command = [*container["command"][:4], str(check)]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    return result, len(counter.read_text())


@pytest.mark.parametrize(
    ("codes", "exit_code"),
    [([0], 0), ([3, 3, 0], 0), ([1, 3, 1, 0], 0), ([3, 4], 4), ([4], 4)],
    ids=["applied", "pending, then applied", "errors are tried again", "turns out unsafe", "unsafe"],
)
def test_waiting_ends_when_applied_or_unsafe(chart, tmp_path, codes, exit_code):
    result, count = run_wait(waiting(chart()), tmp_path, codes)
    assert result.returncode == exit_code, result.stderr
    assert count == len(codes)
    assert result.stderr.count("not applied yet") == len(codes) - 1


def test_waiting_runs_the_check_that_was_given(chart):
    command = waiting(chart())["command"]
    assert command[:2] == ["/bin/sh", "-c"]
    assert command[4:] == ["python", "-m", "app.migrate", "check", "--json"]
