"""Migrations without hooks: the controller runs them, and pods look for themselves."""

import os
import subprocess

import pytest

from slipway.rollout import objects
from slipway.rollout.observation import RunJob
from slipway.rollout.resource import SPEC
from slipway.rollout.status import Colour

ROLES = ["payload", "payload-worker"]


def pod(rendered, name="payload"):
    return rendered.one("PodTemplate", name)["template"]["spec"]


def files(container):
    """The variables that say where a file is; a name that stands twice is an error."""
    names = [one["name"] for one in container["env"]]
    assert sorted(set(names)) == sorted(names)
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def mounts(container):
    return {one["name"]: (one["mountPath"], one.get("readOnly", False)) for one in container["volumeMounts"]}


def waiting(rendered, name="payload"):
    [container] = pod(rendered, name)["initContainers"]
    return container


def test_the_controller_runs_them_and_the_chart_no_job(chart):
    assert not chart().all("Job")
    assert chart().one("Rollout", "payload")["spec"]["migrations"]["command"] == ["python", "-m", "app.migrate"]


@pytest.mark.parametrize("name", ROLES)
def test_without_secrets_of_its_own_waiting_reads_what_the_service_reads(chart, name):
    rendered = chart({"migrations": {"secrets": []}})
    [service] = pod(rendered, name)["containers"]
    container = waiting(rendered, name)
    for shared in ("image", "env", "envFrom", "volumeMounts"):
        assert container[shared] == service[shared]
    assert {one["name"] for one in container["env"]} >= {"SLIPWAY_DATABASE_URL_FILE"}
    assert [one["name"] for one in pod(rendered, name)["volumes"]] == ["tmp", "secrets", "config"]
    rollout = rendered.one("Rollout", "payload")["spec"]
    assert "container" not in rollout["migrations"]
    assert "payload-database-owner" not in {one["name"] for one in rollout["config"]}


@pytest.mark.parametrize("name", ROLES)
def test_secrets_of_migrations_are_mounted_where_migrations_run_alone(chart, name):
    rendered = chart()
    [volume] = [one for one in pod(rendered, name)["volumes"] if one["name"] == "migration-secrets"]
    assert volume["projected"] == {
        "defaultMode": 0o440,
        "sources": [
            {
                "secret": {
                    "name": "payload-database-owner",
                    "items": [
                        {"key": "url", "path": "database-url"},
                        {"key": "passwords", "path": "passwords"},
                    ],
                }
            },
            {"secret": {"name": "payload-database", "items": [{"key": "ca.crt", "path": "database-ca.crt"}]}},
        ],
    }
    assert mounts(waiting(rendered, name))["migration-secrets"] == ("/run/secrets/payload-migrations", True)
    [serving] = pod(rendered, name)["containers"]
    assert set(mounts(waiting(rendered, name))) - set(mounts(serving)) == {"migration-secrets"}
    assert "payload-migrations" not in str(serving)
    assert "payload-database-owner" not in str(serving)


@pytest.mark.parametrize("name", ROLES)
def test_a_variable_of_migrations_stands_once_and_replaces_the_one_that_all_have(chart, name):
    rendered = chart()
    [serving] = pod(rendered, name)["containers"]
    assert files(waiting(rendered, name)) == files(serving) | {
        "SLIPWAY_DATABASE_URL_FILE": "/run/secrets/payload-migrations/database-url",
        "PGPASSFILE": "/run/secrets/payload-migrations/passwords",
    }
    assert files(serving)["SLIPWAY_DATABASE_URL_FILE"] == "/run/secrets/payload/database-url"
    assert "PGPASSFILE" not in files(serving)


def test_a_variable_of_migrations_replaces_one_of_a_config_map_too(chart):
    own = [{"secret": "flags", "items": [{"key": "f", "file": "f", "env": "SLIPWAY_FLAGS_FILE"}]}]
    rendered = chart({"migrations": {"secrets": own}})
    [service] = pod(rendered)["containers"]
    assert files(waiting(rendered))["SLIPWAY_FLAGS_FILE"] == "/run/secrets/payload-migrations/f"
    assert files(service)["SLIPWAY_FLAGS_FILE"] == "/run/config/payload/flags.json"


def test_a_service_may_have_no_other_secrets(chart):
    rendered = chart({"secrets": []})
    assert [one["name"] for one in rendered.one("Rollout", "payload")["spec"]["config"]] == [
        "payload-env",
        "payload-database-owner",
        "payload-database",
    ]
    [service] = pod(rendered)["containers"]
    assert set(mounts(service)) == {"tmp", "config"}
    assert set(mounts(waiting(rendered))) == {"tmp", "config", "migration-secrets"}


def test_the_jobs_of_the_controller_get_what_the_waiting_container_gets(chart):
    """The chart and the controller together: the file is there for a migration, and its variable names it."""
    rendered = chart()
    spec = SPEC.validate_python(rendered.one("Rollout", "payload")["spec"])
    who = {"name": "payload", "namespace": "dev", "uid": "u"}
    source = rendered.one("PodTemplate", "payload")
    pinned = objects.pin_template(source, name="payload", revision="abc", spec=spec, rollout=who)
    action = RunJob("payload-abc-check-0", "check", "abc", spec.image, Colour.GREEN)
    job = objects.migration_job(pinned, action, spec, who)["spec"]["template"]["spec"]
    [container] = job["containers"]
    assert files(container)["SLIPWAY_DATABASE_URL_FILE"] == "/run/secrets/payload-migrations/database-url"
    assert mounts(container) == mounts(waiting(rendered))
    assert container["command"] == ["python", "-m", "app.migrate", "check", "--json"]
    assert container["image"] == spec.image
    copies = {
        entry["secret"]["name"]
        for volume in job["volumes"]
        for entry in volume.get("projected", {}).get("sources", [])
        if "secret" in entry
    }
    assert copies == {"payload-database-abc", "payload-redis-abc", "payload-database-owner-abc"}


def test_without_migrations_nobody_waits(chart):
    rendered = chart({"migrations": {"enabled": False, "secrets": []}})
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
