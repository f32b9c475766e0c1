"""The values: one schema, closed everywhere, in step with defaults, JSON and reference; wrong values are refused."""

import importlib.util
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

HELM = Path(__file__).resolve().parents[2] / "helm"
_spec = importlib.util.spec_from_file_location("chart_generate", HELM / "generate.py")
assert _spec is not None
assert _spec.loader is not None
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)

SCHEMA = generate.schema()
DEFAULTS = generate.defaults()
DIGEST = "sha256:" + "a" * 64


def nodes(node, path="$"):
    """Gives every schema inside a schema, with its path."""
    yield path, node
    for key in ("properties", "definitions"):
        for name, child in node.get(key, {}).items():
            yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{path}.{key}")


def test_generated_files_are_in_step_with_their_source():
    assert [str(path) for path in generate.stale()] == [], "run `python helm/generate.py`"


def test_check_names_the_stale_file(monkeypatch, tmp_path, capsys):
    stale = tmp_path / "values.md"
    monkeypatch.setattr(generate, "REFERENCE", stale)
    assert generate.main(["--check"]) == 1
    assert f"{stale} is stale" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert generate.main(["--chek"]) == 2


def test_schema_is_a_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("path", "node"), [(p, n) for p, n in nodes(SCHEMA) if n.get("type") == "object"])
def test_every_object_is_closed(path, node):
    assert "additionalProperties" in node, f"{path} takes any key, so a mistyped one would do nothing"
    assert node["additionalProperties"] is not True


@pytest.mark.parametrize(
    ("path", "node"),
    [(f"{path}.{name}", child) for path, node in nodes(SCHEMA) for name, child in node.get("properties", {}).items()],
)
def test_every_value_is_described(path, node):
    assert node.get("description", "").strip().endswith((".", "!", "?")), path


def test_patterns_are_ones_that_helm_can_read():
    patterns = [node["pattern"] for _, node in nodes(SCHEMA) if "pattern" in node]
    assert patterns
    assert not [pattern for pattern in patterns if "(?" in pattern or "\\d" in pattern]


def test_defaults_name_every_value_and_no_other():
    def compare(node, default, path):
        node = generate.resolve(node, SCHEMA)
        known = set(node.get("properties", {})) - {"global"}
        if known and isinstance(default, dict):
            assert set(default) == known, path
            for name in known:
                compare(node["properties"][name], default[name], f"{path}.{name}")

    compare(SCHEMA, DEFAULTS, "$")


def test_defaults_alone_keep_the_schema():
    jsonschema.validate(DEFAULTS, SCHEMA)


def test_reference_names_every_value():
    text = generate.REFERENCE.read_text()
    for row in generate.rows("ingress", SCHEMA["properties"]["ingress"], SCHEMA, DEFAULTS["ingress"])[1:]:
        assert f"| `{row.path}` |" in text
    assert "`secrets[].items[].key`" in text


IMAGE = jsonschema.Draft7Validator({**SCHEMA["definitions"]["image"]})


@pytest.mark.parametrize(
    "image",
    [f"registry.example.test/payload@{DIGEST}", f"localhost:5000/a/b:1.0@{DIGEST}", f"a:1@{DIGEST}", ""],
)
def test_images_that_are_accepted(image):
    assert IMAGE.is_valid(image)


@pytest.mark.parametrize(
    "image",
    [
        "payload",
        "localhost:5000/payload",
        "localhost:5000/a:v1",
        "a:1",
        "a@sha256:12",
        "a:",
        "a:b c",
        f"a@{DIGEST}x",
        "A:1",
        f"@{DIGEST}",
        "a:1\nb:2",
    ],
)
def test_images_that_are_refused(image):
    assert not IMAGE.is_valid(image)


@given(st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,4})?(:[0-9]{2,4})?/[a-z]{1,8}", fullmatch=True))
def test_image_without_tag_and_digest_is_never_accepted(name):
    assert not IMAGE.is_valid(name)


def test_mistyped_key_is_refused_by_name(rejected):
    assert "'ingres' not allowed" in rejected({"ingres": {"enabled": False}})
    message = rejected({"ingress": {"retries": {"enable": False}}})
    assert "/ingress/retries" in message
    assert "'enable' not allowed" in message


@pytest.mark.parametrize(
    ("values", "tells"),
    [
        ({"rollout": {"image": "a:1"}}, "/rollout/image"),
        ({"rollout": {"replicas": "2"}}, "got string, want integer"),
        ({"rollout": {"replicas": 0}}, "/rollout/replicas"),
        ({"rollout": {"strategy": "purple"}}, "/rollout/strategy"),
        ({"rollout": {"steps": [{"weight": 101}]}}, "/rollout/steps/0/weight"),
        ({"rollout": {"steps": [{"wait": "5s"}]}}, "'wait' not allowed"),
        ({"rollout": {"steps": []}}, "rollout.steps is empty while rollout.strategy is canary"),
        ({"rollout": {"soak": "soon"}}, "/rollout/soak"),
        ({"colours": {"blue": {}}}, "'colours' not allowed"),
        ({"ingress": {"host": ""}}, "ingress.host is empty"),
        ({"preview": {"host": ""}}, "preview.host is empty"),
        ({"preview": {"host": "payload.dev.slipway.test"}}, "would reach live users"),
        ({"lifecycle": {"terminationGracePeriodSeconds": 21}}, "must be at least lifecycle.preStopSeconds (12) + 10"),
        ({"migrations": {"command": []}}, "migrations.command is empty"),
        ({"migrations": {"enabled": False}}, "migrations.secrets is set while migrations.enabled is false"),
        (
            {"migrations": {"secrets": [{"secret": "s", "items": [{"key": "a", "file": "../f"}]}]}},
            "/migrations/secrets/0/items/0/file",
        ),
        (
            {
                "migrations": {
                    "secrets": [
                        {"secret": "s", "items": [{"key": "a", "file": "f"}]},
                        {"secret": "t", "items": [{"key": "b", "file": "f"}]},
                    ]
                }
            },
            'migrations.secrets: two items want the file "f"',
        ),
        (
            {
                "migrations": {
                    "secrets": [
                        {"secret": "s", "items": [{"key": "a", "file": "f", "env": "A"}]},
                        {"secret": "t", "items": [{"key": "b", "file": "g", "env": "A"}]},
                    ]
                }
            },
            'the item with the file "g" wants the variable "A"',
        ),
        (
            {
                "migrations": {
                    "secrets": [{"secret": "s", "items": [{"key": "a", "file": "f", "env": "SLIPWAY_COLOUR"}]}]
                }
            },
            'wants the variable "SLIPWAY_COLOUR", which is set already',
        ),
        ({"ports": {"metrics": 8080}}, "both 8080"),
        ({"ports": {"http": 80}}, "/ports/http"),
        ({"env": {"WORKERS": 4}}, "/env/WORKERS"),
        ({"env": {"a b": "c"}}, "a b"),
        ({"security": {"user": 0}}, "/security/user"),
        ({"resources": {"limits": {"memory": "12"}}}, "/resources/limits/memory"),
        (
            {"secrets": [{"secret": "s", "items": [{"key": "a", "file": "f"}, {"key": "b", "file": "f"}]}]},
            'the file "f"',
        ),
        ({"secrets": [{"secret": "s", "items": [{"key": "a", "file": "../f"}]}]}, "/secrets/0/items/0/file"),
        (
            {"configMaps": [{"configMap": "s", "items": [{"key": "a", "file": "f"}, {"key": "b", "file": "f"}]}]},
            'configMaps: two items want the file "f"',
        ),
    ],
)
def test_wrong_value_is_refused_with_what_to_do(rejected, values, tells):
    assert tells in rejected(values)


def test_defaults_alone_ask_for_an_image(rejected):
    assert "the chart has no default image" in rejected({}, base={})


def test_release_name_that_is_too_long_is_refused(chart, rejected):
    assert "at most 40 are allowed" in rejected({}, release="a" * 41)
    assert chart({}, release="a" * 40).objects


def test_lint_finds_nothing(helm):
    result = subprocess.run(
        [helm, "lint", "--strict", HELM / "service", "--values", HELM / "service" / "ci" / "all-switches.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_switch_is_on_in_the_file_that_says_so():
    given = yaml.safe_load((HELM / "service" / "ci" / "all-switches.yaml").read_text())
    whole = {**DEFAULTS, **given}
    empty = sorted(name for name, value in whole.items() if value in ("", [], {}, None))
    assert empty == [], "all-switches.yaml leaves these values empty, so what they switch is not rendered"
