"""Selectors are small and never change; security levels are said in all three modes."""

from infra import labels
from infra.labels import PodSecurity


def test_a_selector_holds_nothing_that_ever_changes():
    assert labels.selector("redis") == {"app.kubernetes.io/name": "redis", "app.kubernetes.io/instance": "redis"}


def test_labels_contain_the_selector_and_the_version_if_there_is_one():
    with_version = labels.labels("redis", "cache", version="8")
    assert labels.selector("redis").items() <= with_version.items()
    assert with_version["app.kubernetes.io/version"] == "8"
    assert "app.kubernetes.io/version" not in labels.labels("redis", "cache")


def test_a_security_level_is_enforced_audited_and_warned_of():
    assert set(labels.pod_security(PodSecurity.RESTRICTED).values()) == {"restricted"}
    assert len(labels.pod_security(PodSecurity.RESTRICTED)) == 3
