"""The chart, rendered by the real helm: `SLIPWAY_HELM` names the program, else the toolchain finds or builds it."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.toolchain import Toolchain

CHART = Path(__file__).resolve().parents[2] / "helm" / "service"
ALL_SWITCHES = CHART / "ci" / "all-switches.yaml"


class RenderError(Exception):
    """Helm refused the values; the text is what a user would read."""


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Returns `base` with the values of `over` laid over it, mappings key by key, as Helm does it."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


@dataclass(frozen=True)
class Rendered:
    """The objects of one rendering."""

    objects: list[dict[str, Any]]
    templates: list[str]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Returns the objects of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """Returns the one object of a kind with a name."""
        [found] = [one for one in self.all(kind) if one["metadata"]["name"] == name]
        return found

    def names(self) -> set[str]:
        """Returns all objects as `Kind name`."""
        return {f"{one['kind']} {one['metadata']['name']}" for one in self.objects}


class Chart:
    """Renders the chart with the values of a test laid over the file with every switch on."""

    def __init__(self, helm: Path) -> None:
        self._helm = helm
        self.every_switch: dict[str, Any] = yaml.safe_load(ALL_SWITCHES.read_text())
        self._cached = lru_cache(maxsize=256)(self._render)

    def __call__(
        self,
        values: dict[str, Any] | None = None,
        *,
        release: str = "payload",
        base: dict[str, Any] | None = None,
    ) -> Rendered:
        """Returns what Helm makes of `base` (default: every switch on) with `values` laid over it."""
        whole = merged(self.every_switch if base is None else base, values or {})
        return Rendered(**json.loads(self._cached(json.dumps(whole), release)))

    def _render(self, values: str, release: str) -> str:
        result = subprocess.run(
            [self._helm, "template", release, CHART, "--namespace", "dev", "--values", "-"],
            input=values,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if result.returncode != 0:
            raise RenderError(result.stderr)
        objects = [one for one in yaml.safe_load_all(result.stdout) if one]
        sources = re.findall(r"^# Source: service/templates/(.+)$", result.stdout, re.MULTILINE)
        return json.dumps({"objects": objects, "templates": sorted(set(sources))})


@lru_cache(maxsize=1)
def find_helm() -> Path:
    """Returns the helm program, built if need be."""
    named = os.environ.get("SLIPWAY_HELM")
    if named is None:
        return Toolchain().ensure(["helm"])["helm"]
    if not os.access(named, os.X_OK):
        pytest.exit(f"SLIPWAY_HELM={named} is no program; name a helm 3 binary, or unset it to have one built", 2)
    return Path(named)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds helm before the first test: inside of one, the minutes it takes would count against that test."""
    here = Path(__file__).parent
    if not session.config.option.collectonly and any(here in item.path.parents for item in session.items):
        find_helm()


@pytest.fixture(scope="session")
def helm() -> Path:
    """Returns the helm program."""
    return find_helm()


@pytest.fixture(scope="session")
def chart(helm) -> Chart:
    """Returns the renderer."""
    return Chart(helm)


@pytest.fixture(scope="session")
def rejected(chart):
    """Returns a function that gives the message with which Helm refuses values."""

    def message(values: dict[str, Any], **options: Any) -> str:
        with pytest.raises(RenderError) as caught:
            chart(values, **options)
        return str(caught.value)

    return message
