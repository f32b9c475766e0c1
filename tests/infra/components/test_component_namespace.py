"""A namespace holds its pods to a security level."""

import pytest

from infra.components.namespace import Namespace, NamespaceConfig
from infra.labels import PodSecurity


def test_a_namespace_is_one_object_with_its_security_level(deploy):
    run = deploy(lambda: Namespace("data", NamespaceConfig("data")))
    assert run.counts() == {"kubernetes:core/v1:Namespace": 1}
    assert run.one("kubernetes:core/v1:Namespace").inputs == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "data",
            "labels": {
                "app.kubernetes.io/part-of": "slipway",
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/audit": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            },
        },
    }


def test_a_namespace_can_be_less_strict_where_its_software_needs_it(deploy):
    run = deploy(lambda: Namespace("metallb", NamespaceConfig("metallb-system", PodSecurity.PRIVILEGED)))
    labels = run.one("kubernetes:core/v1:Namespace").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


def test_a_name_that_cannot_be_a_namespace_is_refused_before_anything_is_made(deploy):
    with pytest.raises(ValueError, match=r"the namespace 'Data_1' cannot be used as a name: allowed are 1 to 63"):
        deploy(lambda: Namespace("data", NamespaceConfig("Data_1")))
