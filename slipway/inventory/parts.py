"""Understands what tells of the parts of an image: dpkg's status, Go's build information, Python's metadata. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from typing import Any, Final

from packageurl import PackageURL

from slipway.inventory.layers import RELEASE, STATUS, STATUSES, Contents, InventoryError

#: What Go gives to a main module of a folder (of ours, which upstream's modules are linked by), and to a replacement
#: by a folder.
_NO_VERSION: Final = {"", "(devel)"}
_BETWEEN: Final = re.compile(r"\n[ \t]*\n")
_MACHINE_READABLE: Final = re.compile(r"\s*Format(-Specification)?:")
_OF_FILES: Final = re.compile(r"^Files:", re.MULTILINE)
_LICENCE: Final = re.compile(r"^License:[ \t]*(\S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Part:
    """A package or module.

    Attributes:
        purl: Its package URL.
        name: What people call it.
        version: Which.
        licences: What it says of itself; empty if it says nothing that can be read.
        sum: Go's checksum of a module, as in go.sum; else empty.
        places: Where in the image, if that is more than its package manager's list.
    """

    purl: PackageURL
    name: str
    version: str
    licences: tuple[str, ...] = ()
    sum: str = ""
    places: tuple[str, ...] = ()


def distribution(found: Contents) -> tuple[str, str]:
    """Who made the Debian packages, and for which release, such as `debian`, `13`; the latter may be empty."""
    lines = (found.read(RELEASE) or b"").decode(errors="replace").splitlines()
    values = {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines)}
    return values.get("ID", "debian"), values.get("VERSION_ID", "")


def debian(found: Contents) -> Iterator[Part]:
    """The Debian packages whose files are there as dpkg says, with the licences of their copyright files.

    Raises:
        InventoryError: One has no name or no version.
    """
    vendor, release = distribution(found)
    for path, text in found.texts.items():
        if path != STATUS and not path.startswith(STATUSES):
            continue
        for block in filter(str.strip, _BETWEEN.split(text.decode(errors="replace"))):
            told = HeaderParser().parsestr(block.strip("\n"))
            # Where there is no dpkg, nothing is half installed, and no status is told.
            if told.get("Status", "installed").split()[-1] == "installed":
                name, version = _named(told, "Package", path)
                qualifiers = {
                    "arch": told.get("Architecture", ""),
                    "distro": f"{vendor}-{release}" if release else "",
                    "upstream": _source(told.get("Source", "")),
                }
                purl = PackageURL("deb", vendor, name, version, {key: it for key, it in qualifiers.items() if it})
                yield Part(purl, name, version, licences(found.read(f"usr/share/doc/{name}/copyright") or b""))


def _named(told: "Message[str, str]", key: str, path: str) -> tuple[str, str]:
    name, version = told.get(key, ""), told.get("Version", "")
    if not (name and version):
        raise InventoryError(f"/{path} of the image must tell {key} and Version; it tells {name!r} and {version!r}")
    return name, version


def _source(field: str) -> str:
    """`glibc (2.41-12)` as package URLs write it: `glibc@2.41-12`."""
    name, _, version = field.partition(" ")
    return f"{name}@{version.strip('()')}" if version else name


def licences(text: bytes) -> tuple[str, ...]:
    """The licences that a copyright file names for files; none if it is prose."""
    read = text.decode(errors="replace")
    if not _MACHINE_READABLE.match(read):
        return ()
    named = [_LICENCE.search(it) for it in _BETWEEN.split(read) if _OF_FILES.search(it)]
    return tuple(sorted({it[1].strip() for it in named if it is not None}))


def go(programs: Mapping[str, str]) -> Iterator[Part]:
    """The modules that are linked into Go programs.

    Args:
        programs: Path -> what `go version -m -json` prints of it.
    """
    places: dict[tuple[str, str, str], set[str]] = {}
    for path, text in programs.items():
        told: dict[str, Any] = json.loads(text)
        modules = [("stdlib", told["GoVersion"].split()[0].removeprefix("go"), "")]
        for it in (told.get("Main") or {}, *(told.get("Deps") or ())):
            other = it.get("Replace") or {}
            # What is replaced by a folder is told by the name under which it is linked.
            used = it if other.get("Version", "") in _NO_VERSION else other
            modules.append((used.get("Path", ""), used.get("Version", ""), used.get("Sum", "")))
        for module in modules:
            if module[1] not in _NO_VERSION:
                places.setdefault(module, set()).add(path)
    for (module, version, total), where in sorted(places.items()):
        namespace, _, name = module.rpartition("/")
        purl = PackageURL("golang", namespace or None, name, version)
        yield Part(purl, module, version, (), total, tuple(sorted(where)))


def python(found: Contents) -> Iterator[Part]:
    """The Python distributions that were installed by other means than Debian's packages.

    Raises:
        InventoryError: One has no name or no version.
    """
    places: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
    for path, text in found.texts.items():
        if path.endswith("/METADATA"):
            told = HeaderParser().parsestr(text.decode(errors="replace"))
            said = told["License-Expression"] or _short(told["License"]) or _classified(told.get_all("Classifier", ()))
            places.setdefault((*_named(told, "Name", path), (said,) if said else ()), set()).add(path)
    for (name, version, said), where in sorted(places.items()):
        yield Part(PackageURL("pypi", None, name, version), name, version, said, "", tuple(sorted(where)))


def copied(packages: Mapping[str, str]) -> Iterator[Part]:
    """Debian packages of which an image has files and not dpkg's list: name -> version."""
    for name, version in sorted(packages.items()):
        yield Part(PackageURL("deb", "debian", name, version), name, version)


def archive(coordinates: str) -> Part:
    """A file of the Maven repository, by `group:artifact:version:packaging`; what is inside it is not told."""
    group, artifact, version, packaging = coordinates.split(":")
    return Part(PackageURL("maven", group, artifact, version, {"type": packaging}), artifact, version)


def _short(licence: str | None) -> str:
    """A licence's name; some put its whole text there."""
    return licence.strip() if licence and "\n" not in licence and len(licence) < 80 else ""  # noqa: PLR2004 - a line


def _classified(classifiers: Iterable[str]) -> str:
    return " and ".join(it.split(" :: ")[-1] for it in classifiers if it.startswith("License :: OSI Approved :: "))
