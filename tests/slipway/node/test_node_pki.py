import datetime as dt
import stat

import pytest
from cryptography import x509

from slipway.node import pki
from slipway.node.config import leaves
from slipway.node.spec import ClusterSpec


@pytest.fixture
def folder(tmp_path):
    pki.ensure_ca(tmp_path, "ca", "test")
    return tmp_path


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_leaf_is_signed_by_its_ca_and_names_its_hosts(folder):
    assert pki.ensure_leaf(folder, pki.Leaf("api", "kube", ("group",), ("kubernetes", "10.0.0.1")))
    leaf = load(folder / "api.crt")
    leaf.verify_directly_issued_by(load(folder / "ca.crt"))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["kubernetes", "10.0.0.1"]
    # Without it Python 3.13 refuses the chain.
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)


def test_making_it_again_changes_nothing(folder):
    leaf = pki.Leaf("api", "kube", hosts=("a",))
    pki.ensure_leaf(folder, leaf)
    before = (folder / "api.crt").read_bytes(), (folder / "ca.crt").read_bytes()
    assert not pki.ensure_leaf(folder, leaf)
    pki.ensure_ca(folder, "ca", "test")
    assert before == ((folder / "api.crt").read_bytes(), (folder / "ca.crt").read_bytes())


@pytest.mark.parametrize("change", ["hosts", "age", "ca", "key"])
def test_a_leaf_that_no_longer_fits_is_made_anew(folder, change):
    leaf, now = pki.Leaf("api", "kube", hosts=("a",)), dt.datetime.now(dt.UTC)
    pki.ensure_leaf(folder, leaf)
    if change == "hosts":
        leaf = pki.Leaf("api", "kube", hosts=("b",))
    elif change == "age":
        now += pki.LEAF_LIFE - pki.RENEW_BEFORE + dt.timedelta(minutes=1)
    elif change == "ca":
        (folder / "ca.crt").unlink()
        pki.ensure_ca(folder, "ca", "test")
    else:
        (folder / "api.key").unlink()
    assert pki.ensure_leaf(folder, leaf, now)
    load(folder / "api.crt").verify_directly_issued_by(load(folder / "ca.crt"))


def test_keys_are_private(folder):
    pki.ensure_leaf(folder, pki.Leaf("api", "kube"))
    pki.ensure_service_account_keys(folder)
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_every_node_has_a_certificate_of_its_own_name_and_group():
    spec = ClusterSpec()
    kubelets = {leaf.file: leaf for leaf in leaves(spec) if leaf.file.startswith("kubelet-")}
    assert set(kubelets) == {f"kubelet-{node.name}" for node in spec.workers}
    for node in spec.workers:
        leaf = kubelets[f"kubelet-{node.name}"]
        assert (leaf.common_name, leaf.organizations) == (f"system:node:{node.name}", ("system:nodes",))
        assert set(leaf.hosts) == {node.name, node.address}
