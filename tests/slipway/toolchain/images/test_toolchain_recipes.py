"""The table of images."""

import re

import pytest

from slipway.toolchain.images.containerfile import MOUNT, instructions, render, render_base
from slipway.toolchain.images.debian_root import without_days
from slipway.toolchain.images.recipe import SCRATCH, DebianBase, Installed, Link, ModuleFiles, Program, Recipe, Text
from slipway.toolchain.images.recipes import BASES, EPOCH, RECIPES, ROOT_REASONS, SERVICE, SERVICE_BASE
from slipway.toolchain.modules import MODULES_ROOT, PROGRAMS, SETS

PROMISED = {
    "pause",
    "coredns",
    "local-path-provisioner",
    "shell",
    "metallb-controller",
    "metallb-speaker",
    "haproxy-ingress",
    "cloudnative-pg",
    "postgres",
    "pgbouncer",
    "redis",
    "redis-exporter",
    "python",
    "ingress-observer",
    "prometheus-operator",
    "prometheus-config-reloader",
    "prometheus",
    "alertmanager",
    "node-exporter",
    "metrics-server",
    "kube-state-metrics",
    "otel-collector",
    "jaeger",
    "k6",
    "elasticsearch",
    "plugin-barman-cloud",
    "plugin-barman-cloud-sidecar",
    "versitygw",
}


@pytest.fixture(params=RECIPES.values(), ids=RECIPES)
def recipe(request) -> Recipe:
    return request.param


def test_the_table_is_what_is_promised():
    assert set(RECIPES) == PROMISED
    assert SERVICE not in RECIPES
    assert SERVICE_BASE in RECIPES


def test_no_image_runs_as_root_without_a_reason(recipe):
    assert re.fullmatch(r"\d+:\d+", recipe.user), "numbers: Kubernetes cannot check a name"
    assert (recipe.user.split(":")[0] == "0") == bool(recipe.root_reason)
    assert (recipe.name in ROOT_REASONS) == bool(recipe.root_reason)


def test_few_images_run_as_root():
    assert set(ROOT_REASONS) == {"metallb-speaker", "python"}


def test_bases_exist(recipe):
    assert recipe.base == SCRATCH or recipe.base in BASES or recipe.base in RECIPES


def test_programs_exist(recipe):
    assert set(recipe.programs) <= set(PROGRAMS)


def test_modules_are_those_of_their_set(recipe):
    for source in recipe.sources:
        if isinstance(source, ModuleFiles):
            assert source.module_set in SETS
            assert f"{source.module} v" in (MODULES_ROOT / source.module_set / "go.mod").read_text()
            assert set(source.executable) <= set(source.paths.values())


def test_an_empty_base_has_no_packages_and_no_shell(recipe):
    if recipe.base == SCRATCH:
        parts = (recipe.packages, recipe.before, recipe.after, recipe.early, recipe.only)
        assert not any(parts)


def test_what_starts_is_in_the_image(recipe):
    laid = {source.target for source in recipe.sources if isinstance(source, Program | Installed | Link | Text)}
    if recipe.base == SCRATCH:
        assert recipe.entrypoint[0] in laid


def test_each_package_and_step_has_a_reason(recipe):
    assert all(package.why for package in recipe.packages)
    assert all(step.why for step in (*recipe.before, *recipe.after))


def test_no_image_names_a_registry_or_an_archive(recipe):
    assert "://" not in render(recipe, "base")


def test_haproxy_comes_from_the_release_whose_proxy_shifts_without_reload():
    assert BASES[RECIPES["haproxy-ingress"].base].suite == "bookworm"


def test_the_operator_finds_its_own_binary():
    laid = {source.target: source for source in RECIPES["cloudnative-pg"].sources}
    assert laid["/operator/manager_amd64"] == Program("cloudnative-pg-manager", "/operator/manager_amd64")
    assert laid["/manager"] == Link("/manager", "operator/manager_amd64")


def test_the_epoch_is_a_month():
    year, month = divmod(EPOCH, 100)
    assert year >= 2025
    assert 1 <= month <= 12


def test_a_rendered_recipe_has_its_parts_in_order():
    text = render(RECIPES["haproxy-ingress"], "localhost/base:1")
    order = [
        "FROM localhost/base:1 AS made",
        "apt-get install --yes --no-install-recommends haproxy lua-json",
        f"> {MOUNT}/packages.txt",
        "COPY root/ /",
        "usermod --uid 99 haproxy",
        "WORKDIR /\nUSER 99:99",
        'ENTRYPOINT ["/usr/bin/dumb-init", "--", "/start.sh"]',
        "CMD []",
    ]
    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)


def test_files_that_must_be_there_before_the_packages_are():
    text = render(RECIPES["postgres"], "base")
    assert text.index("COPY early/ /") < text.index("apt-get install")
    assert 'ENV PATH="/usr/lib/postgresql/17/bin:' in text


def test_an_image_of_chosen_paths_starts_empty():
    text = render(RECIPES["shell"], "base")
    assert text.index("AS made") < text.index("FROM scratch") < text.index("COPY --from=made /shell/ /")
    assert text.rindex("USER 65532:65532") > text.index("FROM scratch")


def test_comments_do_not_decide_an_image():
    text = render(RECIPES["haproxy-ingress"], "base")
    kept = instructions(text)
    assert "#" in text
    assert "\n#" not in kept
    assert [line for line in text.splitlines() if not line.startswith("#")] == kept.splitlines()


def test_nothing_tells_the_day_of_the_build():
    debian = [render(it, "base") for it in RECIPES.values() if it.base != SCRATCH] + [render_base(BASES["debian-13"])]
    for text in debian:
        assert r"s/^([^:]*:[^:]*):[0-9]*:/\1::/' /etc/shadow" in text
    assert without_days("root:*:20412:0:99999:7:::\nredis:!:20412::::::\n") == "root:*::0:99999:7:::\nredis:!:::::::\n"
    assert without_days("root:*::0:99999:7:::\n") == "root:*::0:99999:7:::\n"


def test_a_base_takes_todays_updates():
    text = render_base(DebianBase("debian-13", "trixie", "a reason"))
    assert "# Debian trixie: a reason" in text
    assert "apt-get dist-upgrade --yes" in text
