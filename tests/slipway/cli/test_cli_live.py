import json

import pytest

from slipway.cli.live import service_labels, stable_colour
from slipway.node.errors import NodeError


def test_pods_of_the_service_are_found_by_their_colour():
    assert service_labels("green") == {
        "app.kubernetes.io/name": "payload",
        "slipway.dev/colour": "green",
        "slipway.dev/role": "web",
    }


def test_the_colour_that_serves_is_the_promoted_one():
    assert stable_colour(lambda *_: json.dumps({"status": {"stable": {"colour": "green"}}}), "dev") == "green"


def test_before_the_first_promotion_no_colour_serves():
    with pytest.raises(NodeError, match="no version of payload in dev serves yet"):
        stable_colour(lambda *_: json.dumps({"spec": {}}), "dev")
