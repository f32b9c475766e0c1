"""Objects that are put on a cluster before the platform: which files are taken, and what kubectl is told."""

import json

import click
import pytest

from slipway.cli import first_objects

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "backup-store", "namespace": "data"}}


def test_a_file_may_hold_several_documents_and_lists(tmp_path):
    path = tmp_path / "objects.yaml"
    other = {**SECRET, "metadata": {"name": "alerts", "namespace": "monitoring"}}
    both = {"apiVersion": "v1", "kind": "List", "items": [other, SECRET]}
    path.write_text(f"---\n{json.dumps(SECRET)}\n---\n{json.dumps(both)}\n---\n")
    assert first_objects.read(path) == [SECRET, other, SECRET]
    assert first_objects.named([other, SECRET], "Secret", "data", "backup-store") == SECRET
    assert first_objects.named([other, SECRET], "Secret", "monitoring", "backup-store") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "is no YAML: ParserError"),
        ("just words", "object 1 of .* is none"),
        (json.dumps({"kind": "Secret", "metadata": {}}), "it lacks apiVersion, kind or metadata"),
        (json.dumps({**SECRET, "metadata": {"name": "x"}}), "must name itself and its namespace"),
    ],
)
def test_what_is_no_object_is_refused_without_its_text(tmp_path, text, why):
    path = tmp_path / "objects.yaml"
    path.write_text(text)
    with pytest.raises(click.ClickException, match=why):
        first_objects.read(path)


def test_namespaces_come_first_and_nothing_stands_on_the_command_line():
    asked = []
    first_objects.put(lambda *words, stdin: asked.append((words, json.loads(stdin))), [SECRET, SECRET])
    ((words, document),) = asked
    assert words[:2] == ("apply", "--server-side")
    assert [(it["kind"], it["metadata"]["name"]) for it in document["items"]] == [
        ("Namespace", "data"), ("Secret", "backup-store"), ("Secret", "backup-store"),
    ]  # fmt: skip
    assert not any("backup-store" in word for word in words)
