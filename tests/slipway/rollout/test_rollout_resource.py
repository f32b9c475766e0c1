"""The object of the API: durations and moments, both ways, and the committed CRD."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.rollout import resource
from slipway.rollout.fields import format_duration, format_moment, parse_duration, parse_moment
from slipway.rollout.spec import BlueGreen, RolloutSpec, Step, Strategy, previews_need_approval, steps_of
from slipway.rollout.status import Colour, Condition, Intent, Phase, Revision, RolloutStatus

IMAGE = "registry.test/app@sha256:" + "a" * 64
SPEC = {"service": "payload", "template": "payload", "image": IMAGE}


@given(st.integers(0, 10**9))
def test_durations_survive_the_way_there_and_back(seconds):
    if seconds < 10**6 * 3600:
        assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5", "5x", "1h 2m", "-3s", "1.5s", "s"])
def test_a_wrong_duration_is_refused_with_what_is_allowed(text):
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(text)


@given(st.integers(0, 4 * 10**12))
def test_moments_survive_to_the_millisecond(milliseconds):
    assert parse_moment(format_moment(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-3)


def test_the_committed_crd_is_the_one_that_the_types_make():
    text = resource.CRD_FILE.read_text(encoding="utf-8")
    assert text == resource.render(), "run: python -m slipway.rollout.resource"


def nodes(schema, path=""):
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from nodes(schema[name], f"{path}.{name}")


def test_the_schema_is_structural():
    (version,) = resource.crd()["spec"]["versions"]
    for path, node in nodes(version["schema"]["openAPIV3Schema"]):
        assert "type" in node, path
        assert not {"$ref", "anyOf", "title"} & set(node), path


def test_a_minimal_object_gets_the_defaults():
    found = resource.parse(
        {
            "metadata": {"name": "payload", "namespace": "dev", "uid": "u", "generation": 3, "resourceVersion": "7"},
            "spec": SPEC,
        }
    )
    assert found.spec == RolloutSpec(service="payload", template="payload", image=IMAGE)
    assert found.status == RolloutStatus()
    assert [step.weight for step in steps_of(found.spec)] == [5, 25, 50, 100]
    assert not previews_need_approval(found.spec)


def test_blue_green_is_one_step_behind_an_approval():
    spec = RolloutSpec(service="a", template="a", image=IMAGE, strategy=Strategy(blue_green=BlueGreen(pause=30)))
    assert steps_of(spec) == (Step(weight=100, pause=30),)
    assert previews_need_approval(spec)


def test_a_status_survives_the_way_there_and_back():
    revision = Revision(hash="abc", image=IMAGE, number=2, colour=Colour.GREEN)
    status = RolloutStatus(
        phase=Phase.ANALYSING,
        candidate=revision,
        intent=Intent(candidate_weight=5, blue=95, green=5, initial=100, since=1.5, routers={"a": "0/1"}),
        since=1700000000.25,
        deadline=1700000060.0,
        conditions=(Condition(type="X", status="True", reason="X", message="m", last_transition_time=1.0),),
    )
    assert resource.STATUS.validate_python(resource.dump_status(status)) == status


def test_a_tag_is_no_digest():
    with pytest.raises(ValueError, match="pattern"):
        resource.SPEC.validate_python(SPEC | {"image": "registry.test/app:1.0"})
