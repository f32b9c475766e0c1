"""Backups on a cluster, turned on where they are off: archived, restored, and what a drill makes is removed."""

from datetime import UTC, datetime, timedelta

import pytest
from e2e_waiting import until

from infra.naming import Project
from slipway.cli.restored import LABEL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

WHOLE_SECONDS = 600


@pytest.fixture(scope="module")
def backed_up(running):
    """A cluster with backups and a base backup that is complete."""
    running.engine.up(Project.PLATFORM, running.name, {"backups": "managed"}, lambda _event: None)
    until(WHOLE_SECONDS, lambda: phases(running), lambda them: "completed" in them, every=5, what="a whole base backup")
    return running


def phases(running):
    found = running.kubectl.get("backups.postgresql.cnpg.io", "--namespace=data")
    return [it.get("status", {}).get("phase") for it in found]


def left(running):
    return running.kubectl.get("clusters.postgresql.cnpg.io", "--namespace=data", f"--selector={LABEL}=restore")


def test_the_archive_works(backed_up):
    (postgres,) = backed_up.kubectl.get("clusters.postgresql.cnpg.io", "postgres", "--namespace=data")
    conditions = {it["type"]: it["status"] for it in postgres["status"]["conditions"]}
    assert conditions["ContinuousArchiving"] == "True"
    (store,) = backed_up.kubectl.get("objectstores.barmancloud.cnpg.io", "--namespace=data")
    assert store["status"]["serverRecoveryWindow"]["postgres"]["firstRecoverabilityPoint"]


def test_a_restore_to_an_instant_holds_every_write_before_it_and_none_after(backed_up):
    done = backed_up.slipway("drill", "restore")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert left(backed_up) == []


def test_a_restore_to_a_moment_of_the_past_brings_nothing_newer(backed_up):
    # The drill before has written until after it.
    moment = datetime.now(UTC) - timedelta(seconds=90)
    done = backed_up.slipway("drill", "restore", "--to", moment.isoformat())
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert left(backed_up) == []
