"""Base backups of Postgres as objects of its operator: whether there is one, and how one is asked for."""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.components.backups import backup_spec
from infra.components.postgres import API
from infra.naming import BACKUP_PLUGIN, Namespace


def phases(backups: Iterable[Mapping[str, Any]]) -> list[str]:
    """How far each `Backup` is, as the operator says; empty if it says nothing yet."""
    return [it.get("status", {}).get("phase", "") for it in backups]


def lacking(found: Iterable[str]) -> bool:
    """Whether of backups in these phases none is complete or under way."""
    return all(it == "failed" for it in found)


def archiver(postgres: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What of a `Cluster` archives its log and makes its base backups; None if nothing does."""
    plugins = postgres["spec"].get("plugins") or ()
    return next((it for it in plugins if it["name"] == BACKUP_PLUGIN and it.get("isWALArchiver")), None)


def asked(**named: str) -> dict[str, Any]:
    """The object that asks for one.

    Args:
        named: `name` or `generateName`.
    """
    return {
        "apiVersion": API,
        "kind": "Backup",
        "metadata": {**named, "namespace": Namespace.DATA.value},
        "spec": backup_spec(),
    }
