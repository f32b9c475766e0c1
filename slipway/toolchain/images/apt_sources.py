"""Where Debian packages come from inside the builds: from where this machine gets its own."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slipway.toolchain.errors import ToolchainError
from slipway.toolchain.images.containerfile import MOUNT

_FORMAT: Final = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
_MAIN_VARIABLE: Final = "SLIPWAY_DEBIAN_MIRROR"
_SECURITY_VARIABLE: Final = "SLIPWAY_DEBIAN_SECURITY_MIRROR"
_CERTIFICATES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


class NoMirrorError(ToolchainError):
    """This machine's apt does not say where Debian is."""


@dataclass(frozen=True)
class Mirrors:
    """Addresses of Debian archives.

    Attributes:
        main: Of the release itself, and of its updates.
        security: Of the security updates; empty if this machine takes none.
    """

    main: str
    security: str = ""


def mirrors(targets: str, release: Mapping[str, str], environment: Mapping[str, str]) -> Mirrors:
    """Finds the mirrors.

    Args:
        targets: What ``apt-get indextargets`` printed in our format: address, code name and component a line.
        release: ``/etc/os-release``.
        environment: ``SLIPWAY_DEBIAN_MIRROR`` (and ``SLIPWAY_DEBIAN_SECURITY_MIRROR``) win over what apt says.

    Raises:
        NoMirrorError: Neither says it.
    """
    if environment.get(_MAIN_VARIABLE):
        return Mirrors(environment[_MAIN_VARIABLE].rstrip("/"), environment.get(_SECURITY_VARIABLE, "").rstrip("/"))
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") == "debian" and codename:
        rows = [line.split() for line in targets.splitlines() if line.count(" ") == 2]  # noqa: PLR2004  three columns
        found = {suite: address.rstrip("/") for address, suite, component in reversed(rows) if component == "main"}
        if codename in found:
            return Mirrors(found[codename], found.get(f"{codename}-security", ""))
    raise NoMirrorError(
        f"cannot tell where Debian packages come from: this is {release.get('PRETTY_NAME', 'an unknown system')} and "
        f"its apt names no archive of {codename or 'a Debian release'}. Set {_MAIN_VARIABLE} to the address of one "
        f"(the folder with dists/ and pool/), and {_SECURITY_VARIABLE} to that of its security updates."
    )


def read_os_release(text: str) -> dict[str, str]:
    """The variables of an os-release file."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value.strip("\"'") for name, _, value in pairs}


def host_mirrors() -> Mirrors:
    """The mirrors of this machine (see `mirrors`)."""
    release = Path("/etc/os-release")
    text = release.read_text(encoding="utf-8") if release.exists() else ""
    targets = "" if os.environ.get(_MAIN_VARIABLE) else _index_targets()  # slow: it builds apt's cache
    return mirrors(targets, read_os_release(text), os.environ)


def _apt(*arguments: str) -> str:
    try:
        answer = subprocess.run(arguments, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return answer.stdout


def _index_targets() -> str:
    return _apt("apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages")


def host_proxies() -> list[str]:
    """The proxy settings of this machine's apt, as lines of an apt.conf."""
    lines = _apt("apt-config", "dump", "Acquire").splitlines()
    return [line for line in lines if "::Proxy" in line and not line.endswith('"";')]


def host_certificates() -> Path | None:
    """The file with the authorities that this machine trusts."""
    return next((Path(path) for path in _CERTIFICATES if Path(path).is_file()), None)


def sources_list(suite: str, found: Mirrors) -> str:
    """The sources.list of a release: the release, its updates, its security updates."""
    lines = [f"deb {found.main} {suite} main", f"deb {found.main} {suite}-updates main"]
    if found.security:
        lines.append(f"deb {found.security} {suite}-security main")
    return "\n".join(lines) + "\n"


def apt_conf(proxies: list[str]) -> str:
    """The apt.conf of a build: everything that apt reads or writes lies in the mounted folder."""
    return "\n".join(
        [
            f'Dir::Etc::SourceList "{MOUNT}/sources.list";',
            'Dir::Etc::SourceParts "/dev/null";',
            f'Dir::State::Lists "{MOUNT}/lists";',
            f'Dir::Cache::Archives "{MOUNT}/archives";',
            'Dir::Cache::pkgcache "";',
            'Dir::Cache::srcpkgcache "";',
            # The mounted folder belongs to root; the builds see nothing but the image and this folder.
            'APT::Sandbox::User "root";',
            'Binary::apt-get::APT::Keep-Downloaded-Packages "true";',
            'Acquire::Languages "none";',
            'Acquire::Retries "3";',
            f'Acquire::https::CaInfo "{MOUNT}/certificates.crt";',
            'Dpkg::Use-Pty "0";',
            *(
                f'DPkg::Options:: "--path-exclude=/usr/share/{folder}/*";'
                for folder in ("doc", "man", "info", "locale", "lintian")
            ),
            'DPkg::Options:: "--path-include=/usr/share/doc/*/copyright";',
            'DPkg::Options:: "--force-unsafe-io";',
            *proxies,
            "",
        ]
    )


def write_mount(folder: Path, suite: str, found: Mirrors) -> None:
    """Fills the folder that is mounted into a build, and keeps the archives that are there."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(sources_list(suite, found), encoding="utf-8")
    (folder / "apt.conf").write_text(apt_conf(host_proxies()), encoding="utf-8")
    (folder / "packages.txt").unlink(missing_ok=True)
    certificates = host_certificates()
    (folder / "certificates.crt").write_bytes(certificates.read_bytes() if certificates else b"")
