"""The table of module sets against the folders it is about."""

import re
from pathlib import Path

import pytest

from slipway.toolchain.modules import MINIMUM_GO, MODULE_FILES, MODULES_ROOT, PROGRAMS, SETS, ModuleSet
from slipway.toolchain.pulumi_home import NEEDS, SCRIPTS_MODULE
from slipway.toolchain.sources import source_files

DECISIONS = Path(__file__).parents[3] / "docs" / "adr"
VERSION_PREFIX = re.compile(r"^v?")


def go_mod(module_set: ModuleSet) -> str:
    return (MODULES_ROOT / module_set.name / "go.mod").read_text(encoding="utf-8")


def required(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\s*(?:require )?([\w.\-/~]+\.[\w.\-/~]+) (v[\w.\-+]+)", text, re.MULTILINE))


@pytest.fixture(params=SETS.values(), ids=SETS)
def module_set(request) -> ModuleSet:
    return request.param


def test_each_folder_has_a_row_and_each_row_a_folder():
    assert {path.name for path in MODULES_ROOT.iterdir() if path.is_dir()} == set(SETS)


def test_programs_have_one_set_each():
    names = [binary.name for module_set in SETS.values() for binary in module_set.binaries]
    assert sorted(names) == sorted(PROGRAMS)


def test_a_set_pins_what_it_is_built_from(module_set):
    assert {"go.mod", "go.sum"} <= set(source_files(MODULES_ROOT / module_set.name))


def test_versions_are_exact(module_set):
    assert "latest" not in go_mod(module_set)
    assert all(re.match(r"v\d+\.\d+\.\d+", version) for version in required(go_mod(module_set)).values())


def test_no_module_is_replaced_by_a_folder(module_set):
    assert not re.search(r"=>\s*\.", go_mod(module_set))


def test_the_go_line_is_within_the_minimum(module_set):
    line = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", go_mod(module_set), re.MULTILINE)
    assert line is not None
    assert tuple(int(part or 0) for part in line.groups()) <= MINIMUM_GO
    assert "\ntoolchain " not in go_mod(module_set)


def test_a_main_of_ours_is_there_exactly_where_the_set_builds_its_own_folder(module_set):
    builds_itself = any(binary.package == "." for binary in module_set.binaries)
    assert (MODULES_ROOT / module_set.name / "main.go").exists() == builds_itself


def test_a_package_belongs_to_a_module_of_the_set(module_set):
    modules = required(go_mod(module_set))
    for binary in module_set.binaries:
        assert binary.package == "." or any(binary.package.startswith(module) for module in modules), binary


def test_generated_files_come_from_modules_of_the_set(module_set):
    assert {it.module for it in module_set.generated} <= set(required(go_mod(module_set)))


def test_patches_are_of_modules_of_the_set_and_say_why(module_set):
    for patch in module_set.patches:
        assert patch.module in required(go_mod(module_set))
        assert list(DECISIONS.glob(f"{patch.adr:04d}-*.md"))


def test_the_flags_never_let_go_change_what_is_pinned(module_set):
    assert "-mod=readonly" in module_set.flags()
    assert "-trimpath" in module_set.flags()


@pytest.mark.parametrize("key", MODULE_FILES, ids="/".join)
def test_upstream_files_are_pinned(key):
    set_name, path = key
    known = MODULE_FILES[key]
    assert re.fullmatch(r"[0-9a-f]{64}", known.sha256)
    assert known.module in required(go_mod(SETS[set_name]))
    assert path.endswith(".yaml")


def test_the_table_names_the_versions_of_go_mod():
    pins = {
        "kubernetes": "k8s.io/kubernetes",
        "etcd": "go.etcd.io/etcd/server/v3",
        "etcd-tools": "go.etcd.io/etcd/etcdutl/v3",
        "pulumi": "github.com/pulumi/pulumi/pkg/v3",
        "pulumi-language-python": "github.com/pulumi/pulumi/sdk/v3",
        "coredns": "github.com/coredns/coredns",
        "cloudnative-pg": "github.com/cloudnative-pg/cloudnative-pg",
        "metallb": "go.universe.tf/metallb",
        "haproxy-ingress": "github.com/jcmoraisjr/haproxy-ingress",
        "local-path-provisioner": "github.com/rancher/local-path-provisioner",
        "helm": "helm.sh/helm/v3",
        "act": "github.com/nektos/act",
        "actionlint": "github.com/rhysd/actionlint",
        "prometheus-operator": "github.com/prometheus-operator/prometheus-operator",
        "metrics-server": "sigs.k8s.io/metrics-server",
        "kube-state-metrics": "k8s.io/kube-state-metrics/v2",
    }
    for name, module in pins.items():
        assert required(go_mod(SETS[name]))[module].lstrip("v") == VERSION_PREFIX.sub("", SETS[name].version), name


def test_the_scripts_of_pulumi_are_of_the_version_of_its_cli():
    modules = required(go_mod(SETS["pulumi"]))
    assert modules[SCRIPTS_MODULE] == SETS["pulumi"].version
    assert set(NEEDS) <= set(PROGRAMS)


def test_the_python_packages_are_of_the_same_versions():
    lock = (MODULES_ROOT.parents[2] / "uv.lock").read_text(encoding="utf-8")
    for package, name in (("pulumi", "pulumi"), ("pulumi-kubernetes", "pulumi-resource-kubernetes")):
        assert f'name = "{package}"\nversion = "{SETS[name].version.lstrip("v")}"' in lock
