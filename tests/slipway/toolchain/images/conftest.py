"""Fakes of the programs that make and carry images: they keep what they were asked, and write what real ones would."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

BUILDAH = r"""#!/bin/sh
# A storage of one text file per reference; `push` writes an OCI layout with the text as its one layer.
echo "buildah $*" >> "$FAKES/calls"
root=""; driver=""
while :; do case "$1" in
  --root) root="$2"; shift 2;; --runroot) shift 2;; --storage-driver) driver="$2"; shift 2;; *) break;; esac; done
[ "$driver" = overlay ] && [ -e "$FAKES/no-overlay" ] && { echo "overlay is not supported"; exit 125; }
mkdir -p "$root"
name() { printf %s "$1" | tr '/:' '__'; }
verb="$1"; shift
case "$verb" in
  from) echo working-container;;
  mount|umount|rm) ;;
  bud)
    tag=""; context=""
    for word; do [ "$before" = --tag ] && tag="$word"; before="$word"; context="$word"
      case "$word" in --volume=*:/mnt:rw) mount="${word#--volume=}"; mount="${mount%:/mnt:rw}";; esac; done
    [ -e "$FAKES/fail" ] && { echo "E: no such package"; exit 1; }
    [ -n "$mount" ] && echo "libc6 2.41" > "$mount/packages.txt"
    cat "$context/Containerfile" > "$root/$(name "$tag")"
    find "$context" -type f | sed "s|$context/||" | sort > "$FAKES/context"
    cp "$context/Containerfile" "$FAKES/containerfile";;
  inspect) for word; do :; done; [ -e "$root/$(name "$word")" ] || exit 125;;
  pull) for word; do :; done; path="${word#oci:}"; path="${path%:image}"
    cat "$path"/blobs/sha256/* > "$root/$(name "localhost/$path")"; echo "localhost/$path";;
  tag) cp "$root/$(name "$1")" "$root/$(name "$2")";;
  rmi) rm "$root/$(name "$1")";;
  push) for word; do source="$target"; target="$word"; done
    target="${target#oci:}"; target="${target%:image}"; mkdir -p "$target/blobs/sha256"
    digest="$(sha256sum < "$root/$(name "$source")" | cut -d' ' -f1)"
    cp "$root/$(name "$source")" "$target/blobs/sha256/$digest"
    printf '{"manifests": [{"digest": "sha256:%s"}]}' "$digest" > "$target/index.json";;
  *) echo "unknown $verb"; exit 2;;
esac
"""

DEBOOTSTRAP = r"""#!/bin/sh
echo "debootstrap $*" >> "$FAKES/calls"
for word; do root="$mirror"; mirror="$word"; done
mkdir -p "$root/etc/apt" "$root/var/log" "$root/usr/share/doc/libc6" "$root/dev"
echo "deb $mirror" > "$root/etc/apt/sources.list"
echo notes > "$root/usr/share/doc/libc6/README"
echo licence > "$root/usr/share/doc/libc6/copyright"
echo log > "$root/var/log/bootstrap.log"
echo node > "$root/dev/null"
echo host > "$root/etc/hostname"
echo 'root:*:20412:0:99999:7:::' > "$root/etc/shadow"
cp "$root/etc/shadow" "$root/etc/shadow-"
"""

SKOPEO = r"""#!/bin/sh
echo "skopeo $*" >> "$FAKES/calls"
for word; do case "$word" in --dest-cert-dir=*) ls "${word#*=}" > "$FAKES/trusted";; esac; done
[ -e "$FAKES/fail" ] && { echo "connection refused"; exit 1; }
exit 0
"""

APT_CONFIG = """#!/bin/sh
echo 'Acquire::http::Proxy "";'
"""


@dataclass(frozen=True)
class Fakes:
    """Where the fakes keep what they saw."""

    folder: Path

    def calls(self, beginning: str) -> list[str]:
        """The calls that begin so."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(beginning)]

    def built(self) -> list[str]:
        """The images that were built, in order."""
        return [
            line.split("localhost/slipway/building:")[1].split()[0] for line in self.calls("buildah") if " bud " in line
        ]

    def set(self, name: str) -> None:
        """Switches something on: `fail`, `no-overlay`."""
        (self.folder / name).touch()

    def unset(self, name: str) -> None:
        """Switches it off."""
        (self.folder / name).unlink()


@pytest.fixture
def fakes(tmp_path, monkeypatch) -> Fakes:
    folder = tmp_path / "fakes"
    folder.mkdir()
    for name, text in (
        ("buildah", BUILDAH),
        ("debootstrap", DEBOOTSTRAP),
        ("skopeo", SKOPEO),
        ("apt-config", APT_CONFIG),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("FAKES", str(folder))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLIPWAY_DEBIAN_MIRROR", "https://mirror.test/debian")
    return Fakes(folder)
