"""The files of a service's repository, as text. Pure: nothing is read but the templates beside this file.

The workflows are those of Slipway's own repository, which its tests run: each change that a service needs is a
replacement whose place must be found, so a workflow that moves on either still fits or stops the command.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

#: Below `.github` of Slipway's repository: what a service's repository takes over.
WORKFLOWS: Final = ("workflows/release.yml", "workflows/deploy.yml", "workflows/rollback.yml")
SETUP: Final = "actions/setup/action.yml"
LOCK: Final = "actions.lock"
DEPENDABOT: Final = "dependabot.yml"
SOURCES: Final = (*WORKFLOWS, SETUP, LOCK, DEPENDABOT)
#: Where the set-up action puts Slipway's checkout on a runner.
TOOL: Final = ".slipway"

_ENVIRONMENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "dev": {"rollout": {"replicas": 1, "rollbackWindow": "10m"}},
    "staging": {"rollout": {"replicas": 2}},
    "production": {"rollout": {"replicas": 2, "approval": True}},
}


class ScaffoldError(Exception):
    """The files cannot be made; the message names what is in the way, and what to do."""


@dataclass(frozen=True)
class Plan:
    """What the files are about.

    Attributes:
        name: Of the service.
        cluster: That it is put on; a part of the stacks' names.
        repository: `OWNER/NAME` with Slipway, as the workflows check it out.
        commit: Which commit of it.
        port: That the container listens on.
        live: Path of the liveness probe.
        ready: Path of the readiness probe.
    """

    name: str
    cluster: str
    repository: str
    commit: str
    port: int
    live: str
    ready: str


def files(plan: Plan, sources: Mapping[str, str]) -> dict[str, str]:
    """Every file of the scaffold: path in the repository -> text.

    Args:
        plan: What they are about.
        sources: Text of each of `SOURCES`, from Slipway's repository.

    Raises:
        ScaffoldError: A place that has to be replaced is not there.
    """
    made = {f".github/{name}": _workflow(plan, name, sources[name]) for name in WORKFLOWS}
    made[f".github/{SETUP}"] = _setup(plan, sources[SETUP])
    made[f".github/{LOCK}"] = sources[LOCK]
    made[f".github/{DEPENDABOT}"] = _dependabot(sources[DEPENDABOT])
    for path in ("Pulumi.yaml", "__main__.py", "values.yaml"):
        made[f"deploy/{path}"] = _rendered(f"{path}.j2", plan)
    for environment, values in _ENVIRONMENTS.items():
        told = yaml.safe_dump(dict(values), sort_keys=False)
        indented = "".join(f"    {line}\n" for line in told.splitlines()).rstrip("\n")
        path = f"deploy/Pulumi.{plan.cluster}-{environment}.yaml"
        made[path] = _rendered("stack.yaml.j2", plan, environment=environment, values=indented)
    return made


def _workflow(plan: Plan, name: str, text: str) -> str:
    service = f'permissions: {{}}\nenv:\n  SLIPWAY_SERVICE: "{plan.name}"\n'
    text = _replaced(name, text, "permissions: {}\n", service)
    text = _replaced(name, text, ".venv/bin/slipway", f"{TOOL}/.venv/bin/slipway", everywhere=True)
    if name == "workflows/release.yml":
        text = _replaced(
            name, text, "slipway image push service --registry", 'slipway image publish "$SLIPWAY_SERVICE" . --registry'
        )
        # Of a service of others nothing is known but that it answers.
        text = _replaced(name, text, "SLIPWAY_LOAD_SCENARIO || 'crud'", "SLIPWAY_LOAD_SCENARIO || 'page'")
        text = _replaced(name, text, "SLIPWAY_SMOKE_PATH || '/version'", "SLIPWAY_SMOKE_PATH || '/'", everywhere=True)
    return text


def _setup(plan: Plan, text: str) -> str:
    checkout = (
        "    # Slipway itself, at the commit that made these files; raise it by `slipway init` from a newer one.\n"
        "    - uses: actions/checkout@{pin}\n"
        "      with:\n"
        f"        repository: {plan.repository}\n"
        f"        ref: {plan.commit}\n"
        f"        path: {TOOL}\n"
        "        persist-credentials: false\n"
    )
    text = _replaced(SETUP, text, "      run: make venv\n", f"      run: make --directory={TOOL} venv\n")
    text = _replaced(SETUP, text, "`.venv/bin/slipway`", f"`{TOOL}/.venv/bin/slipway`")
    return _replaced(SETUP, text, "  steps:\n", "  steps:\n" + checkout.format(pin=_PIN))


#: The set-up action of our own needs no checkout, so the pin stands here; a test compares it with actions.lock.
_PIN: Final = "11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"


def _dependabot(text: str) -> str:
    read = yaml.safe_load(text)
    # A service's language is its team's affair: only the actions are followed here.
    read["updates"] = [it for it in read["updates"] if it["package-ecosystem"] == "github-actions"]
    return yaml.safe_dump(read, sort_keys=False)


def _replaced(name: str, text: str, old: str, new: str, *, everywhere: bool = False) -> str:
    count = text.count(old)
    if count == 0 or (count > 1 and not everywhere):
        raise ScaffoldError(
            f".github/{name} has {old.strip()!r} {count} times where it must stand once: this checkout of Slipway has "
            "been changed; take an unchanged one"
        )
    return text.replace(old, new)


def _rendered(template: str, plan: Plan, **more: str) -> str:
    environment = Environment(
        loader=PackageLoader("slipway.scaffold"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # YAML and Python, not HTML
        keep_trailing_newline=True,
    )
    values = {key: getattr(plan, key) for key in Plan.__dataclass_fields__}
    return environment.get_template(template).render({**values, **more})
