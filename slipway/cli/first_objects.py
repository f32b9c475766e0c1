"""Objects that must be on a cluster before the platform is: Secrets of parts that are elsewhere, made by you.

Their namespaces are the platform's, which takes over those that are there (Pulumi applies on the server's side). Pods
that begin without such a Secret would wait for it, and Postgres would not begin with its backups.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import yaml

_MANAGER: Final = "slipway-up"

Kubectl = Callable[..., str]
Objects = Sequence[Mapping[str, Any]]


def read(path: Path) -> Objects:
    """The objects of a file in YAML or JSON; a `List` is taken apart.

    Raises:
        click.ClickException: It holds something else, or an object without a namespace.
    """
    try:
        documents = [it for it in yaml.safe_load_all(path.read_text(encoding="utf-8")) if it is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} is no YAML: {type(error).__name__}") from None
    found: list[Mapping[str, Any]] = []
    for it in documents:
        found.extend(it["items"] if isinstance(it, dict) and it.get("kind") == "List" else [it])
    for number, it in enumerate(found, start=1):
        if not isinstance(it, dict) or not {"apiVersion", "kind", "metadata"} <= it.keys():
            raise click.ClickException(f"object {number} of {path} is none: it lacks apiVersion, kind or metadata")
        if not {"name", "namespace"} <= it["metadata"].keys():
            raise click.ClickException(f"object {number} of {path} ({it['kind']}) must name itself and its namespace")
    return found


def put(kubectl: Kubectl, objects: Objects) -> None:
    """Put them on a cluster with the namespaces that they need; what is there becomes as they say."""
    needed = sorted({it["metadata"]["namespace"] for it in objects})
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in needed]
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*namespaces, *objects]})
    options = ("--server-side", f"--field-manager={_MANAGER}", "--force-conflicts", "--filename=-")
    kubectl("apply", *options, stdin=document)


def named(objects: Objects, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
    """The one of that kind and name; None if there is none."""
    wanted = (kind, namespace, name)
    return next(
        (it for it in objects if (it["kind"], it["metadata"]["namespace"], it["metadata"]["name"]) == wanted), None
    )
