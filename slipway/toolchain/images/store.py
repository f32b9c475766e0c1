"""`Images`: the images of the table, built when missing, kept as OCI layouts in the toolchain's cache."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from slipway.toolchain import debian, locks, maven, sources
from slipway.toolchain.builder import Toolchain
from slipway.toolchain.cache import Cache, Entry
from slipway.toolchain.debian import Package
from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.images import apt_sources, buildah, containerfile, debian_root, tree
from slipway.toolchain.images.recipe import SCRATCH, Archive, DebianBase, ModuleFiles, OciImage, Recipe, Unpacked
from slipway.toolchain.images.recipes import BASES, EPOCH, RECIPES, SERVICE_BASE
from slipway.toolchain.images.service import PIP_FOLDER, TARGETS, ServiceSource, write_pip_folder
from slipway.toolchain.manifest import key_of
from slipway.toolchain.processes import Children, CommandFailedError

#: What building an image needs from this machine.
BUILD_PACKAGES: Final = (
    Package("buildah", "builds the images, without a daemon"),
    Package("debootstrap", "makes the Debian root that images start from"),
)
PUSH_PACKAGES: Final = (Package("skopeo", "copies images to the cluster's registry, by digest"),)

_LAYOUT: Final = "layout"
_PACKAGES: Final = "packages.txt"
_SERVICE_ESTIMATE: Final = 40.0


class ImageError(ToolchainError):
    """An image could not be built or pushed; the text names it, the command, its last lines, and how to go on."""


class Images:
    """Images by name.

    Args:
        toolchain: Where the programs in the images come from; its listener is told of the images as well.
        cache_root: Folder of the cache, the toolchain's by default.
        repository: The checkout with the Dockerfile of `service` and `controller`; None: there are no such images.
        recipes: The table.
        bases: The Debian roots.
    """

    def __init__(
        self,
        toolchain: Toolchain,
        cache_root: Path | None = None,
        *,
        repository: Path | None = None,
        recipes: Mapping[str, Recipe] = RECIPES,
        bases: Mapping[str, DebianBase] = BASES,
    ) -> None:
        self._toolchain = toolchain
        self._cache = toolchain.cache if cache_root is None else Cache(cache_root)
        self._own = {} if repository is None else {it.name: ServiceSource(repository, it) for it in TARGETS.values()}
        self._children = Children()
        self._recipes = dict(recipes)
        self._bases = dict(bases)

    @property
    def names(self) -> list[str]:
        """Every image that `build` knows."""
        return [*self._recipes, *self._own]

    # Keys

    def _module_sums(self, recipe: Recipe) -> dict[str, dict[str, str]]:
        named = {it.module_set for it in recipe.sources if isinstance(it, ModuleFiles)}
        return {name: sources.source_files(self._toolchain.folder(self._toolchain.set_named(name))) for name in named}

    def _inputs(self, recipe: Recipe) -> dict[str, Any]:
        base = self._base_key(recipe.base)
        return {
            "image": recipe.name,
            "containerfile": containerfile.instructions(containerfile.render(recipe, recipe.base)),
            "base": base,
            "files": [[type(it).__name__, dataclasses.asdict(it)] for it in (*recipe.early, *recipe.sources)],
            "programs": {name: self._toolchain.key_of_program(name) for name in recipe.programs},
            "modules": self._module_sums(recipe),
            "epoch": EPOCH if recipe.packages else None,
        }

    def _base_key(self, base: str) -> str:
        if base == SCRATCH:
            return ""
        return key_of(self._base_inputs(self._bases[base]) if base in self._bases else self._inputs(self._recipe(base)))

    @staticmethod
    def _base_inputs(base: DebianBase) -> dict[str, Any]:
        return {
            "image": base.name,
            "containerfile": containerfile.instructions(containerfile.render_base(base)),
            "root": [
                debian_root.debootstrap_command(base.suite, Path("root"), "mirror"),
                debian_root.tar_command(Path("root"), Path("tar")),
            ],
            "epoch": EPOCH,
        }

    def _recipe(self, name: str) -> Recipe:
        try:
            return self._recipes[name]
        except KeyError:
            raise ImageError(f"there is no recipe for an image {name!r}; there are: {', '.join(self.names)}") from None

    def _source(self, name: str) -> ServiceSource:
        if name not in self._own:
            raise ImageError(f"the image `{name}` is made from a checkout of the repository, and none was given")
        return self._own[name]

    # Building

    def estimate(self, name: str) -> float:
        """Seconds that building an image takes on two cores, its base and programs aside."""
        if name in TARGETS:
            return _SERVICE_ESTIMATE
        return self._bases[name].estimate if name in self._bases else self._recipe(name).estimate

    def entries(self, names: Sequence[str]) -> list[Entry]:
        """The cache entries that hold images, built if missing: what `transfer.export_cache` takes.

        Bases are not among them: an image is whole by itself.
        """
        return [self._entry(name) for name in names]

    def build(self, name: str) -> OciImage:
        """Finds an image in the cache, or builds it (and the programs and the base that it needs).

        Raises:
            ImageError: There is no such image, or it cannot be built.
            BuildError: A program in it cannot be built.
            PackagesError: A Debian package that building needs is missing and cannot be installed.
        """
        return _image(name, self._entry(name))

    def _entry(self, name: str) -> Entry:
        if name in self._bases:
            base = self._bases[name]
            return self._get(name, self._base_inputs(base), lambda work, out: self._make_base(base, work, out))
        if name in TARGETS:
            source = self._source(name)
            inputs = {"image": name, "base": self._base_key(SERVICE_BASE), **source.inputs()}
            return self._get(name, inputs, lambda work, out: self._make_own(name, source, work, out))
        recipe = self._recipe(name)
        return self._get(name, self._inputs(recipe), lambda work, out: self._make(recipe, work, out))

    def _needs(self, name: str) -> None:
        """Makes what an image is made from. Before its lock is taken: these have locks and progress of their own."""
        if name in TARGETS:
            self.build(SERVICE_BASE)
        elif name in self._recipes:
            recipe = self._recipes[name]
            self._toolchain.ensure(recipe.programs, children=self._children)
            if recipe.base != SCRATCH:
                self.build(recipe.base)

    def _get(self, name: str, inputs: Mapping[str, Any], make: Callable[[Path, Path], None]) -> Entry:
        tracker, key, label = self._toolchain.tracker, key_of(inputs), _label(name)
        found = self._cache.find(label, key)
        if found is not None:
            tracker.cached(label)
            return found
        estimate = self.estimate(name)
        tracker.expect({label: estimate})
        self._needs(name)

        def waits(holder: str) -> None:
            tracker.waiting(label, holder)

        def guarded(files: Path) -> None:
            debian.ensure(BUILD_PACKAGES, lambda line: tracker.line(label, line))
            # One at a time: they share a storage, and each keeps the cores busy by itself.
            with locks.hold([self._cache.root / "locks" / "images.lock"], waits):
                tracker.started(label, f"image {name}")
                work = files.with_name("work")
                work.mkdir()
                make(work, files)
                tracker.finished(label, estimate)

        try:
            return self._cache.get_or_make(label, inputs, key, guarded, on_wait=waits)
        except CommandFailedError as error:
            tracker.failed(label, str(error))
            raise ImageError(
                f"image {name} could not be built: {error}\nThe whole output is in {self._cache.log(label)}. "
                "Run the same command again to go on from here."
            ) from error
        finally:
            tracker.forget([label])

    def _buildah(self, name: str) -> buildah.Buildah:
        label = _label(name)
        tool = buildah.Buildah(
            self._cache.root / "containers",
            self._cache.log(label),
            lambda line: self._toolchain.tracker.line(label, line),
            self._children,
        )
        tool.clean()
        return tool

    def _suite(self, name: str) -> str:
        """The release at the bottom of an image; empty if it starts empty."""
        while name in self._recipes:
            name = self._recipes[name].base
        return self._bases[name].suite if name in self._bases else ""

    def _mount(self, suite: str) -> dict[Path, str]:
        if not suite:
            return {}
        folder = self._cache.root / "apt" / suite
        apt_sources.write_mount(folder, suite, apt_sources.host_mirrors())
        return {folder: containerfile.MOUNT}

    def _base_reference(self, tool: buildah.Buildah, base: str) -> str:
        if base == SCRATCH:
            return SCRATCH
        image = self.build(base)  # in the cache by now: `_needs` has made it
        reference = f"localhost/slipway/{base}:{image.digest.removeprefix('sha256:')[:12]}"
        if not tool.has(reference):
            tool.load(image.layout, reference)
        return reference

    def _make_base(self, base: DebianBase, work: Path, out: Path) -> None:
        tool = self._buildah(base.name)
        context = work / "context"
        context.mkdir()
        debian_root.make_root_tar(
            base.suite,
            apt_sources.host_mirrors().main,
            work=work,
            target=context / "root.tar",
            on_line=lambda line: self._toolchain.tracker.line(_label(base.name), line),
            children=self._children,
        )
        (context / "Containerfile").write_text(containerfile.render_base(base), encoding="utf-8")
        self._finish(tool, base.name, context, self._mount(base.suite), out)

    def _make(self, recipe: Recipe, work: Path, out: Path) -> None:
        tool = self._buildah(recipe.name)
        context = work / "context"
        context.mkdir()
        programs = self._toolchain.ensure(recipe.programs)

        def unpacked(it: Unpacked) -> Path:
            scratch = work / f"unpacked-{len(list(work.iterdir()))}"
            if isinstance(it, Archive):
                return self._archive(recipe.name, it, scratch)
            return self._toolchain.unpacked_module(self._toolchain.set_named(it.module_set), it.module, scratch)

        for folder, files in (("early", recipe.early), ("root", recipe.sources)):
            if files:
                tree.lay_out(files, context / folder, programs, unpacked)
        text = containerfile.render(recipe, self._base_reference(tool, recipe.base))
        (context / "Containerfile").write_text(text, encoding="utf-8")
        self._finish(tool, recipe.name, context, self._mount(self._suite(recipe.name)), out)

    def _archive(self, name: str, wanted: Archive, scratch: Path) -> Path:
        def tell(line: str) -> None:
            self._toolchain.tracker.line(_label(name), line)

        debian.ensure(maven.PACKAGES, tell)
        found = maven.fetch(wanted.coordinates, wanted.sha256, scratch, on_line=tell, children=self._children)
        return maven.unpack(found, scratch / "files")

    def _make_own(self, name: str, source: ServiceSource, work: Path, out: Path) -> None:
        tool = self._buildah(name)
        context = work / "context"
        source.write_context(context)
        write_pip_folder(work / "pip")
        base = self._base_reference(tool, SERVICE_BASE)
        self._finish(tool, name, context, {work / "pip": PIP_FOLDER}, out, target=name, arguments={"BASE": base})

    def _finish(
        self,
        tool: buildah.Buildah,
        name: str,
        context: Path,
        mounts: Mapping[Path, str],
        out: Path,
        *,
        target: str = "",
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        reference = f"localhost/slipway/building:{name}"
        tool.build(context, reference, mounts=mounts, arguments=arguments, target=target)
        tool.save(reference, out / _LAYOUT)
        tool.forget(reference)
        lists = [folder / _PACKAGES for folder in mounts if (folder / _PACKAGES).exists()]
        (out / _PACKAGES).write_text(lists[0].read_text(encoding="utf-8") if lists else "", encoding="utf-8")
        self._share_blobs(out / _LAYOUT)

    def _share_blobs(self, layout: Path) -> None:
        """Replaces layers that another image of the cache has by hard links: a Debian root is stored once."""
        for blob in (layout / "blobs" / "sha256").iterdir():
            for twin in (self._cache.root / "entries").glob(f"image-*/*/files/{_LAYOUT}/blobs/sha256/{blob.name}"):
                if twin.stat().st_size == blob.stat().st_size:
                    blob.unlink()
                    os.link(twin, blob)
                    break

    def stop(self) -> None:
        """Ends what is being built, from another thread; what is complete stays in the cache. No build after that."""
        self._children.stop()

    # Pushing

    def push(self, name: str, registry: str, ca: Path | None = None) -> str:
        """Builds an image if it is missing, and copies it to a registry over TLS, byte for byte.

        Args:
            name: The image; it becomes ``slipway/NAME`` there.
            registry: ``host:port``.
            ca: File with the authority of the registry's certificate, or a folder with ``ca.crt`` and, for a registry
                that asks for it, ``client.cert`` and ``client.key``; None trusts what this machine trusts.

        Returns:
            The digest (``sha256:...``), the same as of the image in the cache.

        Raises:
            ImageError: It cannot be built, or the registry cannot be reached or refuses.
        """
        image = self.build(name)
        debian.ensure(PUSH_PACKAGES, lambda line: self._toolchain.tracker.line(_label(name), line))
        try:
            buildah.push(image.layout, image.digest, registry, f"slipway/{name}", ca)
        except CommandFailedError as error:
            raise ImageError(f"image {name} could not be pushed to {registry}: {error}") from error
        return image.digest


def fetch(image: str, layout: Path, ca: Path | None) -> None:
    """Copies an image by digest from a registry into a new OCI layout; arguments as of `buildah.fetch`.

    Raises:
        ImageError: The registry cannot be reached or refuses, or the image is not in OCI's form.
    """
    try:
        buildah.fetch(image, layout, ca)
    except CommandFailedError as error:
        raise ImageError(f"image {image} could not be fetched: {error}") from error


def _label(name: str) -> str:
    """What an image is called in the cache and in events."""
    return f"image-{name}"


def _image(name: str, entry: Entry) -> OciImage:
    layout = entry.files / _LAYOUT
    lines = (entry.files / _PACKAGES).read_text(encoding="utf-8").splitlines()
    packages = dict(line.split(" ", 1) for line in lines)
    return OciImage(name, layout, buildah.manifest_digest(layout), packages)
