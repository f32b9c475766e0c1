"""`Images` over fakes of buildah, debootstrap and skopeo, with a program that the real Go builds."""

import pytest

from slipway.toolchain.debian import Package
from slipway.toolchain.events import EventKind
from slipway.toolchain.images import store as store_module
from slipway.toolchain.images.recipe import SCRATCH, DebianBase, ModuleFiles, Program, Recipe, Text
from slipway.toolchain.images.store import ImageError, Images

STEPS = (EventKind.STARTED, EventKind.FINISHED, EventKind.CACHED, EventKind.FAILED)
BASES = {"debian": DebianBase("debian", "trixie", "a reason")}
RECIPES = {
    it.name: it
    for it in (
        Recipe("static", SCRATCH, "1:1", sources=(Program("tiny", "/tiny"),), entrypoint=("/tiny",)),
        Recipe("redis", "debian", "999:999", packages=(Package("redis-server", "the store"),)),
        Recipe("python", "debian", "0:0", root_reason="a base", packages=(Package("python3", "it runs"),)),
    )
}


@pytest.fixture(autouse=True)
def no_packages(monkeypatch, fakes):
    """The packages of this machine are not this test's business: the fakes are on PATH."""
    assert fakes.folder.exists()
    monkeypatch.setattr(store_module.debian, "ensure", lambda *_: [])


@pytest.fixture
def images(world):
    def make(**changes):
        return Images(world.toolchain(), recipes={**RECIPES, **changes}, bases=BASES)

    return make


def test_a_static_image_holds_its_program(world, images, fakes):
    image = images().build("static")
    assert image.digest.startswith("sha256:")
    assert image.packages == {}
    assert (fakes.folder / "context").read_text().split() == ["Containerfile", "root/tiny"]
    assert "FROM scratch AS made" in (fakes.folder / "containerfile").read_text()
    assert world.told(EventKind.FINISHED) == [("finished", "tiny"), ("finished", "image-static")]


def test_an_image_is_built_once(images, fakes, world):
    first = images().build("redis")
    world.events.clear()
    assert images().build("redis") == first
    assert fakes.built() == ["debian", "redis"]
    assert world.told(*STEPS) == [("cached", "image-redis")]


def test_the_base_is_made_once_for_all(images, fakes):
    images().build("redis")
    images().build("python")
    assert fakes.built() == ["debian", "redis", "python"]
    assert len(fakes.calls("debootstrap --variant=minbase --merged-usr trixie")) == 1
    assert fakes.calls("debootstrap")[0].endswith("https://mirror.test/debian")


def test_the_versions_of_what_it_holds_are_known(images):
    assert images().build("redis").packages == {"libc6": "2.41"}


def test_the_base_comes_back_into_the_storage_from_the_cache(images, fakes, world):
    images().build("redis")
    for path in (world.cache / "containers/storage").iterdir():
        path.unlink()
    images().build("python")
    assert any(" pull " in call for call in fakes.calls("buildah"))
    assert "FROM localhost/slipway/debian:" in (fakes.folder / "containerfile").read_text()


def test_an_image_is_built_from_a_base_by_its_digest(images, fakes):
    base = images().build("debian")
    images().build("redis")
    assert base.digest.removeprefix("sha256:")[:12] in (fakes.folder / "containerfile").read_text()


@pytest.mark.parametrize(
    "changed",
    [
        Recipe("redis", "debian", "998:998", packages=(Package("redis-server", "the store"),)),
        Recipe("redis", "debian", "999:999", packages=(Package("valkey", "the store"),)),
        Recipe("redis", "debian", "999:999", packages=RECIPES["redis"].packages, sources=(Text("/x", "y"),)),
    ],
    ids=["user", "packages", "files"],
)
def test_a_changed_recipe_is_another_image(images, fakes, changed):
    images().build("redis")
    images(redis=changed).build("redis")
    assert fakes.built() == ["debian", "redis", "redis"]


def test_a_new_epoch_makes_images_with_packages_again(images, fakes, monkeypatch):
    for name in ("static", "redis"):
        images().build(name)
    monkeypatch.setattr(store_module, "EPOCH", store_module.EPOCH + 1)
    for name in ("static", "redis"):
        images().build(name)
    assert fakes.built() == ["static", "debian", "redis", "debian", "redis"]


def test_a_changed_program_makes_its_image_again(images, fakes, world):
    images().build("static")
    world.add("tiny", stamps={"main.version": "9"})
    images().build("static")
    assert fakes.built() == ["static", "static"]


def test_a_failed_build_says_what_and_how_to_go_on(images, fakes, world):
    images().build("debian")
    fakes.set("fail")
    with pytest.raises(ImageError) as raised:
        images().build("redis")
    text = str(raised.value)
    assert "image redis could not be built" in text
    assert "E: no such package" in text
    assert str(world.cache / "logs/image-redis.log") in text
    assert "E: no such package" in (world.cache / "logs/image-redis.log").read_text()
    assert world.told(*STEPS)[-1] == ("failed", "image-redis")

    fakes.unset("fail")
    images().build("redis")
    assert world.told(*STEPS)[-1] == ("finished", "image-redis")


def test_where_overlay_does_not_work_vfs_does(images, fakes, world):
    fakes.set("no-overlay")
    images().build("static")
    assert (world.cache / "containers/driver").read_text() == "vfs"
    assert "--storage-driver vfs bud" in fakes.calls("buildah")[-3]


def test_nothing_of_the_machine_is_in_the_root(images, monkeypatch):
    kept = []
    real = store_module.debian_root.make_root_tar

    def spy(*arguments, **more):
        real(*arguments, **more)
        kept.extend(
            sorted(path.relative_to(more["work"] / "root").as_posix() for path in (more["work"] / "root").rglob("*"))
        )
        kept.append((more["target"]).stat().st_size > 0)

    monkeypatch.setattr(store_module.debian_root, "make_root_tar", spy)
    images().build("debian")
    assert "etc/apt/sources.list" not in kept
    assert "etc/hostname" not in kept
    assert "etc/shadow-" not in kept
    assert "usr/share/doc/libc6/README" not in kept
    assert "usr/share/doc/libc6/copyright" in kept
    assert kept[-1] is True


def test_layers_that_two_images_share_are_one_file(images):
    # The fake's layer is the Containerfile: two recipes with the same text have the same one.
    one = images().build("redis")
    other = images(redis=Recipe("redis", "debian", "9:9"), twin=Recipe("twin", "debian", "9:9"))
    first, second = other.build("redis"), other.build("twin")
    assert first.digest == second.digest != one.digest
    blob = f"blobs/sha256/{first.digest.removeprefix('sha256:')}"
    assert (first.layout / blob).samefile(second.layout / blob)


def test_an_unknown_image_is_told_with_those_that_are(images):
    with pytest.raises(ImageError, match="no recipe for an image 'reddis'; there are: static, redis, python"):
        images().build("reddis")


@pytest.mark.parametrize("name", ["service", "controller"])
def test_what_is_made_of_the_repository_needs_a_checkout(images, name):
    assert name not in images().names
    with pytest.raises(ImageError, match=f"`{name}` is made from a checkout of the repository"):
        images().build(name)


def test_the_entries_of_images_can_be_carried(images):
    made = images()
    image = made.build("redis")
    (entry,) = made.entries(["redis"])
    assert image.layout == entry.files / "layout"


def test_a_push_keeps_the_digest(images, fakes, tmp_path):
    (tmp_path / "ca.pem").write_text("authority")
    digest = images().push("redis", "registry.test:5000", tmp_path / "ca.pem")
    (call,) = fakes.calls("skopeo copy")
    assert call.endswith(f"docker://registry.test:5000/slipway/redis@{digest}")
    assert "--preserve-digests" in call
    assert (fakes.folder / "trusted").read_text() == "ca.crt\n"


def test_a_folder_of_certificates_is_handed_on(images, fakes, tmp_path):
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    (certificates / "client.cert").touch()
    images().push("static", "registry.test:5000", certificates)
    assert (fakes.folder / "trusted").read_text() == "client.cert\n"


def test_without_an_authority_the_machines_own_are_trusted(images, fakes):
    images().push("static", "registry.test:5000")
    assert "--dest-cert-dir" not in fakes.calls("skopeo")[0]


def test_a_registry_that_does_not_answer_is_told(images, fakes):
    images().build("static")
    fakes.set("fail")
    with pytest.raises(
        ImageError, match=r"(?s)image static could not be pushed to registry\.test:5000.*connection refused"
    ):
        images().push("static", "registry.test:5000")


@pytest.fixture
def service_images(world, tmp_path, monkeypatch):
    folder = tmp_path / "checkout"
    (folder / "app").mkdir(parents=True)
    (folder / "app/serve.py").write_text("serve")
    (folder / "Dockerfile").write_text("FROM ${BASE} AS service\n")
    (folder / "uv.lock").write_text("flask==3.1")
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\ncat uv.lock\n")
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))
    return folder, lambda: Images(world.toolchain(), repository=folder, recipes=RECIPES, bases=BASES)


def test_the_service_is_built_from_the_checkout_on_our_python(service_images, fakes):
    folder, images = service_images
    image = images().build("service")
    assert fakes.built() == ["debian", "python", "service"]
    call = next(call for call in fakes.calls("buildah") if "building:service" in call and " bud " in call)
    assert "--build-arg=BASE=localhost/slipway/python:" in call
    assert "--target=service" in call
    assert ":/etc/xdg/pip:rw" in call
    assert images().build("service") == image
    (folder / "app/serve.py").write_text("serve better")
    images().build("service")
    assert fakes.built()[-2:] == ["service", "service"]


def test_an_image_with_files_of_a_module_asks_the_toolchain_for_it(images, monkeypatch, tmp_path, fakes):
    module = tmp_path / "module"
    module.mkdir()
    (module / "start.sh").write_text("#!/bin/sh")
    recipe = Recipe(
        "with-files", SCRATCH, "1:1", sources=(ModuleFiles("tiny", "example.test/up", {"start.sh": "/start.sh"}),)
    )
    made = images(**{"with-files": recipe})
    monkeypatch.setattr(made._toolchain, "unpacked_module", lambda *_: module)
    made.build("with-files")
    assert "root/start.sh" in (fakes.folder / "context").read_text()
