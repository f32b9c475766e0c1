"""What an image holds is what its last layer leaves of those below: files, links, whiteouts, and damaged images."""

import json

import pytest
from inventory_layer import FOLDER, Link, layer_of

from slipway.inventory.layers import RELEASE, STATUS, InventoryError, contents

COPYRIGHT = "usr/share/doc/a/copyright"
METADATA = "usr/local/lib/python3.13/site-packages/flask-3.dist-info/METADATA"
PROGRAM = b"\x7fELF" + b"." * 100 + b"\xff Go buildinf:" + b"." * 100


def test_only_files_that_tell_are_kept(layout):
    found = contents(
        layout(
            {
                STATUS: b"status",
                f"./{COPYRIGHT}": b"copyright",
                METADATA: b"metadata",
                "usr/lib/python3/dist-packages/apt.dist-info/METADATA": b"of Debian",
                "usr/share/doc/a/README": b"no",
                "etc/passwd": b"no",
                "usr/bin/go-program": PROGRAM,
                "usr/bin/c-program": b"\x7fELF" + b"." * 300,
                "usr/bin/script": b"#!/bin/sh\n# \xff Go buildinf:",
                "var/lib/dpkg/status.d/base": b"distroless",
                "var/lib/dpkg/status.d/base.md5sums": b"no",
            }
        )
    )
    assert found.texts == {
        STATUS: b"status",
        COPYRIGHT: b"copyright",
        METADATA: b"metadata",
        "var/lib/dpkg/status.d/base": b"distroless",
    }
    assert found.programs == {"usr/bin/go-program": PROGRAM}


BELOW = {STATUS: b"old", COPYRIGHT: b"old", METADATA: b"old", "usr/bin/tool": PROGRAM, "usr/bin/tool2": PROGRAM}


@pytest.mark.parametrize(
    ("above", "left"),
    [
        ({}, {*BELOW}),
        ({"usr/bin/.wh.tool": b""}, {*BELOW} - {"usr/bin/tool"}),
        ({"./usr/bin/.wh.tool": b""}, {*BELOW} - {"usr/bin/tool"}),
        ({"usr/.wh.bin": b""}, {STATUS, COPYRIGHT, METADATA}),
        ({"usr/.wh..wh..opq": b""}, {STATUS}),
        ({".wh..wh..opq": b""}, set()),
        # What a layer adds to a folder that it empties stays, on whichever side of the whiteout it stands.
        ({COPYRIGHT: b"new", "usr/.wh..wh..opq": b""}, {STATUS, COPYRIGHT}),
        ({"usr/.wh..wh..opq": b"", COPYRIGHT: b"new"}, {STATUS, COPYRIGHT}),
        ({"usr/bin/tool": b"now a script"}, {*BELOW} - {"usr/bin/tool"}),
        ({"usr/bin": b"now a file"}, {STATUS, COPYRIGHT, METADATA}),
        ({"usr/bin": FOLDER}, {*BELOW}),
        ({"usr/bin/tool": FOLDER}, {*BELOW} - {"usr/bin/tool"}),
        ({"usr/bin/tool": Link("tool2")}, {*BELOW} - {"usr/bin/tool"}),
    ],
)
def test_a_layer_takes_away_from_those_below_and_from_nothing_else(layout, above, left):
    found = contents(layout(BELOW, above))
    assert {*found.texts, *found.programs} == left


def test_the_upper_layer_wins(layout):
    assert contents(layout({STATUS: b"old"}, {STATUS: b"new"})).texts == {STATUS: b"new"}


@pytest.mark.parametrize(
    "links",
    [
        {"usr/share/doc/b": Link("a")},
        {"usr/share/doc/b": Link("/usr/share/doc/a")},
        {"usr/share/doc/b": Link("../doc/a")},
        {"usr/share/doc/b/copyright": Link("../a/copyright")},
        {"usr/share/doc/b": Link("c"), "usr/share/doc/c": Link("a")},
        {"usr/share/doc/b/copyright": Link(COPYRIGHT, hard=True)},
    ],
)
def test_a_copyright_is_found_through_links(layout, links):
    found = contents(layout({COPYRIGHT: b"text", **links}))
    assert found.read("usr/share/doc/b/copyright") == b"text"
    assert found.read("usr/share/doc/other/copyright") is None


def test_links_in_a_circle_lead_nowhere(layout):
    found = contents(layout({"usr/share/doc/a": Link("b"), "usr/share/doc/b": Link("a")}))
    assert found.read(COPYRIGHT) is None


def test_a_program_by_a_second_name_is_that_program(layout):
    found = contents(layout({"usr/bin/tool": PROGRAM, "usr/bin/same": Link("usr/bin/tool", hard=True)}))
    assert found.programs == {"usr/bin/tool": PROGRAM, "usr/bin/same": PROGRAM}


@pytest.mark.parametrize("packed", ["", "gz"])
def test_layers_may_be_packed_or_not(layout, packed):
    assert contents(layout(layer_of({RELEASE: b"ID=debian"}, packed=packed))).texts == {RELEASE: b"ID=debian"}


def test_a_folder_that_is_no_image_is_told_by_name(tmp_path):
    with pytest.raises(InventoryError, match=f"{tmp_path} is no OCI layout of one image"):
        contents(tmp_path)


@pytest.mark.parametrize("manifests", [[], [{"digest": "sha256:a"}, {"digest": "sha256:b"}], None])
def test_a_layout_of_another_number_of_images_is_refused(tmp_path, manifests):
    (tmp_path / "index.json").write_text(json.dumps({"manifests": manifests}))
    with pytest.raises(InventoryError, match="is no OCI layout of one image"):
        contents(tmp_path)


WHOLE = layer_of({STATUS: bytes(range(256)) * 400})


@pytest.mark.parametrize("layer", [b"no tar at all", WHOLE[: len(WHOLE) // 2], WHOLE[:40] + b"x" * 40 + WHOLE[80:]])
def test_a_damaged_layer_is_told_by_name(layout, layer):
    with pytest.raises(InventoryError, match=r"the layer .*/sha256/[0-9a-f]{64} cannot be read"):
        contents(layout(layer))


def test_a_layer_that_is_missing_is_told_by_name(layout):
    folder = layout(layer := layer_of({STATUS: b"x"}))
    next(it for it in (folder / "blobs" / "sha256").iterdir() if it.read_bytes() == layer).unlink()
    with pytest.raises(InventoryError, match=r"the layer .*No such file"):
        contents(folder)


def test_a_hard_link_to_what_is_not_there_is_told(layout):
    with pytest.raises(InventoryError, match=r"the layer .* cannot be read"):
        contents(layout({COPYRIGHT: Link("usr/share/doc/other/copyright", hard=True)}))
