"""Where Pulumi finds its programs and keeps its state."""

import os
import stat
import time

from infra.engine import Place


def test_the_passphrase_is_made_once_and_for_the_owner_alone(tmp_path):
    place = Place(tmp_path / "programs", tmp_path / "state")
    place.prepare(None)
    first = place.passphrase_file.read_text()
    place.prepare(None)
    assert place.passphrase_file.read_text() == first
    assert stat.S_IMODE(place.passphrase_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.state.stat().st_mode) == 0o700


def test_pulumi_finds_no_folder_for_its_log_also_where_one_was(tmp_path):
    place = Place(tmp_path / "programs", tmp_path / "state")
    logs = place.state / "home" / "logs"
    logs.mkdir(parents=True)
    (logs / "pulumi-1.log").write_text("every property of everything")
    place.prepare(None)
    place.prepare(None)
    assert logs.is_file()
    assert logs.read_bytes() == b""


def test_kubeconfigs_that_the_provider_leaves_are_kept_apart_and_removed_a_day_later(tmp_path):
    place = Place(tmp_path / "programs", tmp_path / "state")
    place.prepare(None)
    assert place.environment()["TMPDIR"] == str(place.scratch)
    assert stat.S_IMODE(place.scratch.stat().st_mode) == 0o700
    old, fresh = place.scratch / "kubeconfig1", place.scratch / "kubeconfig2"
    for file in (old, fresh):
        file.write_text("secret")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    place.prepare(None)
    assert (old.exists(), fresh.exists()) == (False, True)
