"""What files of an image tell: held against dpkg of this machine, Go's words on a program, CycloneDX's schema."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from inventory_layer import layer_of

from slipway import cli
from slipway.cli.contents import listed
from slipway.inventory import document, parts
from slipway.inventory.layers import RELEASE, STATUS, Contents, InventoryError, contents
from slipway.toolchain import Toolchain
from slipway.toolchain.debian import Package
from slipway.toolchain.images.recipe import Archive, OciImage, Recipe

DIGEST = "sha256:" + "a" * 64


@pytest.fixture(scope="module")
def toolchain():
    return Toolchain()


@pytest.fixture(scope="module")
def program(toolchain):
    return toolchain.ensure(["actionlint"])["actionlint"]


def test_the_debian_packages_of_this_machine_are_those_of_dpkg(layout):
    found = parts.debian(contents(layout({STATUS: Path("/", STATUS).read_bytes()})))
    form = "${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package}\n"
    told = subprocess.run(["dpkg-query", "-W", f"-f={form}"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in told.splitlines()]
    assert len(rows) > 50
    mine = [
        (it.name, it.version, it.purl.qualifiers["arch"], it.purl.qualifiers.get("upstream", it.name).split("@")[0])
        for it in found
    ]
    assert sorted(mine) == sorted(tuple(row[1:]) for row in rows if row[0] == "installed")


def status(state, name="a", more=""):
    start = f"Package: {name}\nStatus: {state}\nArchitecture: amd64\nVersion: 1:2-3\n"
    return f"{start}{more}Description: x\n text\n .\n more\n"


@pytest.mark.parametrize(
    ("state", "there"),
    [("install ok installed", True), ("hold ok installed", True), ("deinstall ok config-files", False),
     ("install reinstreq half-installed", False)],
)  # fmt: skip
def test_only_what_is_installed_is_there(state, there):
    found = Contents({STATUS: (status(state) + "\n" + status("deinstall ok config-files", "b")).encode()})
    assert [it.name for it in parts.debian(found)] == (["a"] if there else [])


def test_a_package_url_says_release_and_source():
    texts = {
        STATUS: status("install ok installed", more="Source: glibc (2.41-12)\n").encode(),
        RELEASE: b'NAME="Debian"\nID=debian\nVERSION_ID="13"\n',
    }
    (one,) = parts.debian(Contents(texts))
    told = "pkg:deb/debian/a@1:2-3?arch=amd64&distro=debian-13&upstream=glibc%402.41-12"
    assert one.purl.to_string().replace("%3A", ":") == told


def test_an_image_without_dpkg_tells_by_a_file_for_each_package():
    texts = {"var/lib/dpkg/status.d/base": b"Package: base-files\nVersion: 13\n", RELEASE: b"ID=other\n"}
    (one,) = parts.debian(Contents(texts))
    assert one.purl.to_string() == "pkg:deb/other/base-files@13"


@pytest.mark.parametrize(
    ("path", "text"),
    [(STATUS, b"Package: a\nStatus: install ok installed\n"), ("x/a.dist-info/METADATA", b"Version: 1\n")],
)
def test_a_part_without_name_or_version_is_told_and_not_left_out(path, text):
    found = Contents({path: text})
    with pytest.raises(InventoryError, match=f"/{path} of the image must tell"):
        [*parts.debian(found), *parts.python(found)]


MACHINE_READABLE = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
License: of-the-whole

Files: *
Copyright: 2026 A
License: Expat

Files: b
# a remark
License: GPL-2+
 Some words.
 .
 More.

License: only-a-text
 Words.
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MACHINE_READABLE, ("Expat", "GPL-2+")),
        ("This is free.\n\nFiles: *\nLicense: Expat\n", ()),
        ("", ()),
        ("Format: x\n\nFiles: *\nLicense:\n", ()),
    ],
)
def test_licences_are_those_that_a_copyright_file_names_for_files(text, told):
    assert parts.licences(text.encode()) == told


def test_a_go_program_is_made_of_what_go_says(layout, toolchain, program):
    go = toolchain.go().path
    image = OciImage("made-up", layout({"usr/bin/it": program.read_bytes()}), DIGEST, {})
    found = {(it.name, it.version, it.sum) for it in listed(image, go, None)}
    told = subprocess.run([go, "version", "-m", program], capture_output=True, text=True, check=True).stdout
    lines = [line.split("\t")[1:] for line in told.splitlines()[1:]]
    modules = {(it[1], it[2], it[3] if len(it) > 3 else "") for it in lines if it[0] in {"dep", "mod"}}
    modules = {it for it in modules if it[1] not in {"(devel)", ""}}
    assert len(modules) > 3
    compiler = told.split()[1].removeprefix("go")
    assert found == modules | {("stdlib", compiler, "")}
    assert {it.places for it in listed(image, go, None)} == {("usr/bin/it",)}


def go_says(**module):
    return json.dumps(
        {"GoVersion": "go1.26.1 X:none", "Main": {"Path": "a.test/main", "Version": "(devel)"}, "Deps": [module]}
    )


@pytest.mark.parametrize(
    ("replacement", "told"),
    [
        (None, ("a.test/b/c", "v1.0.0")),
        ({"Path": "fork.test/c", "Version": "v1.0.1"}, ("fork.test/c", "v1.0.1")),
        ({"Path": "./here"}, ("a.test/b/c", "v1.0.0")),
    ],
)
def test_a_replaced_module_is_told_by_what_is_linked(replacement, told):
    text = go_says(Path="a.test/b/c", Version="v1.0.0", **({"Replace": replacement} if replacement else {}))
    found = [(it.name, it.version) for it in parts.go({"bin/a": text, "bin/b": text})]
    assert found == sorted([told, ("stdlib", "1.26.1")])


def test_a_file_that_only_looks_like_a_go_program_is_told_by_name(layout, toolchain):
    broken = layout({"usr/bin/broken": b"\x7fELF....\xff Go buildinf:...."})
    with pytest.raises(InventoryError, match="/usr/bin/broken of the image looks like a Go program, and Go says"):
        listed(OciImage("made-up", broken, DIGEST, {}), toolchain.go().path, None)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: other\n", ("MIT OR Apache-2.0",)),
        ("License: BSD\n", ("BSD",)),
        ("License: a\n b\nClassifier: License :: OSI Approved :: MIT License\n", ("MIT License",)),
        ("", ()),
    ],
)
def test_a_python_distribution_tells_name_version_and_licence(more, told):
    text = f"Metadata-Version: 2.4\nName: Some_Thing\nVersion: 1.2\n{more}\nName: not this".encode()
    (one,) = parts.python(Contents({"a/x.dist-info/METADATA": text, "b/x.dist-info/METADATA": text}))
    assert (one.purl.to_string(), one.licences) == ("pkg:pypi/some-thing@1.2", told)
    assert one.places == ("a/x.dist-info/METADATA", "b/x.dist-info/METADATA")


def test_what_an_image_has_no_list_of_comes_from_its_recipe(layout, toolchain):
    recipe = Recipe(
        "made-up", "scratch", "1:1", packages=(Package("pg", "why"),), sources=(Archive("a.b:c:1.0:zip", "0" * 64, {}),)
    )
    image = OciImage("made-up", layout({"etc/x": b""}), DIGEST, {"pg": "17.1", "other": "1"})
    found = [it.purl.to_string() for it in listed(image, toolchain.go().path, recipe)]
    assert found == ["pkg:deb/debian/pg@17.1", "pkg:maven/a.b/c@1.0?type=zip"]


def test_an_image_that_tells_nothing_is_no_empty_list(layout, toolchain):
    with pytest.raises(InventoryError, match="nothing in the image made-up tells what it is made of"):
        listed(OciImage("made-up", layout({"etc/x": b""}), DIGEST, {}), toolchain.go().path, None)


@pytest.fixture
def rendered(layout, toolchain, program):
    texts = {
        STATUS: status("install ok installed").encode(),
        "usr/share/doc/a/copyright": MACHINE_READABLE.encode(),
        "lib/x.dist-info/METADATA": b"Name: x\nVersion: 1\nLicense-Expression: MIT OR Apache-2.0\n",
        "usr/bin/it": program.read_bytes(),
    }
    image = OciImage("r.test/team/notes", layout(layer_of(texts)), DIGEST, {})
    return document.render(image.name, DIGEST, listed(image, toolchain.go().path, None))


def test_the_list_keeps_to_the_schema_of_cyclonedx_and_names_the_digest(rendered):
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(rendered) is None
    read = json.loads(rendered)
    root = read["metadata"]["component"]
    assert (root["name"], root["version"]) == ("r.test/team/notes", DIGEST)
    assert root["purl"].startswith("pkg:oci/notes@sha256")
    kinds = {it["purl"].partition("/")[0] for it in read["components"]}
    assert kinds == {"pkg:deb", "pkg:golang", "pkg:pypi"}
    (needs,) = (it["dependsOn"] for it in read["dependencies"] if it["ref"] == root["bom-ref"])
    assert set(needs) == {it["bom-ref"] for it in read["components"]}


@pytest.mark.parametrize(
    "broken", [{"components": [{"name": "x"}]}, {"specVersion": 1.5}, {"metadata": {"component": {"type": "image"}}}]
)
def test_the_schema_finds_what_is_wrong(rendered, broken):
    text = json.dumps({**json.loads(rendered), **broken})
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is not None


@pytest.mark.parametrize("name", ["nginx", "r.test/a@sha256:short", "r.test/a@latest"])
def test_an_unknown_image_is_refused_with_what_is_allowed(name, tmp_path):
    done = CliRunner().invoke(cli.cli, ["audit", "image", name, f"--output={tmp_path}"])
    assert done.exit_code == 2, done.output
    assert "sha256:" in done.output
    assert list(tmp_path.iterdir()) == []
